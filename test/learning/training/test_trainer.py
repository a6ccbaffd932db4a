from dataclasses import replace

import numpy as np
import pytest
import torch

from dspdet3d_ros.detector.checkpoint import read_checkpoint, save_checkpoint
from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.preprocess import voxelise
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.label_boxes import fit_boxes
from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene
from dspdet3d_ros.learning.training.crops import CropDataset
from dspdet3d_ros.learning.training.objective import Targets, TrainingPruning, batch_losses
from dspdet3d_ros.learning.training.train_sample import TrainSample
from dspdet3d_ros.learning.training.trainer import MOST_SKIPPED, Trainer, learning_rate_factor
from dspdet3d_ros.learning.training.training_config import TrainingConfig

pytest.importorskip("tensorboard", reason="training logs need TensorBoard, which is not installed")

MODEL = ModelConfig(classes=("cup", "bowl"), voxel_size=0.02, widths=(8, 8, 8, 8), blocks=(1, 1, 1, 1), head_width=8)
CONFIG = TrainingConfig(
    epochs=2,
    iterations=6,
    batch_size=2,
    schedule="cosine",
    crop_size=1.0,
    initial_size=0.15,
    prune_cube=4,
    train_tau_range=(0.2, 0.6),
    unpruned_fraction=0.3,
    unpruned_crop=0.6,
)
CPU = torch.device("cpu")


def scenes():
    rng = np.random.default_rng(0)
    made = []
    for _ in range(3):
        plane = np.column_stack([rng.uniform(-0.5, 0.5, (2000, 2)), np.zeros(2000)])
        x, y = rng.uniform(-0.3, 0.3, 2)
        thing = rng.uniform([x, y, 0], [x + 0.1, y + 0.1, 0.12], (400, 3))
        xyz = np.concatenate([plane, thing]).astype(np.float32)
        inst = np.concatenate([np.zeros(2000, np.int32), np.ones(400, np.int32)])
        made.append(LabelledScene("made", "all", xyz, fit_boxes(xyz, inst, 1), (MODEL.classes[1],), inst))
    return made


def sample_of(scene):
    """The whole scene; its objects are of the class with index 1."""
    labels = torch.ones(len(scene.boxes), dtype=torch.int64)
    return TrainSample(torch.from_numpy(scene.xyz), torch.from_numpy(scene.boxes), labels)


def state_of(folder):
    return read_checkpoint(folder / "last.pth")["state_dict"]


def test_a_resumed_run_ends_with_the_same_weights(tmp_path):
    Trainer(MODEL, CONFIG, tmp_path / "whole", CPU, seed=3).run(scenes())
    Trainer(MODEL, CONFIG, tmp_path / "parts", CPU, seed=3).run(scenes(), stop_at=2)
    assert read_checkpoint(tmp_path / "parts" / "last.pth")["iteration"] == 2
    second = Trainer(MODEL, CONFIG, tmp_path / "parts", CPU, seed=99)
    second.seed = 3
    second.resume()
    second.run(scenes())
    whole, parts = state_of(tmp_path / "whole"), state_of(tmp_path / "parts")
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, msg=name)


def test_every_epoch_ends_with_a_checkpoint_and_a_look_at_the_model(tmp_path):
    seen = []
    trainer = Trainer(MODEL, CONFIG, tmp_path, CPU)
    trainer.run(scenes(), after_epoch=lambda: seen.append(trainer.iteration) or {"validation/ap25": 0.5})
    assert seen == [3, 6]


def test_another_seed_gives_other_weights(tmp_path):
    for seed in (3, 4):
        Trainer(MODEL, CONFIG, tmp_path / str(seed), CPU, seed=seed).run(scenes(), stop_at=1)
    kernels = [state_of(tmp_path / str(seed))["backbone.conv1.kernel"] for seed in (3, 4)]
    assert not torch.equal(*kernels)


def test_the_loss_falls_on_scenes_it_sees_again(tmp_path):
    config = TrainingConfig(iterations=1000, batch_size=2, initial_size=0.15, prune_cube=4)
    trainer = Trainer(MODEL, config, tmp_path, CPU)
    trainer.network.train()
    batch = [sample_of(scene) for scene in scenes()[:2]]
    totals = [sum(trainer.step(batch)[key] for key in ("cls", "bbox", "keep")) for _ in range(25)]
    assert totals[-1] < 0.8 * totals[0]


