"""Ragged background: no objects are left, hidden points go, and the frame and the amount of points stay usable."""

import numpy as np
import pytest

from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene
from dspdet3d_ros.learning.training.crops import CropDataset
from dspdet3d_ros.learning.training.ragged import ragged
from dspdet3d_ros.learning.training.training_config import TrainingConfig

BOX = np.array([[0.3, 0.0, 0.1, 0.2, 0.2, 0.2]], np.float32)


def wall_and_object(with_numbers: bool, ignore: bool = False) -> LabelledScene:
    """A wall, a second one 30 cm behind it, and an object in front of both."""
    rng = np.random.default_rng(0)
    flat = rng.uniform(-0.7, 0.7, (2, 6000, 3)).astype(np.float32)
    flat[..., 0] *= 0
    flat[1, :, 0] -= 0.3
    solid = (BOX[0, :3] + rng.uniform(-0.1, 0.1, (2000, 3))).astype(np.float32)
    xyz = np.concatenate([*flat, solid])
    inst = np.repeat(np.array([0, 1], np.int32), [12000, 2000])
    boxes, names = (np.empty((0, 6), np.float32), ()) if ignore else (BOX, ("mug",))
    return LabelledScene(
        name="walls",
        subset="",
        xyz=xyz,
        rgb=None,
        inst=None if not with_numbers else inst * (not ignore),
        boxes=boxes,
        names=names,
        ignore=BOX if ignore else None,
    )


@pytest.mark.parametrize(("with_numbers", "ignore"), [(True, False), (False, False), (True, True)])
def test_objects_and_regions_to_ignore_are_gone(with_numbers: bool, ignore: bool):
    scene = wall_and_object(with_numbers, ignore)
    for seed in range(20):
        result = ragged(scene, np.random.default_rng(seed))
        assert len(result.boxes) == len(result.names) == 0
        assert result.inst is None or (not result.inst.any() and len(result.inst) == len(result.xyz))
        assert 500 <= len(result.xyz) <= 12000
        # Bends move points by centimetres; the object was 20 cm in front of the walls.
        assert result.xyz[:, 0].max() < 0.2
        assert result.xyz.dtype == np.float32
    assert len(scene.xyz) == 14000


def test_what_lies_behind_a_wall_is_hidden_in_some_crops():
    behind = []
    for seed in range(40):
        x = ragged(wall_and_object(True), np.random.default_rng(seed)).xyz[:, 0]
        behind.append((x < -0.15).mean())
    assert min(behind) < 0.1 or max(behind) > 0.9
    assert any(0.4 < part < 0.6 for part in behind)


def test_a_scale_shortens_the_bends():
    def moved(scale: float) -> float:
        scene = wall_and_object(True)
        return max(
            float(np.abs(ragged(scene, np.random.default_rng(seed), scale).xyz[:, 0]).max()) for seed in range(20)
        )

    assert moved(0.2) < 0.33 < moved(1.0)


def test_half_of_the_background_crops_hold_no_object():
    numbers = np.array([0, 1], np.int32).repeat([12000, 2000])
    scene = wall_and_object(True)
    assert scene.inst is not None
    assert (scene.inst == numbers).all()
    config = TrainingConfig(
        iterations=4, batch_size=40, points_per_scene=3000, sampling="objects", crop_size=3.0, background_fraction=0.5
    )

    def empty(ragged_fraction: float) -> int:
        given = TrainingConfig(**{**config.__dict__, "ragged_fraction": ragged_fraction})
        crops = CropDataset([scene], ["mug"], given, seed=1, recenter=False)
        return sum(not len(sample.boxes) for sample in crops[0])

    assert empty(0.0) == 0
    assert 10 < empty(1.0) < 30
    assert 2 < empty(0.5) < empty(1.0)
