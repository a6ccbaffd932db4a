"""Boxes of labelled objects after turns, against the surfaces that the generator knows."""

from dataclasses import replace

import numpy as np
import pytest

from dspdet3d_ros.geometry import box_between, corners, rotate
from dspdet3d_ros.learning.datasets.extents import extents_along, moved_extents, plan_extents
from dspdet3d_ros.learning.datasets.label_boxes import LEAST_POINTS, fit_boxes, labelled_objects, mapped_boxes

#: Lower objects are flat: their boxes are the first to suffer from noise.
THIN_M = 0.04
#: Seen from straight above, a flat object shows no height that a box could have.
LEAST_HEIGHT_M = 0.003


def test_fitted_boxes_span_their_points():
    rng = np.random.default_rng(0)
    xyz = rng.uniform([1, 2, 0], [1.1, 2.2, 0.15], (500, 3))
    boxes = fit_boxes(xyz, np.full(500, 2), 2)
    assert boxes[1] == pytest.approx([1.05, 2.1, 0.075, 0.1, 0.2, 0.15], abs=0.01)
    assert not boxes[0].any()


def test_objects_with_few_points_are_not_labelled_and_the_others_count_on():
    inst = np.repeat([0, 1, 2, 3], [5, LEAST_POINTS, LEAST_POINTS - 1, LEAST_POINTS])
    seen, number = labelled_objects(inst, 4)
    assert seen.tolist() == [True, False, True, False]
    assert np.bincount(number).tolist() == [5 + LEAST_POINTS - 1, LEAST_POINTS, LEAST_POINTS]


@pytest.mark.parametrize("angle", np.linspace(-4, 7, 23))
def test_extents_say_how_far_objects_reach_along_any_direction(angle):
    # Corners of a box far away: exact. A round object: at most a fifth of a percent of its radius too far.
    rng = np.random.default_rng(0)
    corners_of_box = np.array([[x, y] for x in (0.0, 0.2) for y in (0.0, 0.05)]) @ rotate("z", 0.3)[:2, :2].T
    circle = 0.1 * np.column_stack([np.cos(a := np.linspace(0, 2 * np.pi, 2000)), np.sin(a)])
    place = rng.uniform(-10, 10, 2)
    extents = moved_extents(np.stack([plan_extents(points, 0) for points in (corners_of_box, circle)]), place)
    vector = 1.5 * np.array([np.cos(angle), np.sin(angle)])
    found = extents_along(extents, vector)
    for k, (points, tolerance) in enumerate([(corners_of_box, 2e-4), (circle, 4e-4)]):
        along = (points + place) @ vector
        assert found[k] == pytest.approx([along.min(), along.max()], abs=tolerance)


@pytest.fixture(scope="module")
def generated():
    """Scenes with (N, 3) true surface points of each object, which the generator uses for its labels."""
    pytest.importorskip("embreex", reason="scenes are ray cast with embreex")
    from dspdet3d_ros.learning.generation.scan import Scan
    from dspdet3d_ros.learning.generation.scene import generate_scene

    found, surfaces_of = [], Scan.surfaces

    def recorded(scan, survives):
        chosen = survives[scan.true_of]
        points, number = scan.true[chosen], scan.number[scan.true_of[chosen]]
        surfaces = surfaces_of(scan, survives)
        seen.extend((surface, points[number == k]) for k, surface in surfaces.items())
        return surfaces

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scan, "surfaces", recorded)
        for seed, kind in [*((seed, "table") for seed in range(952000, 952008)), (952001, "room")]:
            seen: list = []
            scene = generate_scene(seed, kind)
            found.append((scene, [points_of(box, seen) for box in scene.boxes]))
    return found


def points_of(box, seen):
    """The true surface points of a box, in the frame of the scene."""
    surface, points = min(seen, key=lambda one: np.abs(one[0].high - one[0].low - box[3:]).max())
    return points + box[:3] - (surface.low + surface.high) / 2


