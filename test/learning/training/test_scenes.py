import dataclasses

import numpy as np
import pytest
from labelled_table import CLASSES, names_of, scene_of, table

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene
from dspdet3d_ros.learning.training.crops import CropDataset, crop_origin
from dspdet3d_ros.learning.training.scenes import training_scene
from dspdet3d_ros.learning.training.training_config import TrainingConfig, load_training_config

CONFIG = TrainingConfig(iterations=4, batch_size=2, crop_size=1.5, points_per_scene=3000, yaw=3.14)


def test_a_batch_is_a_function_of_seed_iteration_and_rank():
    def numbers(seed, iteration, rank):
        batch = CropDataset([table(0), table(1)], CLASSES, CONFIG, seed, rank, recenter=True)[iteration]
        return [float(part.double().sum()) for scene in batch for part in (scene.points, scene.boxes)]

    assert numbers(1, 2, 0) == numbers(1, 2, 0)
    assert len({tuple(numbers(*key)) for key in ((1, 2, 0), (2, 2, 0), (1, 3, 0), (1, 2, 1))}) == 4


def test_a_pass_takes_every_scene_once_over_all_processes():
    marked = [dataclasses.replace(table(i), names=names_of(i, i, i)) for i in range(6)]
    whole = TrainingConfig(iterations=2, batch_size=1, points_per_scene=20_000)
    data = [CropDataset(marked, CLASSES, whole, 5, rank, 3, recenter=True) for rank in range(3)]
    seen = [int(scene.labels[0]) for i in range(2) for part in data for scene in part[i]]
    assert sorted(seen) == list(range(6))


def test_scenes_with_more_objects_are_drawn_more_often():
    few, many = table(0), table(1)
    few = dataclasses.replace(few, boxes=few.boxes[:1], names=names_of(0), inst=None)
    many = dataclasses.replace(many, names=names_of(1, 1, 1), inst=None)
    config = TrainingConfig(iterations=8, batch_size=50, points_per_scene=10, sampling="objects")
    data = CropDataset([few, many], CLASSES, config, 0, recenter=True)
    drawn = [int(scene.labels[0]) for i in range(8) for scene in data[i]]
    assert 0.65 < np.mean(drawn) < 0.85


def test_sampling_by_classes_draws_rare_ones_as_often_and_crops_about_them():
    common, rare = table(0), table(1)
    common = dataclasses.replace(common, names=names_of(0, 0, 0))
    rare = dataclasses.replace(rare, boxes=rare.boxes[:1], names=names_of(1), inst=np.where(rare.inst == 1, 1, 0))
    config = TrainingConfig(iterations=4, batch_size=50, crop_size=0.3, points_per_scene=500, sampling="classes")
    data = CropDataset([common] * 9 + [rare], CLASSES, config, 0, recenter=True)
    drawn = [scene.labels.tolist() for i in range(4) for scene in data[i]]
    assert 0.4 < np.mean([1 in labels for labels in drawn]) < 0.6


def test_without_labelled_objects_there_is_nothing_to_train():
    empty = dataclasses.replace(table(), boxes=np.empty((0, 6)), names=(), inst=None)
    with pytest.raises(InputError, match="labelled object"):
        CropDataset([empty], CLASSES, CONFIG, 0, recenter=True)


def test_published_epochs_follow_from_the_number_of_scenes():
    config = load_training_config("scannet_md40")
    assert (config.epochs, config.repeat, config.learning_rate, config.weight_decay) == (12, 10, 1e-3, 1e-4)
    # Two processes of 4 scenes: the published batch.
    assert config.with_iterations(1201, 2).iterations == 12 * 1502
    assert load_training_config("small").with_iterations(1201, 2).iterations == 5000


def labelled(names, inst=None):
    xyz = np.zeros((3, 3), np.float32)
    return LabelledScene("one", "all", xyz, np.ones((len(names), 6), np.float32), names, inst)


def test_class_names_become_the_indices_of_the_model():
    scene = training_scene(labelled(("cup", "bowl")), ("bowl", "cup"))
    assert scene.names == ("cup", "bowl")
    (sample, *_) = CropDataset([scene], ("bowl", "cup"), TrainingConfig(iterations=1), 0, recenter=False)[0]
    assert sample.labels.tolist() == [1, 0]
    with pytest.raises(InputError, match=r"one: class 'bowl' is not among the model's 1 classes"):
        training_scene(labelled(("cup", "bowl")), ("cup",))


