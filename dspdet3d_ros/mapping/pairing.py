"""Depth images with the colour image and the calibration that belong to them. Imports no ROS."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dspdet3d_ros.mapping.frame import FrameRefused

# A depth image waits so long for what belongs to it, and so many wait at once.
PATIENCE_S = 1.0
_WAITING = 16
_COLOURS = 16
# So many depth images are remembered by their stamps: the other transport of one may come late.
_REMEMBERED = 64
_S_TO_NS = 1_000_000_000


@dataclass(frozen=True)
class ImageSet:
    """Messages that make one frame.

    Attributes:
        depth: the depth image.
        info: calibration of its camera.
        colour: the colour image, if any.
        colour_info: calibration of its camera, if it is published.
        arrival_s: `time.monotonic()` when the depth image came.
    """

    depth: Any
    info: Any
    colour: Any
    colour_info: Any
    arrival_s: float


def stamp_ns(message: Any) -> int:
    """The stamp of a message with a header."""
    return message.header.stamp.sec * _S_TO_NS + message.header.stamp.nanosec


def is_compressed(message: Any) -> bool:
    """Whether an image is a sensor_msgs/CompressedImage."""
    return hasattr(message, "format")


@dataclass
class _Waiting:
    """A depth image that waits.

    Attributes:
        message: the depth image.
        arrival_s: when it came.
        passed: whether a colour image came later that is newer than any that would fit.
    """

    message: Any
    arrival_s: float
    passed: bool = False


class Pairing:
    """Completes depth images, in the order of their arrival.

    Args:
        deliver: takes complete sets.
        refuse: takes the reason why a depth image cannot be completed.
        tolerance_s: gives the largest difference between the stamps of depth and colour.
        wants_colour: whether a depth image waits for a colour image.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        deliver: Callable[[ImageSet], None],
        refuse: Callable[[FrameRefused], None],
        tolerance_s: Callable[[], float],
        wants_colour: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._deliver, self._refuse, self._clock = deliver, refuse, clock
        self._tolerance_s, self._wants_colour = tolerance_s, wants_colour
        self._waiting: deque[_Waiting] = deque()
        self._colours: OrderedDict[int, Any] = OrderedDict()
        # By stamp, the latest last: whether that depth image was compressed.
        self._depths: OrderedDict[int, bool] = OrderedDict()
        self.info: Any = None
        self.colour_info: Any = None

    def take_depth(self, message: Any) -> None:
        """A depth image came. One that has come raw is left out if it comes compressed too, and the other way round."""
        ns, compressed = stamp_ns(message), is_compressed(message)
        if not ns:
            self._refuse(FrameRefused("stamp", "stamp: is zero, so no pose belongs to it; fill it in in the driver"))
            return
        if self._depths.get(ns, compressed) != compressed:
            return
        if self._depths and ns == next(reversed(self._depths)):
            self._refuse(FrameRefused("stamp", "stamp: the same as that of the last frame; send each frame once"))
            return
        self._depths[ns] = compressed
        self._depths.move_to_end(ns)
        while len(self._depths) > _REMEMBERED:
            self._depths.popitem(last=False)
        self._waiting.append(_Waiting(message, self._clock()))
        while len(self._waiting) > _WAITING:
            self._refuse(self._missing(self._waiting.popleft().message))
        self.look()

    def take_colour(self, message: Any) -> None:
        """A colour image came."""
        self._colours[stamp_ns(message)] = message
        while len(self._colours) > _COLOURS:
            self._colours.popitem(last=False)
        margin_ns = 2 * self._tolerance_s() * _S_TO_NS
        for waiting in self._waiting:
            waiting.passed |= stamp_ns(message) > stamp_ns(waiting.message) + margin_ns
        self.look()

    def take_info(self, message: Any) -> None:
        """A calibration of the depth camera came."""
        self.info = message
        self.look()

    def take_colour_info(self, message: Any) -> None:
        """A calibration of the colour camera came."""
        self.colour_info = message

    def forget(self) -> None:
        """Forgets all images; calibrations stay."""
        self._waiting.clear()
        self._colours.clear()
        self._depths.clear()

    def look(self) -> None:
        """Delivers what is complete and refuses what has waited too long."""
        while self._waiting:
            message, arrival_s = self._waiting[0].message, self._waiting[0].arrival_s
            colour = self._colour_for(stamp_ns(message)) if self._wants_colour() else None
            complete = self.info is not None and (colour is not None or not self._wants_colour())
            hopeless = self._waiting[0].passed and self.info is not None
            if not complete and not hopeless and self._clock() - arrival_s < PATIENCE_S:
                return
            self._waiting.popleft()
            if complete:
                self._deliver(ImageSet(message, self.info, colour, self.colour_info, arrival_s))
            else:
                self._refuse(self._missing(message))

    def _colour_for(self, depth_ns: int) -> Any:
        near = min(self._colours, key=lambda ns: abs(ns - depth_ns), default=None)
        if near is None or abs(near - depth_ns) > self._tolerance_s() * _S_TO_NS:
            return None
        return self._colours[near]

    def _missing(self, message: Any) -> FrameRefused:
        if self.info is None:
            return FrameRefused(
                "camera", "camera_info: none has come; remap ~/input/camera_info to the one of the depth image"
            )
        gaps = [abs(ns - stamp_ns(message)) / _S_TO_NS for ns in self._colours]
        nearest = f"the nearest one is {min(gaps):.3g} s away" if gaps else "none has come"
        return FrameRefused(
            "sync",
            f"colour image: {nearest}, expected within sync_tolerance_s = {self._tolerance_s():g} s of the depth "
            "image; raise it, synchronise the images in the driver, or set use_colour to false",
        )
