"""A building is what its seed says, has its rooms side by side, and grows in proportion."""

import numpy as np
import pytest

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.geometry import corners
from dspdet3d_ros.learning.datasets.extents import extents_along
from dspdet3d_ros.learning.generation.building import PITCH, ROOM_POINTS, ROOM_SIZE, generate_building, room_places
from dspdet3d_ros.learning.generation.rooms import WALL

pytest.importorskip("embreex", reason="ray casting needs embreex")

ROOMS = 2


@pytest.fixture(scope="module")
def building():
    return generate_building(0, ROOMS)


def cells(points):
    """The room in whose share of the plan each place lies, -1 for none."""
    inside = np.abs(points[:, None, :2] - room_places(ROOMS)[None, :, :2]) <= np.array(PITCH) / 2 + 0.001
    return np.where(inside.all(2).any(1), inside.all(2).argmax(1), -1)


def test_rooms_stand_in_a_grid_with_one_wall_between_two():
    places = room_places(6)
    assert len(np.unique(places[:, 0])) == 3
    assert len(np.unique(places[:, 1])) == 2
    assert np.diff(np.unique(places[:, 0])) == pytest.approx(ROOM_SIZE[0] + WALL)
    assert np.diff(np.unique(places[:, 1])) == pytest.approx(ROOM_SIZE[1] + WALL)


def test_every_room_has_its_points_and_objects_and_none_lie_elsewhere(building):
    rooms = cells(building.xyz)
    assert (rooms >= 0).all()
    points = np.bincount(rooms, minlength=ROOMS)
    # 16 such rooms have at least 4.5 million points.
    assert (points > 4_500_000 / 16 * 0.9).all()
    assert (points <= ROOM_POINTS * 1.02).all()
    assert (np.bincount(cells(building.boxes), minlength=ROOMS) >= 5).all()
    assert (building.boxes[:, 2] - building.boxes[:, 5] / 2 > -0.1).all()
    assert (building.boxes[:, 2] + building.boxes[:, 5] / 2 < ROOM_SIZE[2]).all()


def test_points_of_an_object_lie_in_its_box(building):
    assert building.inst.max() == len(building.boxes) == len(building.names) == len(building.full_boxes)
    for k in (0, len(building.boxes) // 2, len(building.boxes) - 1):
        points = building.xyz[building.inst == k + 1]
        assert len(points) > 0
        away = np.abs(points - building.boxes[k, :3]) - building.boxes[k, 3:] / 2
        assert np.median(away.max(axis=1)) < 0.01


def test_extents_stand_where_their_boxes_stand(building):
    low, high = corners(building.boxes)
    for axis, vector in enumerate(np.eye(2)):
        found = extents_along(building.extents, vector)
        np.testing.assert_allclose(found, np.column_stack([low[:, axis], high[:, axis]]), atol=1e-4)


def test_a_seed_gives_the_same_building_and_more_rooms_leave_the_first_as_it_is(building, tmp_path):
    again = generate_building(0, 1)
    first = building.xyz[: len(again.xyz)] - room_places(ROOMS)[0].astype(np.float32)
    np.testing.assert_allclose(first, again.xyz, atol=1e-5)
    np.testing.assert_array_equal(building.rgb[: len(again.rgb)], again.rgb)
    np.testing.assert_array_equal(building.inst[: len(again.inst)], again.inst)
    kept = generate_building(0, 1, tmp_path)
    np.testing.assert_allclose(kept.xyz, again.xyz, atol=3e-4)
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    np.testing.assert_array_equal(generate_building(0, 1, tmp_path).xyz, kept.xyz)
    assert file.stat().st_mtime_ns == written


@pytest.mark.parametrize(("seed", "rooms", "said"), [(-1, 1, "seed: expected 0 or more"), (0, 0, "rooms: expected 1")])
def test_numbers_that_make_no_building_are_refused(seed, rooms, said):
    with pytest.raises(InputError, match=said):
        generate_building(seed, rooms)