def batch_of(number=0):
    return [sample_of(scenes()[number])]


def overflowing_step(trainer, weight):
    """A step in which the activations of one layer overflow."""
    kernel = trainer.network.backbone.conv1.kernel
    before = kernel.detach().clone()
    kernel.data.fill_(weight)
    values = trainer.step(batch_of(1))
    kernel.data.copy_(before)
    return values


# With the larger weight gradients overflow, with the smaller one only the variance that the batch norm keeps.
@pytest.mark.parametrize("weight", [1e38, 1e20])
def test_a_batch_that_is_left_out_leaves_no_trace(tmp_path, weight):
    states = []
    for overflows in (False, True):
        trainer = Trainer(MODEL, CONFIG, tmp_path, CPU, seed=3)
        trainer.network.train()
        trainer.step(batch_of(0))
        if overflows:
            assert overflowing_step(trainer, weight)["skipped"] == 1
        else:
            trainer.iteration += 1
        assert trainer.step(batch_of(2))["skipped"] == 0
        trainer.save()
        states.append(read_checkpoint(trainer.checkpoint_path))
    clean, after = states
    assert set(clean["state_dict"]) == set(after["state_dict"])
    for name, tensor in clean["state_dict"].items():
        assert torch.equal(after["state_dict"][name], tensor), name
    for number, values in clean["optimizer"]["state"].items():
        for key, tensor in values.items():
            assert torch.equal(after["optimizer"]["state"][number][key], tensor)


def test_a_run_that_learns_nothing_ends_with_one_plain_line(tmp_path):
    trainer = Trainer(MODEL, replace(CONFIG, iterations=1000), tmp_path, CPU)
    trainer.network.train()
    trainer.network.backbone.conv1.kernel.data.fill_(1e38)
    for _ in range(MOST_SKIPPED - 1):
        trainer.step(batch_of())
    with pytest.raises(InputError, match=rf"^training: {MOST_SKIPPED} batches in a row .*; lower --learning-rate"):
        trainer.step(batch_of())


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_do_not_depend_on_how_many_processes_prepare_them(tmp_path, workers):
    trainer = Trainer(MODEL, CONFIG, tmp_path, CPU, seed=3, workers=workers)
    seen = []
    trainer.step = lambda batch: seen.append(float(sum(crop.points.double().sum() for crop in batch))) or {}
    trainer.run(scenes())
    data = CropDataset(scenes(), MODEL.classes, CONFIG, 3, recenter=True, voxel_size=MODEL.voxel_size)
    assert seen == [float(sum(crop.points.double().sum() for crop in data[i])) for i in range(CONFIG.iterations)]


@pytest.mark.parametrize("kept", ["fp32", "bf16"])
def test_a_resumed_run_keeps_its_precision(tmp_path, kept):
    automatic = replace(CONFIG, precision="auto")
    trainer = Trainer(MODEL, automatic, tmp_path, CPU)
    trainer.save()
    contents = read_checkpoint(trainer.checkpoint_path)
    assert contents["precision"] == trainer.precision.name
    save_checkpoint(trainer.checkpoint_path, {**contents, "precision": kept})
    for config, expected in ((automatic, kept), (replace(CONFIG, precision="fp32"), "fp32")):
        second = Trainer(MODEL, config, tmp_path, CPU)
        second.resume()
        assert second.precision.name == expected


def test_a_checkpoint_of_another_model_is_not_resumed(tmp_path):
    Trainer(MODEL, CONFIG, tmp_path, CPU).save()
    other = ModelConfig(classes=("cup",), widths=(8, 8, 8, 8), blocks=(1, 1, 1, 1), head_width=8)
    with pytest.raises(InputError, match="cls_conv"):
        Trainer(other, CONFIG, tmp_path, CPU).resume()


def test_weights_of_other_classes_are_a_start_and_common_names_keep_what_they_learned(tmp_path):
    first = Trainer(MODEL, CONFIG, tmp_path, CPU, seed=3)
    first.save()
    other = replace(MODEL, classes=("spoon", "bowl", "fork"))
    second = Trainer(other, CONFIG, tmp_path, CPU, seed=4)
    second.start_from(tmp_path / "last.pth")
    own, learned = second.network.head.cls_conv.kernel, first.network.head.cls_conv.kernel
    assert own.shape[-1] == 3
    assert torch.equal(own[:, 1], learned[:, 1])
    assert not torch.equal(own[:, 0], learned[:, 0])
    assert torch.equal(second.network.backbone.conv1.kernel, first.network.backbone.conv1.kernel)


