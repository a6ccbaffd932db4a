"""Images and calibration of messages as arrays. The messages are read by their fields, so this imports no ROS."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from dspdet3d_ros.mapping.frame import Camera, FrameRefused, RGBDFrame
from dspdet3d_ros.mapping.images import in_metres, read_colour, read_depth
from dspdet3d_ros.mapping.pairing import ImageSet, is_compressed, stamp_ns

#: Encodings of raw depth images: type of the numbers.
DEPTH = {"16UC1": "u2", "mono16": "u2", "32FC1": "f4"}
#: Encodings of raw colour images: number of bytes per pixel, and where red, green and blue are.
COLOUR = {
    "rgb8": (3, (0, 1, 2)),
    "bgr8": (3, (2, 1, 0)),
    "rgba8": (4, (0, 1, 2)),
    "bgra8": (4, (2, 1, 0)),
    "mono8": (1, (0, 0, 0)),
    "8UC1": (1, (0, 0, 0)),
    "8UC3": (3, (2, 1, 0)),
}
_PNG = b"\x89PNG\r\n\x1a\n"
# image_transport's compressedDepth puts this header before the PNG: its format, and two numbers of its quantisation.
_HEADER = struct.Struct("<iff")
_LARGEST = 1 << 14


def depth_of(message: Any, units_per_metre: float) -> np.ndarray:
    """(H, W) float32 metres of a depth image; 0 where nothing was measured.

    Args:
        message: sensor_msgs/Image of an encoding in `DEPTH`, or sensor_msgs/CompressedImage of PNG with 16 bits, also
            with the header of compressedDepth.
        units_per_metre: of images of 16-bit integers.

    Raises:
        FrameRefused: kind "encoding", "sizes", "depth" or "file".
    """
    if is_compressed(message):
        return _compressed_depth(message, units_per_metre)
    kind = DEPTH.get(message.encoding)
    if kind is None:
        raise FrameRefused(
            "encoding",
            f"depth image: the encoding '{message.encoding}' is no depth; publish {', '.join(DEPTH)} (is it the topic "
            "of the depth image?)",
        )
    pixels = _pixels(message, "depth image", np.dtype(kind).itemsize)
    numbers = pixels.view(np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<"))[:, :, 0]
    if kind == "f4":
        return numbers.astype(np.float32)
    return in_metres(numbers.astype(np.uint16), units_per_metre)


def colour_of(message: Any) -> np.ndarray:
    """(H, W, 3) uint8, red first, of a colour image.

    Args:
        message: sensor_msgs/Image of an encoding in `COLOUR`, or sensor_msgs/CompressedImage of JPEG or PNG.

    Raises:
        FrameRefused: kind "encoding", "sizes", "colour" or "file".
    """
    if is_compressed(message):
        return read_colour(bytes(message.data), f"colour image of format '{message.format}'")
    if message.encoding not in COLOUR:
        raise FrameRefused(
            "encoding",
            f"colour image: the encoding '{message.encoding}' is not read; publish {', '.join(COLOUR)}, JPEG or PNG, "
            "or set use_colour to false",
        )
    size, channels = COLOUR[message.encoding]
    return np.ascontiguousarray(_pixels(message, "colour image", size)[:, :, list(channels)])


def camera_of(message: Any, name: str) -> Camera:
    """The camera of a sensor_msgs/CameraInfo, which must be that of a rectified image.

    Its intrinsics are in p; k has those of the image before. Some drivers leave p empty: then k is used.

    Raises:
        FrameRefused: kind "camera".
    """
    size = message.width, message.height
    camera = Camera.from_matrix(np.array(message.k, np.float64).reshape(3, 3), *size)
    # A k of zeros says that the camera is not calibrated, whatever is in p.
    camera.check(name)
    rectified = Camera.from_matrix(np.array(message.p, np.float64).reshape(3, 4), *size)
    try:
        rectified.check(name)
    except FrameRefused:
        return camera
    return rectified


def frame_of(
    images: ImageSet,
    pose: Callable[[], np.ndarray],
    units_per_metre: float,
    colour_from_depth: Callable[[str], np.ndarray],
) -> RGBDFrame:
    """The frame of messages that belong together.

    Args:
        images: the messages.
        pose: gives the (4, 4) pose of the depth camera, camera → world; called when the depth image can be used.
        units_per_metre: of depth images of 16-bit integers.
        colour_from_depth: gives the (4, 4) transform from the depth image's frame to the frame of this name.

    Raises:
        FrameRefused: a message cannot be used, or `pose` or `colour_from_depth` raises it.
    """
    header = images.depth.header
    camera = camera_of(images.info, "camera_info of the depth image")
    depth = depth_of(images.depth, units_per_metre)
    placed = pose()
    colour = colour_camera = moved = None
    if images.colour is not None:
        colour = colour_of(images.colour)
        if images.colour_info is not None:
            colour_camera = camera_of(images.colour_info, "camera_info of the colour image")
            frame = images.colour.header.frame_id
            if frame and frame != header.frame_id:
                moved = colour_from_depth(frame)
    return RGBDFrame(depth, camera, placed, colour, stamp_ns(images.depth) * 1e-9, colour_camera, moved)


def _pixels(message: Any, name: str, size: int) -> np.ndarray:
    """(H, W, size) uint8, the bytes of each pixel, contiguous in a row."""
    height, width, step = message.height, message.width, message.step
    if not (0 < height <= _LARGEST and 0 < width <= _LARGEST):
        raise FrameRefused("sizes", f"{name}: has {width} x {height} pixels; correct width and height in the driver")
    step = step or width * size
    data = np.frombuffer(message.data, np.uint8)
    if step < width * size or len(data) < (height - 1) * step + width * size:
        raise FrameRefused(
            "sizes",
            f"{name}: {width} x {height} pixels of '{message.encoding}' need {width * size} bytes per row, got step "
            f"{step} and {len(data)} bytes in all; correct them in the driver",
        )
    if len(data) < height * step:
        data = np.concatenate([data, np.zeros(height * step - len(data), np.uint8)])
    rows = data[: height * step].reshape(height, step)[:, : width * size]
    return np.ascontiguousarray(rows).reshape(height, width, size)


def _compressed_depth(message: Any, units_per_metre: float) -> np.ndarray:
    data = bytes(message.data)
    start = data[: _HEADER.size + len(_PNG)].find(_PNG)
    name = f"depth image of format '{message.format}'"
    if start < 0:
        raise FrameRefused(
            "encoding",
            f"{name}: expected '16UC1; compressedDepth png'; set the transport's format to png, not rvl or jpeg",
        )
    numbers = read_depth(data[start:], name)
    if not message.format.strip().startswith("32FC1"):
        return in_metres(numbers, units_per_metre)
    if start != _HEADER.size:
        raise FrameRefused("encoding", f"{name}: has no header with its quantisation; publish 16UC1, or raw images")
    _, a, b = _HEADER.unpack_from(data)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.float32(a) / (numbers.astype(np.float32) - np.float32(b))
    depth[(numbers == 0) | ~np.isfinite(depth)] = 0
    return depth
