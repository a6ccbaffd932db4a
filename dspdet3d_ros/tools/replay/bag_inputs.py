"""Choice of the input topics of a bag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.recordings.bags import Topic
from dspdet3d_ros.tools.replay.image_topics import (
    IMAGES,
    ImageTopic,
    camera_of,
    colours_for,
    depth_images,
    image_topics,
    one_of_a_camera,
)

CLOUD = "sensor_msgs/msg/PointCloud2"
INFO = "sensor_msgs/msg/CameraInfo"
TRANSFORMS = "tf2_msgs/msg/TFMessage"
ODOMETRY = "nav_msgs/msg/Odometry"
POSES = (ODOMETRY, "geometry_msgs/msg/PoseStamped")
_ADVICE = "name the one to use with --topics"


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
        by_poses: whether the poses count even if tf knows where the camera is.
    """

    cloud: str = ""
    depth: str = ""
    depth_info: str = ""
    colour: str = ""
    colour_info: str = ""
    poses: str = ""
    transforms: tuple[str, ...] = ()
    by_poses: bool = False

    @property
    def names(self) -> list[str]:
        """All topics that are read."""
        fields = (self.cloud, self.depth, self.depth_info, self.colour, self.colour_info, self.poses)
        return list(dict.fromkeys(name for name in (*fields, *self.transforms) if name))


def is_static(topic: str) -> bool:
    """Whether transforms on this topic hold for all times."""
    return topic.endswith("static")


def choose_inputs(
    topics: Sequence[Topic],
    wanted: Sequence[str] = (),
    use_colour: bool = True,
    encodings: Mapping[str, str] | None = None,
) -> Inputs:
    """Chooses the inputs by types and names.

    Args:
        topics: of the bag.
        wanted: for the kinds of these, they are taken; other kinds are chosen.
        use_colour: whether colour images are read.
        encodings: of images; needed if their names do not say whether they show depth or colour.

    Raises:
        InputError: an input is missing, there are several, or a wanted topic is none.
    """
    inputs = _chosen(topics, wanted, use_colour, encodings)
    unused = [_described(topic) for topic in topics if topic.name in {*wanted} - {*inputs.names}]
    if unused:
        raise InputError(
            f"--topics: {', '.join(unused)} would not be read, only {', '.join(inputs.names)}; name a topic of clouds, "
            "or topics of depth images, colour images and poses"
        )
    return inputs


def _described(topic: Topic) -> str:
    """Name and short type of a topic."""
    return f"{topic.name} ({topic.kind.rpartition('/')[2]})"


def _chosen(
    topics: Sequence[Topic], wanted: Sequence[str], use_colour: bool, encodings: Mapping[str, str] | None
) -> Inputs:
    listed = ", ".join(map(_described, topics)) or "none"
    for name in wanted:
        if all(topic.name != name for topic in topics):
            raise InputError(f"--topics: the bag has no topic {name}; it has {listed}")
    # Drivers offer topics that never have a message. The counts of truncated bags are not known.
    used = [topic for topic in topics if topic.count or topic.name in wanted] or list(topics)
    images = image_topics(used, encodings or {})
    clouds = [topic.name for topic in used if topic.kind == CLOUD]
    depths = depth_images(images)
    transforms = tuple(topic.name for topic in used if topic.kind == TRANSFORMS)
    wants_cloud = any(name in clouds for name in wanted)
    wants_images = any(image.name in wanted for image in images)
    if clouds and depths and not (wants_cloud or wants_images):
        raise InputError(
            f"the bag has clouds ({', '.join(clouds)}) and depth images "
            f"({', '.join(image.name for image in depths)}); {_ADVICE}, of the clouds or of the images"
        )
    if clouds and not wants_images:
        return Inputs(cloud=_only(clouds, wanted, "clouds"), transforms=transforms)
    if not depths:
        raise InputError(f"the bag has no clouds and no depth images; it has {listed}")
    depth = _one_depth(depths, wanted)
    infos = [topic.name for topic in used if topic.kind == INFO]
    colour = _one_colour(colours_for(depth, images), wanted) if use_colour else None
    colour_info = _info_of(colour, infos) if colour else ""
    depth_info = _info_of(depth, infos) or (colour_info if depth.registered else "")
    for image, info in ((depth, depth_info), (colour, colour_info)):
        if image is not None and not info:
            raise InputError(
                f"the bag has no calibration of {image.name}: expected {image.base.rpartition('/')[0]}/camera_info; "
                f"has {', '.join(infos) or 'none'}" + ("" if image is depth else "; or use --no-colour")
            )
    return Inputs(
        depth=depth.name,
        depth_info=depth_info,
        colour=colour.name if colour else "",
        colour_info=colour_info,
        poses=(poses := _one_of_the_poses(used, wanted, transforms, listed)),
        transforms=transforms,
        by_poses=poses in wanted or all(map(is_static, transforms)),
    )


def _one_depth(depths: Sequence[ImageTopic], wanted: Sequence[str]) -> ImageTopic:
    named = [image for image in depths if image.name in wanted]
    cameras = {camera_of(image) for image in named or depths}
    if len(cameras) > 1 or len(named) > 1:
        _only([image.name for image in named or depths], (), "depth images")
    return named[0] if named else one_of_a_camera(depths)


def _one_colour(colours: Sequence[ImageTopic], wanted: Sequence[str]) -> ImageTopic | None:
    named = [image for image in colours if image.name in wanted]
    if not colours or len(named) == 1:
        return named[0] if named else None
    if len(named) > 1 or len({image.base.rpartition("/")[0] for image in colours}) > 1:
        _only([image.name for image in named or colours], (), "colour images", "; or use --no-colour")
    return one_of_a_camera(colours)


def _one_of_the_poses(topics: Sequence[Topic], wanted: Sequence[str], transforms: Sequence[str], listed: str) -> str:
    """The topic of the poses; none if tf alone says where the camera is."""
    poses = [topic.name for topic in topics if topic.kind in POSES]
    # Other poses may be goals, or those of other objects.
    odometry = [topic.name for topic in topics if topic.kind == ODOMETRY]
    if any(name in poses for name in wanted):
        return _only(poses, wanted, "poses")
    if len(odometry) == 1:
        # Also with tf, which may say only where the camera sits on the robot.
        return odometry[0]
    if any(not is_static(name) for name in transforms):
        return ""
    if not poses:
        raise InputError(
            f"the bag has depth images, but neither tf nor odometry nor poses of the camera; it has {listed}"
        )
    return _only(poses, wanted, "poses")


def _only(names: Sequence[str], wanted: Sequence[str], of: str, way: str = "") -> str:
    names = [name for name in names if name in wanted] or list(names)
    if len(names) > 1:
        raise InputError(f"the bag has several topics of {of}: {', '.join(names)}; {_ADVICE}{way}")
    return names[0]


def _info_of(image: ImageTopic, infos: Sequence[str]) -> str:
    """The calibration that belongs to an image: the topic camera_info next to it; empty if there is none."""
    place = image.base
    while "/" in place:
        place = place.rpartition("/")[0]
        if f"{place}/camera_info" in infos:
            return f"{place}/camera_info"
    return infos[0] if len(infos) == 1 else ""


def unclear_images(topics: Sequence[Topic]) -> list[str]:
    """Images whose names do not say whether they show depth or colour."""
    kinds = image_topics([topic for topic in topics if topic.kind in IMAGES], {})
    return [image.name for image in kinds if image.shows is None]
