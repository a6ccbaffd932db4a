"""The voxels of points are the same on the GPU, if there is one, as on the CPU."""

import numpy as np
import pytest
import torch

from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.detector.preprocess import ANCHOR, limit_voxels, usable_points, voxelise
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.sparse import TorchEngine

S = 0.01
EDGE = ANCHOR * S
CPU = torch.device("cpu")
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def usable(xyz, most=10**6, recenter=True, device=CPU):
    return usable_points(PointCloud.of(xyz).xyz, torch.device(device), S, most, recenter)


def places(points):
    """(M, 3) the points in the frame of the cloud."""
    return points.xyz.cpu().numpy() + points.origin


def voxels_in_frame(xyz, max_voxels=None, **settings):
    """The voxels of a cloud, numbered in its frame, and their features."""
    points = usable(xyz, **settings)
    voxels = voxelise(points.xyz, S, TorchEngine(), relative_xy=True, above_ground=True)
    if max_voxels:
        voxels = limit_voxels(voxels, max_voxels, points.anchor)
    origin = np.round(points.origin / S).astype(int)
    rows = (voxels.coords.coords[:, 1:].numpy() + origin).tolist()
    return dict(zip(map(tuple, rows), map(tuple, voxels.features.tolist()), strict=True))


def room(count=20000, seed=0):
    return np.random.default_rng(seed).uniform((-2, -2, 0), (2, 2, 1.5), (count, 3))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("recenter", [True, False])
@pytest.mark.parametrize(
    ("count", "kind", "most"), [(1000, "f4", 5000), (1000, ">f8", 100), (1, "f4", 5), (0, "f4", 5), (50, "i2", 9)]
)
def test_finite_points_are_used_up_to_the_limit_in_their_order(device, recenter, count, kind, most):
    xyz = np.random.default_rng(0).uniform(-30, 30, (count, 3)).astype(kind)
    if count == 1000:
        xyz[::7, 1] = np.nan
        xyz[3] = np.inf
    finite = xyz[np.isfinite(xyz.astype(float)).all(1)].astype(float)
    points = usable(xyz, most, recenter, device)
    assert len(points.xyz) == min(most, len(finite))
    assert points.out_of_range == 0
    found = places(points)
    rows = np.abs(finite[:, None] - found).max(2).argmin(0) if len(found) else np.empty(0, int)
    np.testing.assert_allclose(found, finite[rows], atol=1e-9)
    assert (np.diff(rows) > 0).all() or kind == "i2"


def test_a_cloud_that_may_not_be_written_to_is_left_as_it_is():
    xyz = np.ones((4, 3), np.float32)
    xyz.setflags(write=False)
    np.testing.assert_allclose(places(usable(xyz)), xyz)
    assert (xyz == 1).all()


@pytest.mark.parametrize("xyz", [np.zeros(3), np.zeros((4, 2)), np.zeros((4, 3), complex), [["a"] * 3]])
def test_arrays_of_another_shape_or_type_are_refused(xyz):
    with pytest.raises(InputError, match="points"):
        PointCloud.of(xyz)


@pytest.mark.parametrize("shift", [(0.0, 0, 0), (123.4, -51.7, 3.13), (4.5e5, 5.4e6, 312.3)])
def test_the_origin_is_near_the_points_at_a_multiple_of_the_coarsest_cells(shift):
    points = usable(room() + shift)
    assert np.abs(points.origin - shift).max() < 3
    # The same faces in every cloud.
    steps = (points.origin - usable(np.zeros((1, 3))).origin) / EDGE
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
    assert ANCHOR == 32


@pytest.mark.parametrize("device", DEVICES)
def test_strays_are_left_out_and_counted_and_move_nothing(device):
    xyz = room()
    strays = [[5000.0, 0, 1], [0, -1e6, 0], [0, 0, 1e30], [1e38, 1e38, -1e38], [2000, 0, 1]]
    clean, with_strays = usable(xyz, device=device), usable(np.concatenate([strays, xyz]), device=device)
    assert with_strays.out_of_range == 4
    np.testing.assert_array_equal(with_strays.origin, clean.origin)
    np.testing.assert_array_equal(with_strays.xyz[1:].cpu(), clean.xyz.cpu())


