"""The detector from points to boxes, with a small network of random weights in a real checkpoint."""

import gc
from dataclasses import replace

import numpy as np
import pytest
import torch
from random_cloud import cloud

from dspdet3d_ros.detector.loaded_model import choose_device
from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.errors import InputError


def test_boxes_come_sorted_finite_and_with_names(detector, tiny_model):
    found = detector(cloud())
    assert len(found) > 0
    assert (np.diff(found.scores) <= 0).all()
    assert np.isfinite(found.boxes).all()
    assert (found.boxes[:, 3:] > 0).all()
    assert set(found.names) <= set(tiny_model.classes)


def test_stats_say_what_was_done(detector):
    points = np.concatenate([cloud(), [[np.nan, 0, 0], [0, np.inf, 0]]])
    stats = detector(points, replace(detector.default_settings(), pruning_threshold=0.6)).stats
    assert (stats.points_in, stats.points_used) == (5002, 5000)
    assert 0 < stats.voxels <= 5000
    assert [cells.level for cells in stats.levels] == [3, 2, 1, 0]
    assert all(cells.kept <= cells.before for cells in stats.levels)
    assert stats.pruning_threshold == 0.6
    assert stats.total_ms == pytest.approx(sum(stats.stage_ms.values()))
    assert (stats.device, stats.backend) == ("cpu", detector.backend)


def test_a_higher_threshold_keeps_fewer_cells(detector):
    cells = []
    for tau in (0.0, 0.5, 1.0):
        stats = detector(cloud(), replace(detector.default_settings(), pruning_threshold=tau)).stats
        cells.append(sum(level.before for level in stats.levels))
    assert cells[0] > cells[1] > cells[2] > 0


@pytest.mark.parametrize("steps", [(0, 0, 0), (157, -62, 9), (31250, 31250, 313), (1406250, -16875003, 977)])
def test_a_cloud_moved_by_multiples_of_the_coarsest_cell_gives_the_same_boxes(detector, steps):
    shift = np.array(steps) * 0.32
    points = cloud()
    here, there = detector(points), detector(points + shift)
    assert len(here) == len(there)
    moved = here.boxes + np.array([*shift, 0, 0, 0])
    assert np.abs(moved - there.boxes).max() < 1e-6


@pytest.mark.parametrize(
    "points",
    [
        np.empty((0, 3)),
        np.full((10, 3), np.nan),
        np.zeros((1, 3)),
        np.zeros((100, 3)),
        np.column_stack([np.linspace(0, 1, 50), np.zeros(50), np.zeros(50)]),
        np.column_stack([cloud()[:, :2], np.zeros(5000)]),
        np.array([[0.0, 0, 0], [100, 100, 100]]),
    ],
    ids=["empty", "nan", "one", "equal", "line", "plane", "far apart"],
)
def test_degenerate_clouds_give_a_result(detector, points):
    found = detector(points)
    assert np.isfinite(found.boxes).all()
    assert found.stats.points_in == len(points)


@pytest.mark.parametrize("here", [0.0, 4.48e5])
def test_points_beyond_the_voxel_range_are_left_out_and_counted_and_move_no_box(detector, here):
    points = cloud() + here
    clean = detector(points)
    for far in (1e5, 1e30):
        found = detector(np.concatenate([[[here, here, far], [far + here, 0, 0]], points]))
        assert np.array_equal(found.boxes, clean.boxes)
        stats = found.stats
        assert (stats.points_in, stats.points_used, stats.points_out_of_range) == (5002, 5000, 2)
    assert clean.stats.points_out_of_range == 0


def test_where_all_points_are_out_of_range_there_are_no_boxes(tiny_checkpoint):
    found = Detector.load(checkpoint=tiny_checkpoint, device="cpu", recenter=False)(cloud() + 1e4)
    assert len(found) == 0
    assert (found.stats.points_used, found.stats.points_out_of_range) == (0, 5000)


def test_integers_and_doubles_are_taken(detector):
    whole = (cloud() * 100).astype(np.int32)
    assert detector(whole).stats.points_used == len(whole)


def test_too_many_points_are_thinned(tiny_checkpoint):
    stats = Detector.load(checkpoint=tiny_checkpoint, device="cpu", max_points=1000)(cloud()).stats
    assert (stats.points_in, stats.points_used) == (5000, 1000)


def test_too_many_voxels_are_thinned(tiny_checkpoint):
    whole = Detector.load(checkpoint=tiny_checkpoint, device="cpu")(cloud()).stats.voxels
    for most in (1, 999, whole - 1, whole, whole + 1):
        stats = Detector.load(checkpoint=tiny_checkpoint, device="cpu", max_voxels=most)(cloud()).stats
        assert stats.voxels == min(most, whole)


def test_the_same_cloud_twice_gives_the_same_boxes(detector):
    first, second = detector(cloud()), detector(cloud())
    assert np.array_equal(first.boxes, second.boxes)
    assert np.array_equal(first.scores, second.scores)


def test_class_filter_and_limit_apply(detector):
    settings = replace(detector.default_settings(), class_filter=("book",), max_detections=3)
    found = detector(cloud(), settings)
    assert len(found) <= 3
    assert set(found.names) <= {"book"}


def test_the_checkpoint_brings_its_own_model(detector, tiny_model):
    assert detector.class_names == tiny_model.classes
    assert len(detector.checkpoint_sha256) == 64


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"model": "none"}, "model"),
        ({"checkpoint": "none.pth"}, "none.pth"),
        ({"model": "scannet_md40"}, "checkpoint"),
        ({"device": "tpu"}, "device"),
        ({"device": "cuda:99"}, "device"),
        ({"device": "meta"}, "device"),
        ({"backend": "fast"}, "backend"),
        ({"max_points": 0}, "max_points"),
        ({"max_voxels": 0}, "max_voxels"),
    ],
)
def test_what_cannot_be_loaded_is_named(arguments, word):
    with pytest.raises(InputError, match=word):
        Detector.load(**arguments)


def test_the_device_is_chosen_by_what_is_there():
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu").type == "cpu"


def test_a_cloud_leaves_no_tensor_for_the_garbage_collector(detector):
    def tensors():
        return sum(issubclass(type(one), torch.Tensor) for one in gc.get_objects())

    detector(cloud())
    gc.collect()
    before = tensors()
    gc.disable()
    try:
        assert len(detector(cloud(1))) > 0
        assert tensors() <= before
    finally:
        gc.enable()
