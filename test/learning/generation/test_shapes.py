"""Every class has a shape of believable size that stands where it should."""

import numpy as np
import pytest

from dspdet3d_ros.detector.config import load_model_config
from dspdet3d_ros.learning.datasets.generated_classes import CLASS_NAMES
from dspdet3d_ros.learning.generation.raycast import face_normals
from dspdet3d_ros.learning.generation.shapes import (
    BENCH_WEIGHTS,
    BIN_WEIGHTS,
    BUILDERS,
    ROOM_WEIGHTS,
    SLAB_WEIGHTS,
    TABLE_WEIGHTS,
    make_shape,
    tilted_slab,
)


def test_every_class_has_a_builder_and_can_occur():
    assert set(BUILDERS) == set(CLASS_NAMES) == set(TABLE_WEIGHTS) | set(BENCH_WEIGHTS)
    assert set(TABLE_WEIGHTS) == set(ROOM_WEIGHTS) == set(CLASS_NAMES) - {"part"}
    assert set(BIN_WEIGHTS) <= set(CLASS_NAMES)
    assert set(SLAB_WEIGHTS) <= set(CLASS_NAMES)


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_a_shape_stands_on_the_ground_in_many_sizes(name):
    rng = np.random.default_rng(5)
    sizes = []
    for _ in range(12):
        mesh = make_shape(name, rng).mesh
        low, high = mesh.bounds()
        assert np.isfinite(mesh.vertices).all()
        assert mesh.faces.min() >= 0
        assert mesh.faces.max() < len(mesh.vertices)
        assert mesh.colors.shape == mesh.faces.shape
        assert np.isfinite(face_normals(mesh)).all()
        np.testing.assert_allclose([low[2], *(low + high)[:2]], 0, atol=1e-9)
        assert 0.015 < mesh.size().max() < 0.75
        sizes.append(np.sort(mesh.size()))
    assert np.std(sizes, axis=0).max() > 0.004


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_the_default_model_states_the_sizes_that_it_was_trained_with(name):
    low, high = load_model_config("small").class_sizes[name]
    rng = np.random.default_rng(6)
    longest = [make_shape(name, rng).mesh.size().max() for _ in range(120)]
    assert low - 0.01 < min(longest) < max(longest) < high + 0.02
    assert high - low < 3 * (max(longest) - min(longest))


def test_cartons_are_as_long_as_real_ones():
    rng = np.random.default_rng(0)
    sides = np.array([np.sort(BUILDERS["box"](rng).size()) for _ in range(400)])
    assert 0.05 < np.median(sides[:, 0]) < 0.09
    assert 0.15 < np.median(sides[:, 2]) < 0.3
    assert (sides[:, 2] / sides[:, 0] > 3).mean() > 0.35


def test_a_tilted_slab_leans_towards_negative_x():
    rng = np.random.default_rng(1)
    for _ in range(20):
        shape = make_shape("book", rng)
        mesh = tilted_slab(shape, rng)
        heights = mesh.vertices[:, 2]
        top, bottom = heights > 0.8 * heights.max(), heights < 0.2 * heights.max()
        assert mesh.vertices[top, 0].mean() < mesh.vertices[bottom, 0].mean()
