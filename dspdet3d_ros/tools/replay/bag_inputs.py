"""Choice of the input topics of a bag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.recordings.bags import Topic

CLOUD = "sensor_msgs/msg/PointCloud2"
IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
INFO = "sensor_msgs/msg/CameraInfo"
TRANSFORMS = "tf2_msgs/msg/TFMessage"
POSES = ("nav_msgs/msg/Odometry", "geometry_msgs/msg/PoseStamped")
_ADVICE = "name the topics with --topics"


@dataclass(frozen=True)
class Inputs:
    """The topics that are read. Either `cloud` or `depth` is there.

    Attributes:
        cloud: of clouds.
        depth: of depth images.
        depth_info: of the calibration of the depth camera.
        colour: of colour images, if any.
        colour_info: of the calibration of the colour camera, if any.
        poses: of odometry or poses, if any.
        transforms: of tf, if any.
    """

    cloud: str = ""
    depth: str = ""
    depth_info: str = ""
    colour: str = ""
    colour_info: str = ""
    poses: str = ""
    transforms: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """All topics that are read."""
        fields = (self.cloud, self.depth, self.depth_info, self.colour, self.colour_info, self.poses)
        return [name for name in (*fields, *self.transforms) if name]


def choose_inputs(topics: Sequence[Topic], wanted: Sequence[str] = (), use_colour: bool = True) -> Inputs:
    """Chooses the inputs by types and names.

    Args:
        topics: of the bag.
        wanted: only these are taken, and those of tf and calibrations; empty: all.
        use_colour: whether colour images are read.

    Raises:
        InputError: an input is missing, or there are several.
    """
    listed = ", ".join(f"{topic.name} ({topic.kind.rpartition('/')[2]})" for topic in topics) or "none"
    for name in wanted:
        if all(topic.name != name for topic in topics):
            raise InputError(f"--topics: the bag has no topic {name}; it has {listed}")
    free = [topic for topic in topics if not wanted or topic.name in wanted]
    clouds = [topic.name for topic in free if topic.kind == CLOUD]
    images = [topic.name for topic in free if topic.kind in IMAGES]
    depths = _without_copies([name for name in images if "depth" in name.lower()])
    transforms = tuple(topic.name for topic in topics if topic.kind == TRANSFORMS)
    if clouds and depths and not wanted:
        raise InputError(
            f"the bag has clouds ({', '.join(clouds)}) and depth images ({', '.join(depths)}); "
            f"{_ADVICE}, of the clouds or of the images"
        )
    if clouds:
        return Inputs(cloud=_only(clouds, "clouds"), transforms=transforms)
    if not depths:
        raise InputError(f"the bag has no clouds and no depth images; it has {listed}")
    depth = _only(depths, "depth images")
    infos = [topic.name for topic in topics if topic.kind == INFO]
    colours = _without_copies([name for name in images if name not in depths and "depth" not in name.lower()])
    colours = [name for name in colours if not any(word in name.lower() for word in ("infra", "_ir", "/ir", "conf"))]
    colour = _only(colours, "colour images") if colours and use_colour else ""
    poses = [topic.name for topic in free if topic.kind in POSES]
    if not poses and not transforms:
        raise InputError(
            f"the bag has depth images, but neither tf nor odometry nor poses of the camera; it has {listed}"
        )
    return Inputs(
        depth=depth,
        depth_info=_info_of(depth, infos, "depth images"),
        colour=colour,
        colour_info=_info_of(colour, infos, "colour images") if colour else "",
        # tf knows where the camera sits on the robot.
        poses="" if transforms and not wanted else _only(poses, "poses") if poses else "",
        transforms=transforms,
    )


def _without_copies(names: list[str]) -> list[str]:
    """Without the compressed copies of images that are there."""
    return [name for name in names if not any(name != other and name.startswith(f"{other}/") for other in names)]


def _only(names: list[str], of: str) -> str:
    if len(names) > 1:
        raise InputError(f"the bag has several topics of {of}: {', '.join(names)}; {_ADVICE}, one of each kind")
    return names[0]


def _info_of(image: str, infos: list[str], of: str) -> str:
    """The calibration that belongs to an image: the topic camera_info next to it."""
    place = image
    while "/" in place:
        place = place.rpartition("/")[0]
        if f"{place}/camera_info" in infos:
            return f"{place}/camera_info"
    if len(infos) == 1:
        return infos[0]
    listed = ", ".join(infos) or "none"
    raise InputError(
        f"the bag has no calibration of the {of}: expected {image.rpartition('/')[0]}/camera_info; has {listed}"
    )
