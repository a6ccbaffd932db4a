"""DSPDet3D for ROS 2: finds small objects in accumulated RGB-D point clouds."""

from pkgutil import extend_path

# The generated ROS interfaces (`dspdet3d_ros.msg`) are installed into a folder of their own; this merges the two.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"
