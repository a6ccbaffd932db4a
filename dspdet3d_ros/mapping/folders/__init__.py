"""Folders of RGB-D frames in the layouts of public data sets."""

from dspdet3d_ros.mapping.folders.folder import FrameFolder, FrameSource, open_frames

__all__ = ["FrameFolder", "FrameSource", "open_frames"]
