"""Statistics of scans, worked out on planes and boxes of known measures."""

from dataclasses import replace

import numpy as np
import pytest

from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene, SceneSet
from dspdet3d_ros.learning.datasets.scan_statistics import level_planes, scene_statistics, summaries, table

pytest.importorskip("scipy", reason="distances between points are found with scipy")


def plane(noise=0.0, slope=0.0, size=0.5, seed=0):
    """A point in the middle of each 1 cm column, z = 0.105 plus noise and slope."""
    middles = np.arange(0.005, size, 0.01)
    x, y = (grid.ravel() for grid in np.meshgrid(middles, middles))
    z = 0.105 + slope * (x - size / 2) + np.random.default_rng(seed).normal(0, noise, x.size)
    return np.column_stack([x, y, z])


def scene(xyz, boxes=()):
    boxes = np.array(boxes, np.float32).reshape(-1, 6)
    return LabelledScene("s", "all", np.asarray(xyz, np.float32), boxes, ("cup",) * len(boxes))


def test_thickness_is_the_noise_across_the_plane_whatever_its_slope():
    for slope in (0.0, 0.1):
        planes = level_planes(plane(noise=0.004, slope=slope))
        assert len(planes.thickness) == 25
        assert np.sqrt(np.mean(planes.thickness**2)) == pytest.approx(0.004 / np.hypot(1, slope), rel=0.05)
    np.testing.assert_allclose(level_planes(plane()).thickness, 0, atol=1e-6)


def test_a_full_layer_has_a_hundred_voxels_and_no_holes():
    planes = level_planes(plane())
    np.testing.assert_array_equal(planes.filled, 100)
    np.testing.assert_array_equal(planes.empty, 0)


def test_empty_columns_are_holes_but_those_below_an_object_are_not():
    xyz = plane(size=0.1)
    gone = (xyz[:, 0] < 0.03) & (xyz[:, 1] < 0.1)
    planes = level_planes(xyz[~gone])
    assert (planes.filled[0], planes.empty[0]) == (70, pytest.approx(0.3))
    lid = xyz[gone] + [0, 0, 0.12]
    planes = level_planes(np.concatenate([xyz[~gone], lid]))
    assert (planes.filled[0], planes.empty[0]) == (70, 0)


def test_walls_slopes_and_thin_scatter_are_no_planes():
    wall = plane(size=1.0)[:, [0, 2, 1]]
    assert len(level_planes(wall).thickness) == 0
    assert len(level_planes(plane(slope=0.3)).thickness) == 0
    assert len(level_planes(plane()[::3]).thickness) == 0


def test_density_sizes_and_closeness():
    boxes = [[0.1, 0.1, 0, 0.1, 0.2, 0.05], [0.205, 0.1, 0, 0.1, 0.1, 0.1], [0.4, 0.4, 0, 0.02, 0.1, 0.3]]
    values = scene_statistics(scene(plane(), boxes))
    assert values["points"] == 2500
    assert values["points_voxel"] == 1
    np.testing.assert_allclose(values["neighbour"], 0.01, rtol=1e-3)
    assert values["objects"] == 3
    np.testing.assert_allclose(np.sort(values["longest_edge"]), [0.1, 0.2, 0.3], rtol=1e-6)
    np.testing.assert_allclose(np.sort(values["shortest_edge"]), [0.02, 0.05, 0.1], rtol=1e-6)
    np.testing.assert_array_equal(values["close"], [1, 1, 0])


def test_sets_have_columns_and_a_measure_without_samples_has_a_dash():
    boxes = [[0.1, 0.1, 0, 0.1, 0.2, 0.05]]
    full, bare = scene(plane(), boxes), scene(np.random.default_rng(0).uniform(0, 3, (100, 3)))
    columns = {"full": summaries(SceneSet((lambda: full, lambda: full)))[""], "bare": summaries([bare])[""]}
    rows = {line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ") for line in table(columns).splitlines()}
    assert rows["scenes"][1:] == ["2", "1"]
    assert rows["voxels per dm² of plane"][1:] == ["100 (100–100)", "–"]
    assert rows["longest edge of an object, cm"][1:] == ["20 (20–20)", "–"]
    assert rows["objects per scene"][1:] == ["1 (1–1)", "0"]
    assert columns["full"]["longest_edge"]["samples"] == 2


def test_each_way_of_scanning_has_its_own_summary():
    scans = ("single_view", "accumulated", "single_view")
    parts = summaries(replace(scene(plane(noise=0.001 * k)), tags=(scan,)) for k, scan in enumerate(scans))
    assert {scan: part["scenes"] for scan, part in parts.items()} == {"accumulated": 1, "single_view": 2}
    assert parts["accumulated"]["plane_thickness"]["mean"] == pytest.approx(0.001, rel=0.1)
    assert summaries([]) == {}
