"""Detections as messages of ROS. Each message is published with the header of the cloud it belongs to."""

import importlib
import math
from types import SimpleNamespace
from typing import Any

from rclpy.time import Time
from std_msgs.msg import Header

from dspdet3d_ros.message_contents import TYPES, MessageContents


def _class(name: str) -> Any:
    package, _, short = name.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), short)


_contents = MessageContents(SimpleNamespace(**{name.rpartition("/")[2]: _class(name) for name in TYPES}))
detection_array = _contents.detection_array
marker_array = _contents.marker_array
object_points = _contents.object_points
stats_message = _contents.stats
label_info = _contents.label_info
cloud_message = _contents.cloud


def age_ms(header: Header, now_ns: int) -> float:
    """Milliseconds from the stamp to `now_ns`; NaN if the stamp is zero, which means that there is none."""
    stamp_ns = Time.from_msg(header.stamp).nanoseconds
    return (now_ns - stamp_ns) / 1e6 if stamp_ns else math.nan
