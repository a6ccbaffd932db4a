"""From a depth image to points, normals and colours."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from box_scene import BOX, BOX_HIGH, CAMERA, FLOOR, WALL, frame, looking_at, orbit, surface_distance

from dspdet3d_ros.mapping.frame import Camera, FrameRefused, RGBDFrame
from dspdet3d_ros.mapping.map_settings import MapSettings
from dspdet3d_ros.mapping.pixels import frame_points

POSE = orbit(3)[1]
SETTINGS = MapSettings()


def in_world(points, pose=POSE):
    return points.xyz.numpy().T @ pose[:3, :3].T + pose[:3, 3], points.normals.numpy().T @ pose[:3, :3].T


@pytest.mark.parametrize("decimation", [1, 2, 3])
def test_points_lie_on_the_surfaces_and_normals_are_theirs(decimation):
    points = frame_points(frame(POSE), replace(SETTINGS, decimation=decimation))
    xyz, normals = in_world(points)
    assert len(xyz) > 0.5 * CAMERA.width * CAMERA.height / decimation**2
    assert np.quantile(surface_distance(xyz), 0.9) < 0.003
    floor = (np.abs(xyz[:, 2]) < 0.005) & (np.abs(xyz[:, 0]) > 0.55) & (xyz[:, 1] < 0.5)
    assert floor.sum() > 30
    assert np.degrees(np.arccos(normals[floor, 2].clip(-1, 1))).max() < 2


def test_an_image_that_decimation_leaves_too_small_is_refused():
    small = RGBDFrame(np.ones((12, 16), np.float32), Camera(16, 12, 20.0, 20.0, 8.0, 6.0), None, None)
    assert frame_points(small, replace(SETTINGS, decimation=1)).xyz.shape[1] > 0
    with pytest.raises(FrameRefused, match="16 x 12 pixels are too few for decimation = 4, which leaves 4 x 3"):
        frame_points(small, replace(SETTINGS, decimation=4))


def test_pixels_at_depth_edges_are_left_out():
    # Between the lid of the box and the floor behind it the depth jumps.
    pose = looking_at((0, -1, 0.35), (0, 0, 0.25))
    depth = frame(pose).depth
    # Flying pixels, as cameras make them: a mean of both sides.
    row = np.flatnonzero(np.abs(np.diff(depth[:, 80])) > 0.2)
    assert len(row)
    depth[row[0]] = (depth[row[0]] + depth[row[0] + 1]) / 2
    xyz, _ = in_world(frame_points(replace(frame(pose), depth=depth), SETTINGS), pose)
    assert surface_distance(xyz).max() < 0.01


def test_gaps_between_measured_pixels_are_no_edges():
    depth = frame(POSE).depth
    full = len(frame_points(frame(POSE), SETTINGS).weights)
    depth[::4], depth[:, ::4] = 0, 0
    assert len(frame_points(replace(frame(POSE), depth=depth), SETTINGS).weights) > 0.8 * full


def test_grazing_angles_are_left_out():
    pose = looking_at((0, -2.5, 0.3), (0, 0, 0.0))
    seen, _ = in_world(frame_points(frame(pose), replace(SETTINGS, max_incidence_deg=90.0, depth_edge=0.5)), pose)
    kept, _ = in_world(frame_points(frame(pose), replace(SETTINGS, max_incidence_deg=75.0, depth_edge=0.5)), pose)
    far_floor = [(np.abs(xyz[:, 2]) < 0.005) & (np.hypot(xyz[:, 0], xyz[:, 1] + 2.5) > 1.3) for xyz in (seen, kept)]
    assert far_floor[0].sum() > 100
    assert far_floor[1].sum() == 0


def test_distance_limits_hold():
    points = frame_points(frame(POSE), replace(SETTINGS, min_distance=0.9, max_distance=1.3))
    assert points.xyz[2].min() >= 0.9
    assert points.xyz[2].max() <= 1.3


def test_invalid_depths_make_no_points():
    depth = frame(POSE).depth
    depth[:40], depth[40:60], depth[60:62] = np.nan, np.inf, -1
    points = frame_points(replace(frame(POSE), depth=depth), SETTINGS)
    assert torch.isfinite(points.xyz).all()
    assert (points.xyz[1] / points.xyz[2] * CAMERA.fy + CAMERA.cy > 61).all()


def shades(xyz, rgb):
    """The mean colours of the floor, the wall and the lid of the box, away from edges."""
    inner = np.abs(xyz[:, :2]).max(1) < 0.1
    lid = inner & (np.abs(xyz[:, 2] - BOX_HIGH[2]) < 0.005)
    floor = (np.abs(xyz[:, 2]) < 0.005) & (np.abs(xyz[:, 0]) > 0.3) & (xyz[:, 1] < 0.9)
    wall = (np.abs(xyz[:, 1] - 1.2) < 0.005) & (xyz[:, 2] > 0.1)
    return [rgb[mask].mean(0) for mask in (floor, wall, lid)]


def test_registered_colour_is_used_pixel_by_pixel():
    points = frame_points(frame(POSE), SETTINGS)
    for shade, expected in zip(shades(in_world(points)[0], points.rgb.numpy().T), (FLOOR, WALL, BOX), strict=True):
        np.testing.assert_allclose(shade, expected, atol=1)
    assert points.coloured.min() == 1


def test_colour_of_another_camera_is_projected():
    other = Camera(320, 200, 250.0, 250.0, 161.0, 99.0)
    moved = np.eye(4)
    moved[:3, 3] = (0.06, 0.01, 0.02)
    colour = frame(POSE @ moved, camera=other).colour
    registered = RGBDFrame(
        frame(POSE).depth, CAMERA, POSE, colour, colour_camera=other, colour_from_depth=np.linalg.inv(moved)
    )
    points = frame_points(registered, SETTINGS)
    seen = points.coloured.numpy() > 0
    assert seen.mean() > 0.8
    for shade, expected in zip(
        shades(in_world(points)[0][seen], points.rgb.numpy().T[seen]), (FLOOR, WALL, BOX), strict=True
    ):
        np.testing.assert_allclose(shade, expected, atol=2)


def test_without_colour_there_are_no_colours():
    points = frame_points(frame(POSE, colour=None), SETTINGS)
    assert points.rgb is None
    assert points.coloured is None
