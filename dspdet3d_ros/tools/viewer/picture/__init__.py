"""Pictures of clouds and their detections."""

from dspdet3d_ros.tools.viewer.picture.drawing import Marked, draw_detections

__all__ = ["Marked", "draw_detections"]
