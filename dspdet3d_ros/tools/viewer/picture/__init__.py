"""Pictures of clouds and the boxes found in them."""

from dspdet3d_ros.tools.viewer.picture.drawing import draw_detections

__all__ = ["draw_detections"]
