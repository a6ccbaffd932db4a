"""Image topics of a bag by the names of drivers: those of depth, of colour, and those that belong together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dspdet3d_ros.mapping.image_messages import DEPTH
from dspdet3d_ros.recordings.bags import Topic

COMPRESSED = "sensor_msgs/msg/CompressedImage"
IMAGES = ("sensor_msgs/msg/Image", COMPRESSED)
#: Parts that image_transport adds to the name of an image, best first.
_TRANSPORTS = {"depth": ("", "/compressedDepth", "/compressed"), "colour": ("", "/compressed")}
# Colour that was brought to the pixels of depth has both words.
_COLOUR_AS_DEPTH = re.compile(r"(rgb|colou?r)_to_depth")
_REGISTERED = re.compile(r"depth_to_(rgb|colou?r)|depth_registered|registered")
_COLOUR = re.compile(r"rgb|colou?r|bgr")
_OTHER = re.compile(r"infra|(^|[/_])ir([/_]|$)|conf|disparity|semantic|label|mask|normal|debug|detect|marker")


@dataclass(frozen=True)
class ImageTopic:
    """A topic of images.

    Attributes:
        name: of the topic.
        base: the name without the part that image_transport adds.
        shows: "depth" or "colour", "" for something else; None if neither name nor encoding says it.
        registered: whether depth was brought to the pixels of colour.
    """

    name: str
    base: str
    shows: str | None
    registered: bool = False

    @property
    def transport(self) -> str:
        """The part that image_transport adds."""
        return self.name[len(self.base) :]


def image_topics(topics: Sequence[Topic], encodings: Mapping[str, str]) -> list[ImageTopic]:
    """The topics of images.

    Args:
        topics: of the bag.
        encodings: of images by topic, where they are known.
    """
    found = []
    for topic in topics:
        if topic.kind in IMAGES:
            known = (part for parts in _TRANSPORTS.values() for part in parts if part and topic.name.endswith(part))
            part = next(known, "") if topic.kind == COMPRESSED else ""
            base = topic.name[: len(topic.name) - len(part)]
            found.append(ImageTopic(topic.name, base, *_content(base.lower(), encodings.get(topic.name, ""))))
    return found


def _content(name: str, encoding: str) -> tuple[str | None, bool]:
    if _COLOUR_AS_DEPTH.search(name):
        return "colour", False
    if _OTHER.search(name):
        return "", False
    if "depth" in name:
        return "depth", bool(_REGISTERED.search(name))
    if _COLOUR.search(name):
        return "colour", False
    if not encoding:
        return None, False
    return ("depth" if encoding.partition(";")[0] in DEPTH else "colour"), False


def depth_images(images: Sequence[ImageTopic]) -> list[ImageTopic]:
    """The topics of depth images, without further copies of the same image."""
    return _one_transport([image for image in images if image.shows == "depth"], "depth")


def colours_for(depth: ImageTopic, images: Sequence[ImageTopic]) -> list[ImageTopic]:
    """The topics of colour images that may belong to a depth image, without further copies of the same image.

    Those of the same camera come alone if there are some, and so do those with "colour" in the name, and the left one
    of a pair.
    """
    colours = _one_transport([image for image in images if image.shows in ("colour", None)], "colour")
    camera = camera_of(depth)
    rules = (
        lambda image: image.base.startswith(f"{camera}/"),
        lambda image: not depth.registered and _COLOUR_AS_DEPTH.search(image.base.lower()),
        lambda image: _COLOUR.search(image.base.lower()),
        lambda image: not re.search(r"left|right", image.base.lower()),
        lambda image: "right" not in image.base.lower(),
        lambda image: not re.search(r"_raw/|unrectified|_gray|_mono|/gray/", image.base.lower()),
    )
    for rule in rules:
        colours = [image for image in colours if rule(image)] or colours
    return colours


def camera_of(depth: ImageTopic) -> str:
    """The part of a name before the first part that says "depth": that of the camera."""
    parts = depth.base.split("/")
    first = next((number for number, part in enumerate(parts) if "depth" in part.lower()), len(parts) - 1)
    return "/".join(parts[:first])


def one_of_a_camera(images: Sequence[ImageTopic]) -> ImageTopic:
    """The best of several images of one camera: registered, rectified, colour, raw."""

    def rank(image: ImageTopic) -> tuple[bool, bool, bool, bool, str]:
        last = image.base.rpartition("/")[2].lower()
        return (
            not image.registered,
            "rect" not in last,
            "colo" not in last and "rgb" not in last,
            bool(image.transport),
            image.name,
        )

    return min(images, key=rank)


def _one_transport(images: Sequence[ImageTopic], shows: str) -> list[ImageTopic]:
    order = _TRANSPORTS[shows]
    best: dict[str, ImageTopic] = {}
    for image in images:
        if image.transport not in order:
            continue
        other = best.get(image.base)
        if other is None or order.index(image.transport) < order.index(other.transport):
            best[image.base] = image
    return list(best.values())
