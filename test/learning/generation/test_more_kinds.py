"""Benches, containers and interiors: what they hold, and that objects lie inside their containers."""

import numpy as np
import pytest

from dspdet3d_ros.geometry import rotate
from dspdet3d_ros.learning.datasets.generated_classes import CLASS_NAMES
from dspdet3d_ros.learning.generation.bins import bin_world
from dspdet3d_ros.learning.generation.containers import CONTAINERS
from dspdet3d_ros.learning.generation.object_placement import Support
from dspdet3d_ros.learning.generation.parts import PART_KINDS
from dspdet3d_ros.learning.generation.scene import LEAST_OBJECT_POINTS, generate_scene
from dspdet3d_ros.learning.generation.shapes import make_shape
from dspdet3d_ros.learning.generation.upholstery import PIECES

pytest.importorskip("embreex", reason="scenes are ray cast with embreex")

BLOCK_FACES = 12


@pytest.fixture(scope="module")
def bins():
    return [generate_scene(seed, "bin") for seed in range(8)]


@pytest.mark.parametrize("kind", PART_KINDS, ids=lambda kind: kind.__name__)
def test_parts_are_thin_or_tiny_and_lie_on_their_support(kind):
    for seed in range(5):
        mesh = kind(np.random.default_rng(seed))
        edges = np.sort(mesh.size())
        assert mesh.bounds()[0][2] == pytest.approx(0, abs=1e-6)
        assert 0.015 < edges[2] < 0.32
        assert edges[0] < 0.07


@pytest.mark.parametrize(
    "make", sorted(set(CONTAINERS), key=lambda make: make.__name__), ids=lambda make: make.__name__
)
def test_the_floors_of_a_container_are_inside_it(make):
    for seed in range(5):
        container = make(np.random.default_rng(seed))
        for board in container.boards:
            reach = np.abs([board.x, board.y]) + np.array([board.width, board.depth]) / 2
            assert (reach < np.array(container.plan) / 2 + 1e-6).all()
            assert 0 <= board.z < container.height


def test_a_dropped_object_rests_on_the_floor_or_on_others_and_below_the_top():
    rng = np.random.default_rng(0)
    support = Support(0.3, 0.3)
    for _ in range(30):
        support.drop(make_shape("part", rng), rng.uniform(-0.1, 0.1, (4, 2)), rng, 0.15)
    lows = [item.mesh.bounds()[0][2] for item in support.objects]
    assert len(lows) > 10
    assert min(lows) == pytest.approx(0.0003, abs=1e-6)
    assert max(lows) > 0.005
    assert max(item.mesh.vertices[:, 2].mean() for item in support.objects) < 0.25


def test_bins_are_small_scenes_of_several_arrangements_with_objects_above_their_floor(bins):
    for scene in bins:
        assert scene.kind == "bin"
        assert len(scene.boxes)
        assert set(scene.names) <= set(CLASS_NAMES)
        assert np.ptp(scene.xyz[:, :2], axis=0).max() < 3
    tags = {tag for scene in bins for tag in scene.tags}
    assert {"heap", "from_above", "single_view"} <= tags


def test_objects_that_are_hidden_too_much_are_regions_to_ignore_and_have_no_label(bins):
    regions = [(scene, region) for scene in bins for region in scene.ignore]
    assert regions
    for scene, region in regions:
        near = (np.abs(scene.xyz - region[:3]) < region[3:] / 2 + 0.01).all(axis=1)
        assert (scene.inst[near] == 0).any()
    assert all(np.bincount(scene.inst)[1:].min() >= LEAST_OBJECT_POINTS for scene in bins)


def test_what_stands_next_to_a_container_is_labelled_or_larger_than_a_labelled_object():
    outside = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        world, container, _ = bin_world(rng, "sparse")
        low, high = container.mesh.bounds()
        for mesh, number in zip(world.meshes[1:], world.numbers[1:], strict=True):
            back = mesh.rotated(rotate("z", -world.yaw))
            start, end = back.bounds()
            apart = (start[:2] > high[:2] - 1e-6).any() or (end[:2] < low[:2] + 1e-6).any()
            if not number and len(mesh.faces) == BLOCK_FACES:
                assert back.size().max() > 0.5
                assert apart or end[2] < 0
            outside += number > 0 and apart
    assert outside > 10


def test_benches_hold_parts():
    names = [name for seed in range(4) for name in generate_scene(seed, "bench").names]
    assert names.count("part") > 0.2 * len(names)


def test_tables_and_rooms_hold_no_parts():
    assert not any("part" in generate_scene(seed, "table").names for seed in range(6))


def test_most_interiors_hold_no_object_and_all_have_points():
    scenes = [generate_scene(seed, "interior") for seed in range(6)]
    assert any(not len(scene.boxes) for scene in scenes)
    assert all(len(scene.xyz) > 5000 for scene in scenes)


@pytest.mark.parametrize("make", sorted(set(PIECES), key=lambda make: make.__name__), ids=lambda make: make.__name__)
def test_furniture_stands_on_the_floor_inside_its_plan(make):
    for seed in range(4):
        piece = make(np.random.default_rng(seed))
        low, high = piece.mesh.bounds()
        assert low[2] > -0.01
        assert (np.maximum(np.abs(low[:2]), np.abs(high[:2])) <= np.array(piece.plan) / 2 + 1e-6).all()