def test_a_class_agnostic_model_learns_everything():
    inst = np.array([0, 1, 2], np.int32)
    scene = training_scene(labelled(("cup", "bowl"), inst), ("object",))
    assert scene.names == ("object", "object")
    assert scene.inst is inst


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schedule", "often"),
        ("precision", "int8"),
        ("precision", True),
        ("sampling", "none"),
        ("rate", 1),
        ("iterations", -1),
        ("iterations", 2.5),
        ("batch_size", 0),
        ("batch_size", 100),
        ("learning_rate", -1),
        ("learning_rate", "1e-3"),
        ("freeze_norm", "no"),
        ("crop_size", -1),
        ("yaw", float("nan")),
        ("train_tau_range", [0.2]),
        ("train_tau_range", 0.2),
        ("train_tau_range", [0.6, 0.2]),
        ("train_tau_range", [0.2, 1.2]),
        ("unpruned_fraction", 1.5),
        ("background_fraction", 2),
        ("wide_scale", [1.5, 0.7]),
        ("ema_decay", 1),
    ],
)
def test_an_unusable_recipe_is_refused(key, value):
    with pytest.raises(InputError, match=rf"model small: training: {key}: .*; docs/training\.md"):
        load_training_config("small", **{key: value})


def model_file(folder, training):
    path = folder / "mine.yaml"
    path.write_text(f"model:\n  classes: [cup]\ntraining:{training}\n")
    return str(path)


def test_an_empty_recipe_is_the_published_one_and_lists_are_taken(tmp_path):
    assert load_training_config(model_file(tmp_path, "  # nothing yet")) == TrainingConfig()
    part = model_file(tmp_path, "\n  train_tau_range: [0, 0.5]")
    assert load_training_config(part).train_tau_range == (0, 0.5)


@pytest.mark.parametrize("training", [" 3", " [1, 2]", " crop_size"])
def test_a_recipe_that_is_no_mapping_is_refused(tmp_path, training):
    with pytest.raises(InputError, match=r"mine\.yaml: training: expected a mapping"):
        load_training_config(model_file(tmp_path, training))


def test_crops_draw_their_own_pruning_and_those_without_any_are_smaller():
    pruning = {"train_tau_range": (0.2, 0.6), "unpruned_fraction": 0.5, "unpruned_crop": 0.5}
    config = dataclasses.replace(CONFIG, **pruning, iterations=10)
    crops = [crop for i in range(10) for crop in CropDataset([table()], CLASSES, config, seed=1, recenter=True)[i]]
    extents = {True: [], False: []}
    for one in crops:
        tau = float(one.tau)
        assert tau == 0 or 0.2 <= tau <= 0.6
        extents[tau == 0].append(float((one.points.amax(0) - one.points.amin(0))[:2].max()))
    assert max(extents[True]) < 0.6 < max(extents[False])
    assert len({float(one.tau) for one in crops}) > 2


def long_table(inst=True):
    """One table of 6 m, in points of its own or not."""
    rng = np.random.default_rng(0)
    xyz = (rng.uniform(-0.5, 0.5, (4000, 3)) * (6, 1, 0.02)).astype(np.float32)
    of = np.ones(4000, np.int32) if inst else None
    return scene_of(xyz, of, np.float32([[0, 0, 0, 6, 1, 0.02]]), (0,))


@pytest.mark.parametrize(
    ("key", "settings"),
    [
        ("crop_size", {"crop_size": 2}),
        ("unpruned_crop", {"crop_size": 0, "unpruned_crop": 2, "unpruned_fraction": 1}),
    ],
)
def test_crops_too_small_for_anything_are_refused_by_the_key_that_says_their_size(key, settings):
    data = CropDataset([long_table()], CLASSES, TrainingConfig(iterations=1, **settings), 0, recenter=True)
    with pytest.raises(InputError, match=f"^{key}: none of 100 crops of 2 m .*; raise {key}"):
        data[0]
    assert (
        len(CropDataset([long_table()], CLASSES, TrainingConfig(iterations=1, crop_size=14), 0, recenter=True)[0]) == 4
    )


