"""One RGB-D frame with its pose, and the checks that it must pass before it enters a map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.geometry import quaternion_rotation

#: Reasons for which a frame is refused.
REFUSALS = ("sizes", "camera", "pose", "depth", "colour", "stamp", "file")
# Median depths outside of this range, in metres, show that the unit is wrong.
_PLAUSIBLE_MEDIAN_M = (0.02, 60.0)
# Largest deviation of a rotation matrix from orthonormality, and of a quaternion's length from 1.
_ROTATION_TOLERANCE = 0.02
_DEPTH_SAMPLE = 7


class FrameRefused(InputError):
    """A frame that must not enter the map.

    Attributes:
        kind: one of `REFUSALS`.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion: z forward, x right, y down.

    Attributes:
        width: number of pixel columns.
        height: number of pixel rows.
        fx: focal length in x, pixels.
        fy: focal length in y, pixels.
        cx: x of the principal point, pixels; the centre of the first pixel is 0.
        cy: y of the principal point, pixels.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    @classmethod
    def from_matrix(cls, matrix: np.ndarray, width: int, height: int) -> Camera:
        """A camera from its 3×3 (or larger) intrinsic matrix."""
        return cls(width, height, *(float(matrix[place]) for place in ((0, 0), (1, 1), (0, 2), (1, 2))))

    def decimated(self, factor: int) -> Camera:
        """The camera of an image whose pixels are means of blocks of `factor` × `factor` pixels."""
        cx, cy = ((centre + 0.5) / factor - 0.5 for centre in (self.cx, self.cy))
        return Camera(self.width // factor, self.height // factor, self.fx / factor, self.fy / factor, cx, cy)

    def check(self, name: str) -> None:
        """Refuses intrinsics that no camera has.

        Raises:
            FrameRefused: kind "camera"; the text begins with `name`.
        """
        numbers = (self.fx, self.fy, self.cx, self.cy)
        listed = f"fx {self.fx:g}, fy {self.fy:g}, cx {self.cx:g}, cy {self.cy:g}"
        size = f"{self.width} x {self.height} pixels"
        if not all(map(math.isfinite, numbers)) or min(self.fx, self.fy) <= 0 or min(self.width, self.height) < 1:
            raise FrameRefused(
                "camera",
                f"{name}: expected positive focal lengths and sizes, got {listed}, {size}; "
                "calibrate the camera, or let its driver publish the factory calibration",
            )
        if not (0 < self.cx < self.width and 0 < self.cy < self.height):
            raise FrameRefused(
                "camera",
                f"{name}: the principal point ({listed}) is outside of the image of {size}; "
                "use the calibration of this image size",
            )


@dataclass(frozen=True)
class RGBDFrame:
    """A depth image with its camera and pose, and optionally a colour image.

    Attributes:
        depth: (H, W) float32, metres along the optical axis; 0, NaN and infinity are no measurement.
        camera: of the depth image.
        pose: (4, 4) float64, depth camera → world.
        colour: (h, w, 3) uint8, red first; None without colour.
        stamp_s: time of the depth image, seconds; None if it is unknown.
        colour_camera: of the colour image; None if colour is registered to depth, pixel by pixel.
        colour_from_depth: (4, 4) depth camera → colour camera; None if they are the same.
    """

    depth: np.ndarray
    camera: Camera
    pose: np.ndarray
    colour: np.ndarray | None = None
    stamp_s: float | None = None
    colour_camera: Camera | None = None
    colour_from_depth: np.ndarray | None = None


def rigid(matrix: np.ndarray, name: str = "pose") -> np.ndarray:
    """The nearest rigid transform to a 4×4 matrix that is nearly one.

    Args:
        matrix: (4, 4) numbers.
        name: how the text of an error begins.

    Raises:
        FrameRefused: kind "pose".
    """
    matrix = np.asarray(matrix, np.float64)
    if matrix.shape != (4, 4):
        shape = " x ".join(map(str, matrix.shape))
        raise FrameRefused("pose", f"{name}: expected a matrix of 4 x 4 numbers, got {shape}; give camera to world")
    if not np.isfinite(matrix).all():
        raise FrameRefused("pose", f"{name}: has numbers that are not finite; the tracking was lost, skip such frames")
    left, scales, right = np.linalg.svd(matrix[:3, :3])
    off = max(np.abs(scales - 1).max(), np.abs(matrix[3] - (0, 0, 0, 1)).max())
    if off > _ROTATION_TOLERANCE or np.linalg.det(matrix[:3, :3]) < 0:
        raise FrameRefused(
            "pose",
            f"{name}: expected a rotation and a translation, got a matrix with the scales "
            f"{', '.join(f'{scale:.3g}' for scale in scales)}; give camera to world without scale or mirroring",
        )
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = left @ right, matrix[:3, 3]
    return result


def pose_from_quaternion(translation: Sequence[float], quaternion: Sequence[float], name: str = "pose") -> np.ndarray:
    """(4, 4) transform from a translation x y z in metres and a unit quaternion x y z w.

    Raises:
        FrameRefused: kind "pose": a number is not finite, or the quaternion is not a unit quaternion.
    """
    q, t = np.asarray(quaternion, np.float64), np.asarray(translation, np.float64)
    if not (np.isfinite(q).all() and np.isfinite(t).all()):
        raise FrameRefused("pose", f"{name}: has numbers that are not finite; the tracking was lost, skip such frames")
    length = float(np.linalg.norm(q))
    if abs(length - 1) > _ROTATION_TOLERANCE:
        raise FrameRefused(
            "pose", f"{name}: expected a unit quaternion, got one of length {length:.3g}; normalise it, order x y z w"
        )
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = quaternion_rotation(q), t
    return pose


def check_frame(frame: RGBDFrame) -> None:
    """Checks sizes, cameras, depth and colour of a frame. `rigid` checks its pose.

    Raises:
        FrameRefused: the frame must not enter a map; the text names the field and the remedy.
    """
    frame.camera.check("camera of the depth image")
    expected = (frame.camera.height, frame.camera.width)
    if frame.depth.ndim != 2 or frame.depth.shape != expected:
        raise FrameRefused("sizes", _sizes("depth image", frame.depth.shape, expected, "the camera of the depth image"))
    if frame.colour is not None:
        _check_colour(frame)
    if frame.stamp_s is not None and not math.isfinite(frame.stamp_s):
        raise FrameRefused("stamp", f"stamp: expected seconds, got {frame.stamp_s}; give each frame its own stamp")
    few = frame.depth[::_DEPTH_SAMPLE, ::_DEPTH_SAMPLE]
    if not np.issubdtype(few.dtype, np.floating):
        raise FrameRefused(
            "depth", f"depth image: expected metres as floats, got {few.dtype}; divide by the depth scale"
        )
    with np.errstate(invalid="ignore"):
        measured = few[(few > 0) & np.isfinite(few)]
        if not len(measured):
            whole = frame.depth
            measured = whole[(whole > 0) & np.isfinite(whole)]
    if not len(measured):
        raise FrameRefused(
            "depth", "depth image: no pixel has a depth; is the camera covered, or too near to a surface?"
        )
    median = float(np.median(measured))
    low, high = _PLAUSIBLE_MEDIAN_M
    if not low <= median <= high:
        raise FrameRefused(
            "depth",
            f"depth image: the median depth is {median:.3g} m, expected {low:g} to {high:g} m; the unit is wrong: "
            "floats are metres, 16-bit integers are multiples of the depth scale, usually 0.001 m",
        )


def _check_colour(frame: RGBDFrame) -> None:
    colour = frame.colour
    assert colour is not None
    if colour.ndim != 3 or colour.shape[2] != 3 or colour.dtype != np.uint8:
        shape = " x ".join(map(str, colour.shape))
        raise FrameRefused("colour", f"colour image: expected height x width x 3 bytes, got {shape} of {colour.dtype}")
    if frame.colour_camera is None:
        if colour.shape[:2] != frame.depth.shape:
            raise FrameRefused(
                "sizes",
                _sizes("colour image", colour.shape[:2], frame.depth.shape, "the depth image")
                + ", or give the camera of the colour image",
            )
        return
    frame.colour_camera.check("camera of the colour image")
    expected = (frame.colour_camera.height, frame.colour_camera.width)
    if colour.shape[:2] != expected:
        raise FrameRefused("sizes", _sizes("colour image", colour.shape[:2], expected, "its camera"))
    if frame.colour_from_depth is not None:
        rigid(frame.colour_from_depth, "transform from depth camera to colour camera")


def _sizes(image: str, got: tuple[int, ...], expected: tuple[int, ...], of: str) -> str:
    """The text about an image whose size differs from that of its camera; sizes are height, width."""
    shown = " x ".join(str(size) for size in reversed(got))
    return (
        f"{image}: expected {expected[1]} x {expected[0]} pixels as {of} has, got {shown}; "
        "use images and calibration of one resolution"
    )
