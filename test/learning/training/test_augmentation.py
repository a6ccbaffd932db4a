"""Crops, turns, mirroring, scaling and thinning leave labelled scenes whose boxes are right."""

from dataclasses import replace

import numpy as np
import pytest
from labelled_table import names_of, table

from dspdet3d_ros.geometry import rotate
from dspdet3d_ros.learning.datasets.extents import plan_extents
from dspdet3d_ros.learning.training.augmentation import augment, crop, mapped, thin
from dspdet3d_ros.learning.training.training_config import TrainingConfig

CONFIG = TrainingConfig(iterations=4, batch_size=2, crop_size=1.5, points_per_scene=3000, yaw=3.14)
#: How far the noise of the points of an exact scene reaches beyond its surfaces, metres.
NOISE = 0.01


def exact_table():
    """The table with the boxes and extents of its surfaces; the points reach beyond them on all sides."""
    scene = table()
    extents = np.stack([plan_extents(scene.xyz[scene.inst == k], 0) for k in (1, 2, 3)]).astype(np.float32)
    ends = np.stack([[scene.xyz[scene.inst == k].min(0), scene.xyz[scene.inst == k].max(0)] for k in (1, 2, 3)])
    boxes = np.concatenate([ends.mean(1), np.ptp(ends, axis=1)], 1).astype(np.float32)
    noisy = scene.xyz.copy()
    for k in (1, 2, 3):
        points, centre = scene.xyz[scene.inst == k], boxes[k - 1, :3]
        noisy[scene.inst == k] = centre + (points - centre) * (1 + 2 * NOISE / boxes[k - 1, 3:])
    return replace(scene, xyz=noisy, boxes=boxes, exact=True, extents=extents)


def holds_its_points(scene):
    for k, (center, size) in enumerate(zip(scene.boxes[:, :3], scene.boxes[:, 3:], strict=True)):
        inside = (np.abs(scene.xyz[scene.inst == k + 1] - center) <= size / 2 + 0.01).all(1)
        assert inside.mean() > 0.9


@pytest.mark.parametrize("angle", [0.3, 1.0, -2.0])
def test_fitted_boxes_hold_their_points_after_any_turn(angle):
    turned = mapped(table(), rotate("z", angle))
    assert turned.names == names_of(4, 5, 6)
    holds_its_points(turned)


def test_without_instances_turns_stay_small_and_boxes_keep_their_size():
    scene = replace(table(), inst=None)
    for seed in range(5):
        turned = augment(scene, replace(CONFIG, crop_size=0), np.random.default_rng(seed), 0)
        scale = turned.boxes[:, 3:] / scene.boxes[:, 3:]
        assert scale == pytest.approx(np.full((3, 3), scale[0, 0]))
        assert 0.9 <= scale[0, 0] <= 1.1
        assert np.abs(np.abs(turned.boxes[:, :3] / scale) - np.abs(scene.boxes[:, :3])).max() < 0.05


@pytest.mark.parametrize("make", [table, exact_table])
@pytest.mark.parametrize("seed", range(8))
def test_a_crop_labels_whole_objects_and_drops_the_points_of_cut_ones(seed, make):
    scene = make()
    part = crop(scene, 0.9, np.random.default_rng(seed))
    assert 0 < len(part.xyz) < len(scene.xyz)
    assert set(np.unique(part.inst)) <= set(range(len(part.boxes) + 1))
    for k in range(len(part.boxes)):
        assert (part.inst == k + 1).sum() >= 0.6 * 500
    holds_its_points(part)


def test_a_crop_keeps_the_exact_box_of_what_it_holds_whole_and_cuts_that_of_the_rest():
    scene, whole, cut = exact_table(), 0, 0
    for seed in range(60):
        part = crop(scene, 0.5, np.random.default_rng(seed))
        for k, name in enumerate(part.names):
            index = scene.names.index(name)
            before, after = scene.boxes[index], part.boxes[k]
            points = (part.inst == k + 1).sum()
            if points == 500:
                whole += 1
                assert np.array_equal(after, before)
                assert np.array_equal(part.extents[k], scene.extents[index])
            else:
                cut += 1
                assert np.isnan(part.extents[k]).all(), "the extents of the whole object are not those of its rest"
                # It is smaller in plan, and as high as before.
                assert after[3:5].prod() < before[3:5].prod() * (1 if points < 450 else 1.001)
                assert after[[2, 5]] == pytest.approx(before[[2, 5]], abs=0.003)
                assert (np.abs(after[:3] - before[:3]) + after[3:] / 2 <= before[3:] / 2 + 1e-6).all()
    assert whole > 10
    assert cut > 2


def test_exact_boxes_move_with_the_scene_and_do_not_grow_with_the_noise():
    scene = exact_table()
    quarter = mapped(scene, rotate("z", np.pi / 2))
    np.testing.assert_allclose(quarter.boxes, scene.boxes[:, [1, 0, 2, 4, 3, 5]] * [-1, 1, 1, 1, 1, 1], atol=1e-5)
    doubled = mapped(scene, np.diag([-2.0, 2, 2]))
    np.testing.assert_allclose(doubled.boxes, scene.boxes * [-2, 2, 2, 2, 2, 2], atol=1e-5)
    fitted = mapped(replace(scene, exact=False), np.eye(3))
    assert (fitted.boxes[:, 3:] > scene.boxes[:, 3:] + NOISE).all()


@pytest.mark.parametrize("known", ["all", "none", "some"])
def test_without_a_turn_exact_boxes_stay_as_they_are(known):
    scene = exact_table()
    extents = {"all": scene.extents, "none": None, "some": scene.extents.copy()}[known]
    if known == "some":
        extents[1] = np.nan
    found = mapped(replace(scene, extents=extents), np.eye(3))
    np.testing.assert_allclose(found.boxes, scene.boxes, atol=1e-6)


def test_thinning_leaves_the_asked_number_in_random_order():
    part = thin(table(), 100, np.random.default_rng(0))
    assert len(part.xyz) == len(part.inst) == 100
    assert len(set(part.inst[:50])) > 1


@pytest.mark.parametrize("make", [table, exact_table])
@pytest.mark.parametrize("seed", range(4))
def test_augmented_scenes_stay_labelled_scenes(seed, make):
    scene = augment(make(), CONFIG, np.random.default_rng(seed), CONFIG.crop_size)
    assert len(scene.xyz) <= CONFIG.points_per_scene
    assert len(scene.boxes) == len(scene.names) > 0
    assert scene.xyz.dtype == scene.boxes.dtype == np.float32
    holds_its_points(scene)
