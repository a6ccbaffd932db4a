"""Depth and colour of messages: every encoding, byte order and padding; what cannot be read is named."""

import io
import struct
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image as Picture

from dspdet3d_ros.mapping.frame import FrameRefused
from dspdet3d_ros.mapping.image_messages import camera_of, colour_of, depth_of

DEPTH = np.array([[0.5, 1.25, 0.0], [2.0, 3.001, 65.0]], np.float32)
MILLIMETRES = np.round(DEPTH * 1000).astype(np.uint16)
COLOUR = np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * 13


def message(array, encoding, padding=0, big=False):
    array = array.astype(array.dtype.newbyteorder(">")) if big else array
    rows = [row.tobytes() + b"\xff" * padding for row in array]
    height, width = array.shape[:2]
    step = len(rows[0])
    return SimpleNamespace(
        height=height, width=width, encoding=encoding, step=step, is_bigendian=int(big), data=b"".join(rows)
    )


def compressed(data, text):
    return SimpleNamespace(format=text, data=np.frombuffer(data, np.uint8))


def png(array):
    out = io.BytesIO()
    Picture.fromarray(array).save(out, "png")
    return out.getvalue()


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(("array", "encoding"), [(MILLIMETRES, "16UC1"), (MILLIMETRES, "mono16"), (DEPTH, "32FC1")])
def test_raw_depth(array, encoding, padding, big):
    depth = depth_of(message(array, encoding, padding, big), 1000)
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, DEPTH, atol=1e-6)


def test_the_unit_of_integers_is_a_parameter_and_65535_is_no_measurement():
    depth = depth_of(message(np.array([[10_000, 65535]], np.uint16), "16UC1"), 10_000)
    np.testing.assert_allclose(depth, [[1.0, 0.0]], atol=1e-6)


def test_compressed_depth_of_integers():
    header = struct.pack("<iff", 0, 0, 0)
    for data in (header + png(MILLIMETRES), png(MILLIMETRES)):
        depth = depth_of(compressed(data, "16UC1; compressedDepth png"), 1000)
        np.testing.assert_allclose(depth, DEPTH, atol=1e-6)


def test_compressed_depth_of_floats_is_dequantised():
    # As image_transport quantises: the inverse depth.
    a, b = np.float32(100 * 101), np.float32(1 - 100 * 101 / 10)
    with np.errstate(divide="ignore"):
        quantised = np.where(DEPTH > 0, a / np.maximum(DEPTH, 0.1) + b, 0)
    data = struct.pack("<iff", 0, a, b) + png(np.round(np.maximum(quantised, 0)).astype(np.uint16))
    depth = depth_of(compressed(data, "32FC1; compressedDepth"), 1000)
    near = (DEPTH > 0) & (DEPTH < 10)
    np.testing.assert_allclose(depth[near], DEPTH[near], rtol=0.002)
    assert depth[0, 2] == 0


@pytest.mark.parametrize(
    ("array", "encoding", "expected"),
    [
        (COLOUR, "rgb8", COLOUR),
        (COLOUR[..., ::-1], "bgr8", COLOUR),
        (COLOUR[..., ::-1], "8UC3", COLOUR),
        (np.dstack([COLOUR, COLOUR[..., :1]]), "rgba8", COLOUR),
        (np.dstack([COLOUR[..., ::-1], COLOUR[..., :1]]), "bgra8", COLOUR),
        (COLOUR[..., 0], "mono8", COLOUR[..., [0, 0, 0]]),
    ],
)
@pytest.mark.parametrize("padding", [0, 5])
def test_colours(array, encoding, expected, padding):
    np.testing.assert_array_equal(colour_of(message(np.ascontiguousarray(array), encoding, padding)), expected)


def test_compressed_colours():
    np.testing.assert_array_equal(colour_of(compressed(png(COLOUR), "bgr8; png compressed")), COLOUR)


@pytest.mark.parametrize(
    ("read", "given", "kind", "says"),
    [
        (depth_of, message(COLOUR, "rgb8"), "encoding", "'rgb8' is no depth"),
        (depth_of, compressed(b"jpeg", "bgr8; jpeg compressed"), "encoding", "compressedDepth png"),
        (depth_of, compressed(b"\0" * 12 + b"rvl", "16UC1; compressedDepth rvl"), "encoding", "not rvl"),
        (
            depth_of,
            compressed(png(MILLIMETRES)[:40], "16UC1; compressedDepth png"),
            "file",
            "no image of a known format",
        ),
        (depth_of, compressed(png(COLOUR), "16UC1; compressedDepth png"), "depth", "16 bits"),
        (depth_of, SimpleNamespace(**{**vars(message(DEPTH, "32FC1")), "step": 5}), "sizes", "step 5"),
        (depth_of, SimpleNamespace(**{**vars(message(DEPTH, "32FC1")), "data": b"12"}), "sizes", "2 bytes in all"),
        (depth_of, SimpleNamespace(**{**vars(message(DEPTH, "32FC1")), "width": 0}), "sizes", "0 x 2 pixels"),
        (colour_of, message(MILLIMETRES, "bayer_rggb16"), "encoding", "'bayer_rggb16' is not read"),
        (colour_of, compressed(b"nothing", "jpeg"), "file", "no image of a known format"),
    ],
)
def test_what_cannot_be_read_is_named(read, given, kind, says):
    with pytest.raises(FrameRefused, match=says) as refused:
        read(given, 1000) if read is depth_of else read(given)
    assert refused.value.kind == kind


def test_calibration_is_read_or_named():
    info = SimpleNamespace(k=[500.0, 0, 320, 0, 510, 240, 0, 0, 1], p=[0.0] * 12, width=640, height=480)
    camera = camera_of(info, "camera_info")
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (500, 510, 320, 240)
    with pytest.raises(FrameRefused, match="camera_info: expected positive focal lengths"):
        camera_of(SimpleNamespace(k=[0.0] * 9, p=[0.0] * 12, width=640, height=480), "camera_info")


def test_a_rectified_image_has_the_intrinsics_of_the_projection_matrix():
    k, p = [500.0, 0, 320, 0, 510, 240, 0, 0, 1], [480.0, 0, 310, -24, 0, 490, 250, 0, 0, 0, 1, 0]
    camera = camera_of(SimpleNamespace(k=k, p=p, width=640, height=480), "camera_info")
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (480, 490, 310, 250)
    # Uncalibrated, as the message defines it.
    with pytest.raises(FrameRefused, match="camera_info: expected positive focal lengths"):
        camera_of(SimpleNamespace(k=[0.0] * 9, p=p, width=640, height=480), "camera_info")