def test_weights_of_another_voxel_size_are_a_start_and_their_boxes_become_smaller(tmp_path):
    first = Trainer(MODEL, CONFIG, tmp_path, CPU, seed=3)
    first.save()
    second = Trainer(replace(MODEL, voxel_size=MODEL.voxel_size / 2), CONFIG, tmp_path, CPU, seed=4)
    second.start_from(tmp_path / "last.pth")
    sizes = (trainer.network.head.bbox_conv.bias[0, 3:].exp() for trainer in (first, second))
    torch.testing.assert_close(next(sizes), 2 * next(sizes))
    assert torch.equal(second.network.backbone.layer1[0].conv1.kernel, first.network.backbone.layer1[0].conv1.kernel)


def test_weights_for_the_node_are_half_the_size(tmp_path):
    trainer = Trainer(MODEL, CONFIG, tmp_path, CPU)
    for half, dtype in ((False, torch.float32), (True, torch.float16)):
        weights = trainer.weights(half)
        assert weights["state_dict"]["backbone.conv1.kernel"].dtype == dtype
        assert ModelConfig.from_dict(weights["model"]) == MODEL


def test_a_frozen_normalisation_stays_as_it_is_while_the_weights_learn(tmp_path):
    before = Trainer(MODEL, CONFIG, tmp_path, CPU, seed=3).network.state_dict()
    trainer = Trainer(MODEL, replace(CONFIG, freeze_norm=True), tmp_path, CPU, seed=3)
    trainer.run(scenes(), stop_at=1)
    after = trainer.network.state_dict()
    running = [name for name in before if name.endswith(("running_mean", "running_var"))]
    assert running
    assert all(torch.equal(before[name], after[name]) for name in running)
    assert not torch.equal(before["backbone.conv1.kernel"], after["backbone.conv1.kernel"])


def test_names_are_learned_where_boxes_are(tmp_path):
    trainer = Trainer(MODEL, CONFIG, tmp_path, CPU)
    batch = [sample_of(scene) for scene in scenes()[:2]]
    losses = batch_losses(trainer.network, batch, replace(CONFIG, class_weight=0.5), trainer.engine)
    # Untrained, both names are about as likely.
    assert float(losses.names.detach()) == pytest.approx(0.5 * np.log(2), rel=0.1)
    assert float(batch_losses(trainer.network, batch, CONFIG, trainer.engine).names.detach()) == 0


def test_boxes_in_regions_to_ignore_are_neither_right_nor_wrong(tmp_path):
    trainer = Trainer(MODEL, CONFIG, tmp_path, CPU)
    batch = [sample_of(scene) for scene in scenes()[:2]]

    def cls_with(*regions):
        samples = [replace(s, ignore=torch.tensor(r).reshape(-1, 6)) for s, r in zip(batch, regions, strict=True)]
        return float(batch_losses(trainer.network, samples, CONFIG, trainer.engine).cls.detach())

    far, all_of_it = [9.0, 9.0, 9.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 50.0, 50.0, 50.0]
    usual = cls_with([], [])
    assert cls_with(far, far) == usual
    first, second, both = cls_with(all_of_it, []), cls_with([], all_of_it), cls_with(all_of_it, all_of_it)
    # Each takes the negative cells of its own scene away; those of the objects stay.
    assert 0 < both < min(first, second)
    assert max(first, second) < usual
    assert usual - first + usual - second == pytest.approx(usual - both, rel=0.01)


