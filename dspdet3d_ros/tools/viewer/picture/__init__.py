"""Pictures of clouds and their detections."""

from dspdet3d_ros.tools.viewer.picture.drawing import draw_detections

__all__ = ["draw_detections"]