@pytest.mark.parametrize("here", [(0, 0, 0), (4.5e5, 5.4e6, 300), (2611, -2611, 0)])
def test_of_two_places_too_far_apart_the_one_with_more_points_is_used(here):
    most, fewer = room(3000) + here, room(2900) + here + np.array([0, 10_000, 0])
    points = usable(np.concatenate([fewer, most]))
    assert (len(points.xyz), points.out_of_range) == (3000, 2900)
    np.testing.assert_allclose(places(points), most, atol=1e-6)


def test_of_two_places_with_equally_many_points_the_one_nearer_to_the_origin_is_used():
    for order in (1, -1):
        points = usable(np.concatenate([room(), room() + [10_000, -10_000, 0]][::order]))
        np.testing.assert_allclose(places(points), room(), atol=1e-9)


def test_without_recentring_points_keep_their_coordinates_and_the_range_lies_about_the_origin():
    points = usable([[5.0, 6, 7], [3000, 0, 0]], recenter=False)
    assert (points.xyz.tolist(), points.origin.tolist(), points.out_of_range) == ([[5, 6, 7]], [0, 0, 0], 1)


@pytest.mark.parametrize("xyz", [np.full((3, 3), 1e30), np.full((3, 3), 3e38, np.float32), [[0, 0, 0], [1e30, 0, 0]]])
def test_every_finite_cloud_can_be_divided_into_voxels(xyz):
    points = usable(xyz)
    assert len(points.xyz) + points.out_of_range == len(xyz)
    assert len(voxelise(points.xyz, S, TorchEngine())) <= 1


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_points_elsewhere_change_no_voxel_and_no_feature(kind):
    xyz = room().astype(kind)
    before = voxels_in_frame(xyz)
    for extra in (room(10000, 1) + [7, 0, 0], room(10000, 1) + [7, 7, -3], np.array([[2500.0, 0, 0], [9000, 0, 0]])):
        after = voxels_in_frame(np.concatenate([xyz, extra.astype(kind)]))
        assert before.keys() <= after.keys()
        difference = np.array([after[place] for place in before]) - np.array(list(before.values()))
        assert np.abs(difference).max() < 1e-6


def test_points_of_a_map_of_voxels_stay_apart_however_they_were_rounded():
    lattice = np.stack(np.meshgrid(*[np.arange(-300, 300, 7)] * 3), -1).reshape(-1, 3)
    for kind in (np.float32, np.float64):
        assert set(voxels_in_frame((lattice * S).astype(kind))) == set(map(tuple, lattice.tolist()))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_which_points_remain_of_too_many_depends_on_where_they_are_alone(kind):
    xyz = room().astype(kind)
    first = set(map(tuple, places(usable(xyz, 8000)).astype(np.float32).tolist()))
    assert len(first) == 8000
    again = set(map(tuple, places(usable(xyz[::-1], 8000)).astype(np.float32).tolist()))
    assert again == first
    grown = usable(np.concatenate([xyz, (room(2000, 1) + [7, 0, 0]).astype(kind)]), 8000)
    here = {place for place in map(tuple, places(grown).astype(np.float32).tolist()) if place[0] < 4}
    # A tenth more points elsewhere: a tenth fewer of the same ones here.
    assert here < first
    assert 0.87 < len(here) / len(first) < 0.95


def test_equal_points_are_thinned_too():
    assert len(usable(np.ones((500, 3)), 100).xyz) == 100


def test_which_voxels_remain_of_too_many_depends_on_where_they_are_alone():
    xyz = room()
    first = voxels_in_frame(xyz, 8000)
    grown = voxels_in_frame(np.concatenate([xyz, room(2000, 1) + [700, 0, 0]]), 8000)
    here = {place for place in grown if place[0] < 400}
    assert len(first) == len(grown) == 8000
    assert here < set(first)
    assert 0.87 < len(here) / len(first) < 0.95


def test_features_are_the_place_in_the_voxel_and_the_height_above_the_ground():
    floor = np.stack(np.meshgrid(*[np.arange(-2, 2, 0.02)] * 2, [0.005]), -1).reshape(-1, 3)
    thing = np.array([[0.113, 0.224, 0.735]])
    for shift in ([0, 0, 0], [0, 0, -1.2], [0, 0, -0.37], [12.8, 6.4, 3.13]):
        found = voxels_in_frame(np.concatenate([floor, thing]) + shift)
        place = tuple(np.floor((thing[0] + shift) / S + 1e-6).astype(int))
        within = (thing[0] + shift)[:2] / S % 1 * S
        np.testing.assert_allclose(found[place][:2], within, atol=2e-5)
        assert found[place][2] == pytest.approx(0.73, abs=0.011)
