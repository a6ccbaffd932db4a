"""A generated scene is a pure function of its seed, and its boxes fit its points."""

import numpy as np
import pytest

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.geometry import corners
from dspdet3d_ros.learning.datasets.extents import extents_along
from dspdet3d_ros.learning.datasets.generated_classes import CLASS_NAMES
from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene
from dspdet3d_ros.learning.generation.scene import LEAST_OBJECT_POINTS, generate_scene

pytest.importorskip("embreex", reason="scenes are ray cast with embreex")


@pytest.fixture(scope="module")
def tables() -> list[LabelledScene]:
    return [generate_scene(seed, "table") for seed in range(6)]


@pytest.fixture(scope="module")
def room() -> LabelledScene:
    return generate_scene(1, "room")


def test_the_same_seed_gives_the_same_arrays(tables):
    again = generate_scene(3, "table")
    for field in ("xyz", "rgb", "inst", "boxes", "full_boxes", "extents", "ignore"):
        np.testing.assert_array_equal(getattr(again, field), getattr(tables[3], field))
    assert again.names == tables[3].names
    assert again.tags == tables[3].tags


def test_another_seed_gives_another_scene(tables):
    assert len({scene.xyz.shape for scene in tables}) == len(tables)


def test_arrays_have_the_documented_types_and_no_bad_values(tables, room):
    for scene in [*tables, room]:
        assert (scene.xyz.dtype, scene.rgb.dtype, scene.inst.dtype) == (np.float32, np.uint8, np.int32)
        assert (scene.boxes.dtype, scene.full_boxes.dtype) == (np.float32, np.float32)
        assert len(scene.xyz) == len(scene.rgb) == len(scene.inst)
        assert scene.boxes.shape == scene.full_boxes.shape == (len(scene.names), 6)
        for values in (scene.xyz, scene.boxes, scene.full_boxes):
            assert np.isfinite(values).all()
        assert (scene.boxes[:, 3:] > 0).all()
        assert set(scene.names) <= set(CLASS_NAMES)


def test_boxes_hold_the_points_of_their_objects(tables, room):
    for scene, margin in [*((table, 0.015) for table in tables), (room, 0.04)]:
        assert set(np.unique(scene.inst)) == set(range(len(scene.boxes) + 1))
        for number, box in enumerate(scene.boxes, start=1):
            points = scene.xyz[scene.inst == number]
            outside = (np.abs(points - box[:3]) > box[3:] / 2 + margin).any(axis=1)
            assert outside.mean() < 0.1, (scene.names[number - 1], box)


def test_full_boxes_contain_the_visible_ones(tables, room):
    for scene in [*tables, room]:
        low = scene.boxes[:, :3] - scene.boxes[:, 3:] / 2
        high = scene.boxes[:, :3] + scene.boxes[:, 3:] / 2
        assert (scene.full_boxes[:, :3] - scene.full_boxes[:, 3:] / 2 <= low + 1e-3).all()
        assert (scene.full_boxes[:, :3] + scene.full_boxes[:, 3:] / 2 >= high - 1e-3).all()


def test_labelled_objects_have_enough_points(tables, room):
    for scene in [*tables, room]:
        assert np.bincount(scene.inst, minlength=2)[1:].min() >= LEAST_OBJECT_POINTS


def test_a_room_is_larger_than_a_table_and_stands_on_its_floor(tables, room):
    assert room.kind == "room"
    assert "accumulated" in room.tags
    assert np.ptp(room.xyz[:, :2], axis=0).max() > 2.5
    assert abs(np.percentile(room.xyz[:, 2], 1)) < 0.1
    for table in tables:
        assert table.kind == "table"
        assert np.ptp(table.xyz[:, :2], axis=0).max() <= 2.41


def test_tables_are_scanned_and_set_in_several_ways(tables):
    tags = {tag for scene in tables for tag in scene.tags}
    assert {"accumulated", "single_view", "kinect", "realsense", "table_zero", "floor_zero"} <= tags


def test_mixed_gives_what_the_kind_it_picks_gives():
    mixed = generate_scene(0, "mixed")
    np.testing.assert_array_equal(mixed.xyz, generate_scene(0, mixed.kind).xyz)


@pytest.mark.parametrize(("seed", "kind", "named"), [(0, "kitchen", "kind"), (-1, "table", "seed")])
def test_a_wrong_argument_is_named(seed, kind, named):
    with pytest.raises(InputError, match=named):
        generate_scene(seed, kind)


def test_class_names_are_many_and_unique():
    assert len(CLASS_NAMES) >= 24
    assert len(set(CLASS_NAMES)) == len(CLASS_NAMES)
    assert list(CLASS_NAMES) == sorted(CLASS_NAMES)


def test_extents_of_visible_surfaces_agree_with_the_boxes(tables, room):
    for scene in [*tables, room]:
        low, high = corners(scene.boxes)
        for axis, vector in enumerate(np.eye(2)):
            found = extents_along(scene.extents, vector)
            np.testing.assert_allclose(found, np.column_stack([low[:, axis], high[:, axis]]), atol=1e-4)
