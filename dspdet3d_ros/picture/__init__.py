"""Pictures of clouds and the boxes found in them."""

from dspdet3d_ros.picture.drawing import draw_detections

__all__ = ["draw_detections"]
