"""Objects rest on what is below them, touch, lean, and do not go through each other."""

import numpy as np
import pytest

from dspdet3d_ros.geometry import rotate
from dspdet3d_ros.learning.generation.meshes import block
from dspdet3d_ros.learning.generation.object_placement import CELL, Support, columns_of
from dspdet3d_ros.learning.generation.shapes import Shape
from dspdet3d_ros.learning.generation.tables import table_world

pytest.importorskip("embreex", reason="height maps are ray cast with embreex")


def _carton(width: float, depth: float, height: float) -> Shape:
    return Shape("box", block((width, depth, height)), carries=True, slab=True)


def test_columns_are_the_heights_of_a_box():
    columns = columns_of(block((0.1, 0.05, 0.2)))
    inside = np.isfinite(columns.bottom)
    assert inside.sum() * CELL**2 == pytest.approx(0.1 * 0.05, rel=0.1)
    np.testing.assert_allclose(columns.bottom[inside], 0, atol=1e-5)
    np.testing.assert_allclose(columns.top[inside], 0.2, atol=1e-5)


def test_a_second_object_is_not_set_into_the_first():
    support = Support(1.0, 1.0)
    assert support.set_free(_carton(0.1, 0.1, 0.1), np.zeros(2), 0.01)
    assert not support.set_free(_carton(0.1, 0.1, 0.1), np.array([0.05, 0.0]), 0.01)
    assert support.set_free(_carton(0.1, 0.1, 0.1), np.array([0.3, 0.0]), 0.01)


def test_nothing_hangs_over_the_edge_or_pierces_the_board_above():
    support = Support(0.5, 0.5, headroom=0.15)
    assert not support.set_free(_carton(0.1, 0.1, 0.1), np.array([0.24, 0.0]), 0.0)
    assert not support.set_free(_carton(0.1, 0.1, 0.2), np.zeros(2), 0.0)


def test_a_pushed_object_touches_its_neighbour():
    rng = np.random.default_rng(0)
    support = Support(1.5, 1.5)
    assert support.set_free(_carton(0.1, 0.1, 0.1), np.zeros(2), 0.0)
    assert support.push_against(_carton(0.08, 0.08, 0.1), support.objects[0], rng, 0.0)
    first, second = (np.array(item.mesh.bounds())[:, :2] for item in support.objects)
    apart = np.maximum(second[0] - first[1], first[0] - second[1]).max()
    assert -CELL <= apart <= 2 * CELL


def test_a_stacked_object_rests_on_its_carrier():
    rng = np.random.default_rng(0)
    support = Support(1.0, 1.0)
    assert support.set_free(_carton(0.2, 0.2, 0.07), np.zeros(2), 0.0)
    assert support.stack(_carton(0.1, 0.1, 0.05), support.objects[0], rng)
    assert support.objects[1].how == "stacked"
    assert support.objects[1].mesh.bounds()[0][2] == pytest.approx(0.07, abs=1e-3)


def test_a_wide_object_does_not_balance_on_a_narrow_one():
    rng = np.random.default_rng(0)
    support = Support(1.0, 1.0)
    assert support.set_free(_carton(0.04, 0.04, 0.1), np.zeros(2), 0.0)
    assert not any(support.stack(_carton(0.3, 0.3, 0.03), support.objects[0], rng) for _ in range(10))


def test_a_slab_leans_against_a_tall_object():
    rng = np.random.default_rng(2)
    support = Support(1.5, 1.5)
    assert support.set_free(_carton(0.15, 0.15, 0.3), np.zeros(2), 0.0)
    book = Shape("book", block((0.15, 0.2, 0.03)).rotated(rotate("z", 0.3)), carries=True, slab=True)
    assert any(support.lean(book, support.objects[0], rng) for _ in range(20))
    assert support.objects[1].how == "leaning"
    gap = _gap(support.objects[0].mesh.bounds(), support.objects[1].mesh.bounds())
    assert gap < 2 * CELL


def _gap(first, second) -> float:
    return float(np.maximum(second[0] - first[1], first[0] - second[1]).max())


@pytest.mark.parametrize("style", ["crowded", "stacked"])
def test_objects_on_a_table_rest_and_do_not_go_through_each_other(style):
    for seed in range(4):
        world, _ = table_world(np.random.default_rng(seed), style)
        meshes = [mesh for mesh, number in zip(world.meshes, world.numbers, strict=True) if number]
        assert min(item.low[2] for item in world.items) > -1e-6
        for k, first in enumerate(meshes):
            for second in meshes[k + 1 :]:
                assert _shared_volume(first, second) < 0.04


def _shared_volume(first, second) -> float:
    """Share of the smaller one's columns that lies in the other's."""
    if _gap(first.bounds(), second.bounds()) >= 0:
        return 0.0
    grid: dict[tuple[int, int], tuple[float, float]] = {}
    volumes, shared = [], 0.0
    for mesh in (first, second):
        columns = columns_of(mesh)
        start = np.round(columns.low / CELL).astype(int)
        volume = 0.0
        for a, b in np.argwhere(np.isfinite(columns.bottom)):
            bottom, top = columns.bottom[a, b], columns.top[a, b]
            volume += top - bottom
            cell = (start[0] + a, start[1] + b)
            if cell in grid:
                shared += max(0.0, min(top, grid[cell][1]) - max(bottom, grid[cell][0]))
            elif mesh is first:
                grid[cell] = (bottom, top)
        volumes.append(volume)
    return shared / max(min(volumes), 1e-9)


def test_styles_differ_in_how_objects_rest():
    counts = {}
    for style in ("sparse", "stacked"):
        hows = [item.how for seed in range(8) for item in table_world(np.random.default_rng(seed), style)[0].items]
        counts[style] = np.mean([how in ("stacked", "leaning") for how in hows])
    assert counts["stacked"] > counts["sparse"]
    assert counts["stacked"] > 0.15
