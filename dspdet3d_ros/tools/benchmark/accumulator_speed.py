"""Speed and memory of the accumulator, with drawn frames of 640 × 480 pixels."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from dspdet3d_ros.mapping.accumulator import Accumulator
from dspdet3d_ros.mapping.frame import Camera, RGBDFrame
from dspdet3d_ros.mapping.map_settings import MapSettings
from dspdet3d_ros.tools.benchmark.samples import summary

CAMERA = Camera(640, 480, 585.0, 585.0, 319.5, 239.5)
#: Half the size of the room, metres, and its height.
_HALF, _HEIGHT = np.array([2.5, 2.0]), 2.6
_EYE_HEIGHT = 1.5
# The camera turns around once in so many frames.
_TURN = 120
# Noise of depth as a share of the squared depth in metres: that of a structured-light camera.
_NOISE = 0.0012
#: The window of the map, which bounds its memory.
WINDOW_FRAMES = 60


def draw(number: int, rng: np.random.Generator) -> RGBDFrame:
    """One frame of the room, which has boxes along a circle; the camera is in the middle and turns.

    Args:
        number: of the frame.
        rng: for the noise of the depth.
    """
    angle = 2 * np.pi * number / _TURN
    forward = np.array([np.cos(angle), np.sin(angle), -0.6]) / np.hypot(1, 0.6)
    right = np.cross(forward, [0.0, 0, 1])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = (0, 0, _EYE_HEIGHT)
    v, u = np.mgrid[: CAMERA.height, : CAMERA.width]
    local = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, np.ones(u.shape)], axis=-1)
    rays, eye = (local @ pose[:3, :3].T).astype(np.float32), pose[:3, 3].astype(np.float32)
    depth, colour = _room(rays, eye)
    depth += _NOISE * depth**2 * rng.standard_normal(depth.shape, np.float32)
    return RGBDFrame(np.round(depth, 3), CAMERA, pose, colour, number / 30)


def _room(rays: np.ndarray, eye: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth and colour along rays (H, W, 3) whose length along the optical axis is 1."""
    low, high = np.array([*-_HALF, 0], np.float32), np.array([*_HALF, _HEIGHT], np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(rays > 0, (high - eye) / rays, (low - eye) / rays).min(axis=-1)
        colour = np.full((*depth.shape, 3), 170, np.uint8)
        for k in range(12):
            angle = 2 * np.pi * k / 12
            middle = np.array([1.4 * np.cos(angle), 1.4 * np.sin(angle), 0.4 + 0.05 * (k % 4)], np.float32)
            half = np.array([0.15 + 0.02 * (k % 5), 0.2, 0.4], np.float32)
            one, other = (middle - half - eye) / rays, (middle + half - eye) / rays
            enter, leave = np.minimum(one, other).max(axis=-1), np.maximum(one, other).min(axis=-1)
            hit = (enter <= leave) & (enter > 0) & (enter < depth)
            depth[hit], colour[hit] = enter[hit], (20 * k, 255 - 20 * k, 90)
    return depth, colour


def measure_accumulator(device: str, frames: int) -> dict[str, Any]:
    """Frames per second and memory of the map, with and without the refinement of poses.

    Args:
        device: where the map is.
        frames: number of measured frames; a tenth more is not measured.
    """
    warmup = max(frames // 10, 2)
    drawn = [draw(number, np.random.default_rng(number)) for number in range(frames + warmup)]
    values: dict[str, Any] = {
        "width": CAMERA.width,
        "height": CAMERA.height,
        "frames": frames,
        "threads": torch.get_num_threads(),
    }
    for name, refine in (("refined", True), ("as_given", False)):
        accumulator = Accumulator(MapSettings(refine=refine, window_frames=WINDOW_FRAMES), device)
        times_ms, cpu_ms, memory = [], [], []
        for number, frame in enumerate(drawn):
            started, started_cpu = time.perf_counter(), time.process_time()
            accumulator.insert(frame)
            if device.startswith("cuda"):
                torch.cuda.synchronize(device)
            if number >= warmup:
                times_ms.append((time.perf_counter() - started) * 1000)
                # Not prolonged by other programs.
                cpu_ms.append((time.process_time() - started_cpu) * 1000)
            memory.append(accumulator.memory_bytes / 1e6)
        started = time.perf_counter()
        points = len(accumulator.cloud().xyz)
        values[name] = {
            "frame_ms": summary(times_ms),
            "cpu_ms": summary(cpu_ms),
            "frames_per_s": 1000 * len(times_ms) / sum(times_ms),
            "cloud_ms": (time.perf_counter() - started) * 1000,
            "voxels": len(accumulator),
            "points": points,
            "memory_mb": {"half": memory[len(memory) // 2], "end": memory[-1], "most": max(memory)},
        }
    return values


def table(values: dict[str, Any]) -> str:
    """The figures, one line for each way."""
    size = f"{values['width']} x {values['height']}"
    lines = [
        f"accumulator, {size}, poses {name.replace('_', ' ')}: {part['frames_per_s']:.1f} frames/s "
        f"({part['frame_ms']['median']:.1f} ms, {part['cpu_ms']['median']:.1f} ms of CPU time), "
        f"{part['voxels']} voxels, {part['memory_mb']['most']:.0f} MB, "
        f"cloud of {part['points']} points in {part['cloud_ms']:.0f} ms"
        for name, part in values.items()
        if isinstance(part, dict)
    ]
    return "\n".join(lines)
