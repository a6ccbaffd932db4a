import dataclasses

import numpy as np
import pytest

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.training.config import TrainingConfig, load_training_config
from dspdet3d_ros.training.scenes import (
    CropDataset,
    TrainingScene,
    augment,
    crop,
    read_training_scene,
    scene_files,
    thin,
    turn,
    visible_boxes,
)

CONFIG = TrainingConfig(iterations=4, batch_size=2, crop_size=1.5, points_per_scene=3000, yaw=3.14)


def table(seed=0):
    """A plane with three blocks of points on it."""
    rng = np.random.default_rng(seed)
    plane = np.column_stack([rng.uniform(-1, 1, (4000, 2)), rng.normal(0, 0.002, 4000)])
    parts, inst = [plane], [np.zeros(4000, np.int32)]
    for k, (x, y) in enumerate([(-0.5, 0), (0.1, 0.4), (0.6, -0.3)]):
        parts.append(rng.uniform([x, y, 0], [x + 0.1, y + 0.2, 0.15], (500, 3)))
        inst.append(np.full(500, k + 1, np.int32))
    xyz, number = np.concatenate(parts).astype(np.float32), np.concatenate(inst)
    boxes, _ = visible_boxes(xyz, number, 3)
    return TrainingScene(xyz, number, boxes, np.array([4, 5, 6]))


def holds_its_points(scene):
    for k, (center, size) in enumerate(zip(scene.boxes[:, :3], scene.boxes[:, 3:], strict=True)):
        inside = (np.abs(scene.xyz[scene.inst == k + 1] - center) <= size / 2 + 0.01).all(1)
        assert inside.mean() > 0.9


def test_visible_boxes_span_their_points():
    scene = table()
    assert scene.boxes[0] == pytest.approx([-0.45, 0.1, 0.075, 0.1, 0.2, 0.15], abs=0.01)
    boxes, numbers = visible_boxes(scene.xyz[:10], np.zeros(10, np.int32), 2)
    assert numbers.tolist() == [0, 0]
    assert not boxes.any()


@pytest.mark.parametrize("seed", range(5))
def test_boxes_hold_their_points_after_any_turn(seed):
    turned = turn(table(), 3.14, np.random.default_rng(seed))
    assert turned.labels.tolist() == [4, 5, 6]
    holds_its_points(turned)


def test_without_instances_turns_stay_small_and_boxes_keep_their_size():
    scene = dataclasses.replace(table(), inst=None)
    turned = turn(scene, 3.14, np.random.default_rng(1))
    assert np.array_equal(turned.boxes[:, 3:], scene.boxes[:, 3:])
    assert np.abs(turned.boxes - scene.boxes).max() < 0.05


@pytest.mark.parametrize("seed", range(8))
def test_a_crop_labels_whole_things_and_drops_the_points_of_cut_ones(seed):
    scene = table()
    part = crop(scene, 0.9, np.random.default_rng(seed))
    assert 0 < len(part.xyz) < len(scene.xyz)
    assert set(np.unique(part.inst)) <= set(range(len(part.boxes) + 1))
    for k in range(len(part.boxes)):
        assert (part.inst == k + 1).sum() >= 0.6 * 500
    holds_its_points(part)


def test_thinning_leaves_the_asked_number_in_random_order():
    part = thin(table(), 100, np.random.default_rng(0))
    assert len(part.xyz) == len(part.inst) == 100
    assert len(set(part.inst[:50])) > 1


@pytest.mark.parametrize("seed", range(4))
def test_augmented_scenes_stay_labelled_scenes(seed):
    scene = augment(table(), CONFIG, np.random.default_rng(seed))
    assert len(scene.xyz) <= CONFIG.points_per_scene
    assert len(scene.boxes) == len(scene.labels) > 0
    holds_its_points(scene)


def test_a_batch_is_a_function_of_seed_iteration_and_rank():
    def numbers(seed, iteration, rank):
        batch = CropDataset([table(0), table(1)], CONFIG, seed, rank)[iteration]
        return [float(part.double().sum()) for scene in batch for part in vars(scene).values()]

    assert numbers(1, 2, 0) == numbers(1, 2, 0)
    assert len({tuple(numbers(*key)) for key in ((1, 2, 0), (2, 2, 0), (1, 3, 0), (1, 2, 1))}) == 4


def test_a_folder_without_scenes_is_named(tmp_path):
    with pytest.raises(InputError, match=str(tmp_path)):
        scene_files(tmp_path)


def test_a_class_the_model_does_not_know_is_named(tmp_path):
    pytest.importorskip("embreex", reason="scenes are made with embreex, which is not installed")
    from dspdet3d_ros.generation.files import save_scene
    from dspdet3d_ros.generation.scene import generate_scene

    scene = generate_scene(3, "table")
    save_scene(tmp_path / "a.npz", scene)
    read = read_training_scene(tmp_path / "a.npz", tuple(sorted(set(scene.names))))
    assert len(read.labels) == len(scene.names)
    with pytest.raises(InputError, match=r"a\.npz.*class"):
        read_training_scene(tmp_path / "a.npz", ("nothing",))


@pytest.mark.parametrize("wrong", [{"schedule": "often"}, {"precision": "int8"}, {"iterations": 0}, {"rate": 1}])
def test_an_unusable_recipe_is_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        load_training_config("small", **wrong)