def overlap(a, b):
    (low_a, high_a), (low_b, high_b) = corners(a.astype(np.float64)), corners(b)
    shared = np.clip(np.minimum(high_a, high_b) - np.maximum(low_a, low_b), 0, None).prod(1)
    return shared / (a[:, 3:].prod(1) + b[:, 3:].prod(1) - shared)


def overlaps_after(generated, matrix, boxes_after):
    """IoU with the true boxes after a map, and which of the objects are thin."""
    found, thin = [], []
    for scene, points in generated:
        true = np.array([box_between(*np.percentile(part @ matrix.T, (0.5, 99.5), axis=0)) for part in points])
        there = scene.boxes[:, 5] >= LEAST_HEIGHT_M
        found.append(overlap(boxes_after(scene), true)[there])
        thin.append((scene.boxes[:, 5] < THIN_M)[there])
    return np.concatenate(found), np.concatenate(thin)


ANGLES = [20, 45, 69]
MIRRORED = np.diag([-1.07, 1.07, 1.07])


@pytest.mark.parametrize("before", [np.eye(3), MIRRORED], ids=["turned", "mirrored and scaled"])
@pytest.mark.parametrize(
    ("known", "least", "least_of_thin"), [(True, 0.98, 0.98), (False, 0.93, 0.9)], ids=["extents", "margins"]
)
def test_exact_boxes_fit_the_true_surfaces_after_turns(generated, before, known, least, least_of_thin):
    overlaps, thin = [], []
    for degrees in ANGLES:
        matrix = rotate("z", np.deg2rad(degrees)) @ before

        def boxes_after(scene, matrix=matrix):
            inst = scene.inst.astype(np.int32)
            extents = scene.extents if known else None
            return mapped_boxes(scene.boxes, matrix, extents, (scene.xyz, scene.xyz @ matrix.T, inst))

        found, flat = overlaps_after(generated, matrix, boxes_after)
        overlaps.append(found)
        thin.append(flat)
    overlap_of_all, flat = np.concatenate(overlaps), np.concatenate(thin)
    assert flat.sum() >= 15
    assert overlap_of_all.mean() >= least
    assert overlap_of_all[flat].mean() >= least_of_thin


def test_boxes_fitted_to_noisy_points_are_no_match_for_exact_ones(generated):
    """The figure of the test above if rotated boxes were fitted again."""
    matrix = rotate("z", np.deg2rad(45))
    found, thin = overlaps_after(
        generated, matrix, lambda scene: fit_boxes(scene.xyz @ matrix.T, scene.inst.astype(int), len(scene.boxes))
    )
    assert found.mean() < 0.9
    assert found[thin].mean() < 0.8


@pytest.mark.parametrize("known", [True, False])
def test_without_a_turn_boxes_are_those_of_the_scene(generated, known):
    for scene, _ in generated:
        points = (scene.xyz, scene.xyz, scene.inst.astype(np.int32))
        found = mapped_boxes(scene.boxes, np.eye(3), scene.extents if known else None, points)
        there = scene.boxes[:, 3:].min(1) >= LEAST_HEIGHT_M
        np.testing.assert_allclose(found[there], scene.boxes[there], atol=1e-6)


def test_scenes_from_files_say_that_their_boxes_are_exact(generated, tmp_path):
    from dspdet3d_ros.learning.datasets.folders import open_scenes
    from dspdet3d_ros.learning.datasets.scene_files import save_scene
    from dspdet3d_ros.learning.training.scenes import training_scene

    scene, _ = generated[0]
    save_scene(tmp_path / "000001.npz", scene)
    save_scene(tmp_path / "000002.npz", replace(scene, extents=None))
    new, old = open_scenes(tmp_path)
    assert new.exact
    assert old.exact
    np.testing.assert_array_equal(new.extents, scene.extents)
    assert old.extents is None
    assert training_scene(new, tuple(set(new.names))).extents is new.extents
