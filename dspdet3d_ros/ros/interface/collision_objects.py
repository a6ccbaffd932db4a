"""Objects for a planner: boxes as `moveit_msgs/CollisionObject`, if that package is installed."""

from importlib import import_module
from typing import Any

from std_msgs.msg import Header

from dspdet3d_ros.ros.interface import messages
from dspdet3d_ros.ros.results import TrackedScene


def collision_type() -> Any:
    """The class of the message; None if moveit_msgs is not installed."""
    try:
        return import_module("moveit_msgs.msg").CollisionObject
    except ImportError:
        return None


class CollisionObjects:
    """Messages that keep the scene of a planner equal to the detections.

    An object is added, or replaced, with each cloud that shows it. It is removed when it is gone, not when it is out of
    view. Names are `object_NUMBER`; the number of an object never changes and is not used again.
    """

    def __init__(self) -> None:
        self._added: set[int] = set()

    def messages(self, header: Header, scene: TrackedScene) -> list[Any]:
        """The messages for one cloud: first what is gone, then what is there."""
        kind, solid = collision_type(), import_module("shape_msgs.msg").SolidPrimitive
        gone = sorted(self._added - scene.known)
        made = [kind(header=header, id=_name(number), operation=kind.REMOVE) for number in gone]
        self._added -= set(gone)
        objects, ids = scene.objects, [] if scene.objects.ids is None else scene.objects.ids.tolist()
        detections = messages.detection_array(header, objects).detections
        for detection, number, name in zip(detections, ids, objects.names, strict=True):
            size = detection.bbox.size
            box = solid(type=solid.BOX, dimensions=[size.x, size.y, size.z])
            message = kind(header=header, id=_name(number), operation=kind.ADD)
            message.type.key = name
            message.primitives, message.primitive_poses = [box], [detection.bbox.center]
            made.append(message)
            self._added.add(number)
        return made


def _name(number: int) -> str:
    return f"object_{number}"