def test_scenes_whose_objects_have_too_few_points_are_refused():
    scene = table()
    few = dataclasses.replace(scene, xyz=scene.xyz[::100], inst=scene.inst[::100])
    with pytest.raises(InputError, match=r"training scenes: .* at least 12 points; label"):
        CropDataset([few], CLASSES, TrainingConfig(iterations=1), 0, recenter=True)[0]


def test_a_crop_without_points_is_replaced_by_another():
    # The box's middle is in every crop, the visible part of the object in few.
    seen = long_table(inst=False)
    seen = dataclasses.replace(seen, xyz=seen.xyz[np.abs(seen.xyz[:, 0]) > 0.7])
    config = TrainingConfig(iterations=10, batch_size=4, crop_size=1.2)
    data = CropDataset([seen], CLASSES, config, 0, recenter=True)
    assert all(len(crop.points) and len(crop.boxes) for i in range(10) for crop in data[i])


@pytest.mark.parametrize("recenter", [True, False])
def test_crops_are_moved_to_the_origin_only_where_the_detector_moves_clouds(recenter):
    near, offset = table(), np.float32([20, 0, 3, 0, 0, 0])
    far = dataclasses.replace(near, xyz=near.xyz + offset[:3], boxes=near.boxes + offset)
    config = TrainingConfig(iterations=1, batch_size=20, points_per_scene=500)
    crops = CropDataset([far], CLASSES, config, 0, recenter=recenter)[0]
    lows = np.array([crop.points.amin(0).numpy() for crop in crops])
    if recenter:
        assert np.abs(lows[:, 2]).max() < 0.6
    else:
        # Scaled by 0.9 to 1.1 about the origin and shifted by some decimetres.
        assert lows[:, 2].min() > 2
        assert 16 < abs(float(crops[0].boxes[0, 0])) < 24


def test_background_crops_lie_away_from_objects_and_come_from_scenes_without_any_too():
    with_objects, bare = table(), table(1)
    rows = bare.inst == 0
    empty = dataclasses.replace(bare, xyz=bare.xyz[rows] + np.float32([0, 0, 5]), inst=bare.inst[rows])
    empty = dataclasses.replace(empty, boxes=np.empty((0, 6), np.float32), names=())
    config = TrainingConfig(iterations=40, batch_size=4, crop_size=0.5, points_per_scene=500, background_fraction=0.5)
    config = dataclasses.replace(config, sampling="classes")
    batches = [CropDataset([with_objects, empty], CLASSES, config, 0, recenter=True)[i] for i in range(40)]
    assert all(len(batch[0].boxes) for batch in batches)
    bare_share = np.mean([not len(crop.boxes) for batch in batches for crop in batch])
    assert 0.35 < bare_share < 0.6


def test_touching_objects_are_drawn_more_often_where_the_recipe_says_so():
    apart, close = table(0), table(1)
    close = dataclasses.replace(close, boxes=np.float32([[0, 0, 0.1, 0.2, 0.2, 0.2], [0.2, 0, 0.1, 0.2, 0.2, 0.2]]))
    close = dataclasses.replace(close, names=names_of(1, 1), inst=None)
    apart = dataclasses.replace(apart, names=names_of(0, 0, 0), inst=None)
    config = TrainingConfig(iterations=8, batch_size=50, points_per_scene=10, sampling="objects", touching_fraction=0.5)
    data = CropDataset([apart] * 9 + [close], CLASSES, config, 0, recenter=True)
    drawn = [int(scene.labels[0]) for i in range(8) for scene in data[i]]
    assert 0.4 < np.mean(drawn) < 0.65


@pytest.mark.parametrize("voxel_size", [0.01, 0.02])
def test_the_grid_of_crops_begins_anywhere_in_a_coarsest_cell(voxel_size):
    xyz, rng = table().xyz, np.random.default_rng(0)
    origins = np.array([crop_origin(xyz, True, voxel_size, rng) for _ in range(2000)])
    phase = origins % (32 * voxel_size) / (32 * voxel_size)
    counts = np.stack([np.histogram(phase[:, axis], 8, (0, 1))[0] for axis in range(3)])
    assert counts.min() > 190