def test_the_published_schedule_drops_twice():
    config = TrainingConfig(iterations=1200)
    factors = [learning_rate_factor(i, config) for i in (0, 799, 800, 1099, 1100)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_the_cosine_schedule_rises_then_falls_to_nothing():
    config = TrainingConfig(iterations=1000, schedule="cosine")
    factors = [learning_rate_factor(i, config) for i in range(1000)]
    assert factors[0] < 0.1
    assert max(factors) == pytest.approx(1, abs=0.01)
    assert factors[-1] < 0.001


def test_pruning_in_training_never_drops_what_is_to_be_kept(tmp_path):
    trainer = Trainer(MODEL, CONFIG, tmp_path, CPU)
    samples = [sample_of(scene) for scene in scenes()[:2]]
    for conv in trainer.network.head.keep_conv:
        torch.nn.init.constant_(conv.bias, 100.0)  # nothing would be kept by itself
    cells = {}
    for tau in (0.0, 0.5):
        batch = [replace(sample, tau=tau) for sample in samples]
        assert float(batch_losses(trainer.network, batch, CONFIG, trainer.engine).bbox.detach()) > 0
        voxels = voxelise(batch[0].points, 0.02, trainer.engine)
        outputs = trainer.network(voxels, TrainingPruning(Targets(batch[:1], CONFIG, 0.02)))
        cells[tau] = len(outputs[-1].coords)
    assert 0 < cells[0.5] < cells[0.0]


def test_the_row_limit_keeps_the_best_cells_of_each_scene():
    from dspdet3d_ros.sparse import CoordinateSet, SparseTensor, TorchEngine

    coarse = torch.tensor([[b, x, 0, 0] for b in (0, 1) for x in range(0, 64, 8)])
    cells, _ = CoordinateSet.from_coordinates(coarse, 8)
    # Logits of "prune": the higher x, the rather kept.
    keep = SparseTensor(-cells.coords[:, 1:2].float(), cells, TorchEngine())
    fine = cells.expanded()
    x = SparseTensor(torch.zeros(len(fine), 1), fine, TorchEngine())
    batch = [TrainSample(torch.zeros(0, 3), torch.zeros(0, 6), torch.zeros(0, dtype=torch.int64))] * 2
    limited = TrainingPruning(Targets(batch, replace(CONFIG, prune_threshold=50), 0.02)).limit(x, keep)
    assert limited.coords.batch_counts(2) == [50, 50]
    assert limited.coords.coords[:, 1].float().mean() > fine.coords[:, 1].float().mean()
    assert TrainingPruning(Targets(batch, replace(CONFIG, prune_threshold=10_000), 0.02)).limit(x, keep) is x


def test_scenes_that_no_crop_fits_end_the_run_with_one_plain_line(tmp_path):
    with pytest.raises(InputError, match=r"^crop_size: none of 100 crops of 0\.01 m .* with 0$"):
        Trainer(MODEL, TrainingConfig(iterations=2, crop_size=0.01), tmp_path, CPU).run(scenes())


@pytest.mark.parametrize("recenter", [True, False])
def test_a_model_is_trained_where_its_detector_will_look(tmp_path, recenter):
    up = np.float32([0, 0, 9, 0, 0, 0])
    rooms = [replace(scene, xyz=scene.xyz + up[:3], boxes=scene.boxes + up) for scene in scenes()]
    trainer = Trainer(replace(MODEL, recenter=recenter), replace(CONFIG, iterations=1), tmp_path, CPU)
    heights = []
    trainer.step = lambda batch: heights.extend(float(crop.points[:, 2].mean()) for crop in batch) or {}
    trainer.run(rooms)
    assert (max(heights) < 1) == recenter


def test_a_start_whose_model_cannot_be_used_is_named(tmp_path):
    state = Trainer(MODEL, CONFIG, tmp_path, CPU).weights()
    save_checkpoint(tmp_path / "odd.pth", {**state, "model": {"classes": 3}})
    with pytest.raises(InputError, match=r"odd\.pth: model: classes: expected a list"):
        Trainer(MODEL, CONFIG, tmp_path, CPU).start_from(tmp_path / "odd.pth")


def test_the_written_weights_are_the_moving_average_and_a_resumed_run_continues_it(tmp_path):
    config = replace(CONFIG, ema_decay=0.9)
    whole = Trainer(MODEL, config, tmp_path / "whole", CPU, seed=3)
    whole.run(scenes())
    averaged, last = whole.weights()["state_dict"], whole.network.state_dict()
    assert not torch.equal(averaged["head.bbox_conv.kernel"], last["head.bbox_conv.kernel"])
    halves = Trainer(MODEL, config, tmp_path / "halves", CPU, seed=3)
    halves.run(scenes(), stop_at=3)
    later = Trainer(MODEL, config, tmp_path / "halves", CPU, seed=3)
    later.resume()
    later.run(scenes())
    for name, tensor in later.weights()["state_dict"].items():
        assert torch.equal(tensor, averaged[name]), name
