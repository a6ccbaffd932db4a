"""scripts/fuse_frames makes one level cloud of posed depth frames."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "fuse_frames"
IMAGE = pytest.importorskip("PIL.Image", reason="frames are read with Pillow, which matplotlib brings")
WIDTH, HEIGHT, FOCAL = 160, 120, 140.0


def run(folder, *arguments):
    command = [sys.executable, str(SCRIPT), str(folder), str(folder / "out.npz"), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def write_frames(folder, count):
    """Views of the plane y = 1 (y down, as in a camera's own axes) with a block 20 cm high on it, from 1 m above."""
    np.savetxt(folder / "camera-intrinsics.txt", [[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]])
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    rays = np.stack([(u - WIDTH / 2) / FOCAL, (v - HEIGHT / 2) / FOCAL, np.ones(u.shape)], -1)
    for number in range(count):
        tilt = np.radians(50 + number)
        turn = np.array([[1, 0, 0], [0, np.cos(tilt), np.sin(tilt)], [0, -np.sin(tilt), np.cos(tilt)]])
        down = (rays @ turn.T)[..., 1]
        floor, lid = (np.where(down > 0.05, height / np.maximum(down, 0.05), 0) for height in (1.0, 0.8))
        place = lid[..., None] * (rays @ turn.T)
        on_block = (np.abs(place[..., 0]) < 0.1) & (np.abs(place[..., 2] - 0.8) < 0.1)
        depth = np.where(on_block, lid, floor)
        IMAGE.fromarray((depth * 1000).astype(np.uint16)).save(folder / f"frame-{number:06d}.depth.png")
        IMAGE.new("RGB", (WIDTH, HEIGHT), (9, 90, 200)).save(folder / f"frame-{number:06d}.color.jpg")
        pose = np.eye(4)
        pose[:3, :3] = turn
        np.savetxt(folder / f"frame-{number:06d}.pose.txt", pose)


def test_frames_become_one_cloud_whose_floor_is_level_though_up_was_given_roughly(tmp_path):
    write_frames(tmp_path, 3)
    done = run(tmp_path, "--first", "0", "--count", "3", "--up", "0.06", "-1", "0.05")
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz") as stored:
        xyz, rgb = stored["xyz"], stored["rgb"]
    assert len(np.unique(np.floor(xyz / 0.005).astype(int), axis=0)) == len(xyz) > 1000
    floor = xyz[xyz[:, 2] < 0.1]
    slope = np.linalg.lstsq(np.column_stack([floor[:, :2], np.ones(len(floor))]), floor[:, 2], rcond=None)[0]
    assert np.abs(slope[:2]).max() < 0.003
    assert floor[:, 2].std() < 0.003
    high = xyz[np.abs(xyz[:, 2] - 0.2) < 0.01]
    assert len(high) > 50
    np.testing.assert_allclose(np.ptp(high[:, :2], axis=0), 0.2, atol=0.04)
    assert np.abs(rgb.astype(int) - [9, 90, 200]).max() < 10


def test_a_missing_frame_is_named(tmp_path):
    write_frames(tmp_path, 1)
    done = run(tmp_path, "--first", "0", "--count", "2", "--up", "0", "-1", "0")
    assert done.returncode == 1
    assert "frame-000001" in done.stderr
    assert done.stderr.count("\n") == 1
