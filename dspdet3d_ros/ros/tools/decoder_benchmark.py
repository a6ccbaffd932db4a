"""Comparison of the decoder with sensor_msgs_py on the same PointCloud2 messages: time and correctness."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
from sensor_msgs.msg import PointCloud2
from sensor_msgs_py.point_cloud2 import read_points_numpy
from std_msgs.msg import Header

from dspdet3d_ros.clouds.pointcloud2 import AXES, decode
from dspdet3d_ros.ros.interface.messages import cloud_message
from dspdet3d_ros.tools.benchmark.samples import summary

POINTS = 500_000
_ROWS = 500
_PADDING = 64


def measure_decoders(repeats: int, warmup: int, points: int = POINTS) -> dict[str, Any]:
    """Milliseconds for x, y and z of the finite points, on one core, in messages of three layouts.

    Args:
        repeats: number of measured runs of each reader on each message.
        warmup: number of runs before those.
        points: a multiple of 500.

    Returns:
        For each layout and for "dspdet3d_ros" and "sensor_msgs_py": the milliseconds (`ms`), the fraction of correct
        points (`right`), and whether the reader changed the message (`changed`).
    """
    xyz = np.random.default_rng(0).uniform(-5, 5, (points, 3)).astype(np.float32)
    layouts: dict[str, Any] = {"points": points}
    for layout, message in _messages(xyz).items():
        layouts[layout] = {name: _measure(read, message, xyz, repeats, warmup) for name, read in READERS.items()}
    return layouts


def _decode(message: PointCloud2) -> np.ndarray:
    return decode(message).xyz


def _read_points(message: PointCloud2) -> np.ndarray:
    return read_points_numpy(message, field_names=AXES, skip_nans=True)


READERS: dict[str, Callable[[PointCloud2], np.ndarray]] = {"dspdet3d_ros": _decode, "sensor_msgs_py": _read_points}


def _messages(xyz: np.ndarray) -> dict[str, PointCloud2]:
    """Messages of the same points with colours, 16 bytes a point: as usual, with padded rows, and big-endian."""
    plain = cloud_message(Header(frame_id="map"), xyz, np.zeros(xyz.shape, np.uint8))
    width, step = len(xyz) // _ROWS, plain.point_step
    rows = np.zeros((_ROWS, width * step + _PADDING), np.uint8)
    rows[:, : width * step] = np.frombuffer(plain.data, np.uint8).reshape(_ROWS, -1)
    padded = _copy(plain, rows)
    padded.height, padded.width, padded.row_step = _ROWS, width, rows.shape[1]
    big_endian = _copy(plain, np.frombuffer(plain.data, ">u4").byteswap())
    big_endian.is_bigendian = True
    return {"one row": plain, "padded rows": padded, "big-endian": big_endian}


def _copy(message: PointCloud2, data: np.ndarray) -> PointCloud2:
    """The message with other bytes."""
    other = PointCloud2(header=message.header, height=1, width=message.width, fields=message.fields)
    other.point_step, other.row_step, other.is_dense = message.point_step, message.row_step, message.is_dense
    other.data = array("B", data.tobytes())
    return other


def _measure(
    read: Callable[[PointCloud2], np.ndarray], message: PointCloud2, xyz: np.ndarray, repeats: int, warmup: int
) -> dict[str, Any]:
    before, samples, right = message.data, [], []
    for _ in range(warmup + repeats):
        message.data = array("B", before)
        start = time.perf_counter()
        found = read(message)
        samples.append((time.perf_counter() - start) * 1e3)
        right.append(float((found == xyz).all(axis=1).mean()) if found.shape == xyz.shape else 0.0)
    changed = message.data != before
    message.data = before
    return {"ms": summary(samples[warmup:]), "right": min(right), "changed": changed}


def table(values: dict[str, Any]) -> str:
    """One line for each layout."""
    lines = [f"decoding {values['points']} points of 16 bytes on one core:"]
    for layout, readers in values.items():
        if layout == "points":
            continue
        cells = [
            f"{name} {figures['ms']['median']:.1f} ms, {figures['right']:.1%} right"
            f"{', the message is changed' * figures['changed']}"
            for name, figures in readers.items()
        ]
        lines.append(f"  {layout}: {'; '.join(cells)}")
    return "\n".join(lines)
