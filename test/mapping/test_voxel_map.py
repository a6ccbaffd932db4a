"""The voxel map agrees with a plain dictionary, and its size is bounded."""

import numpy as np
import pytest
import torch

from dspdet3d_ros.mapping.frame import Camera
from dspdet3d_ros.mapping.key_index import KeyIndex
from dspdet3d_ros.mapping.voxel_map import VoxelMap, cells_of, keys_of


def insert(voxels, xyz, frame, weights=None, rgb=None):
    xyz = torch.as_tensor(xyz, dtype=torch.float32).T
    normals = torch.tensor([[0.0], [0.0], [1.0]]).expand(xyz.shape)
    weights = torch.ones(xyz.shape[1]) if weights is None else weights
    coloured = None if rgb is None else torch.ones(xyz.shape[1])
    return voxels.insert(voxels.sum_points(xyz, normals, weights, rgb, coloured), frame, float(frame))


def test_keys_keep_order_and_can_be_inverted():
    cells = torch.tensor([[-(2**20) + 1, 0, 5], [-1, 2**20 - 1, 0], [-1, 2**20 - 1, 1], [0, 0, 0], [7, -3, 2]]).T
    keys = keys_of(*cells)
    assert torch.equal(cells_of(keys), cells)
    assert (keys[1:] > keys[:-1]).all()


def test_the_map_agrees_with_a_dictionary():
    random = np.random.default_rng(0)
    voxels, expected = VoxelMap(0.1, 100_000), {}
    for frame in range(40):
        xyz = random.uniform(-1, 1, (500, 3)).astype(np.float32)
        weight = random.uniform(0.5, 2, 500).astype(np.float32)
        insert(voxels, xyz, frame, torch.as_tensor(weight))
        cells = np.floor(xyz / np.float32(0.1)).astype(int)
        for cell, place, w in zip(map(tuple, cells), xyz.astype(float), weight.astype(float), strict=True):
            entry = expected.setdefault(cell, [np.zeros(3), 0.0, set()])
            entry[0] += place * w
            entry[1] += w
            entry[2].add(frame)
    assert len(voxels) == len(expected)
    points, observations, last = voxels.points().numpy().T, voxels.observations.numpy(), voxels.last_frame.numpy()
    for row, cell in enumerate(map(tuple, cells_of(voxels.keys).T.tolist())):
        total, weight, frames = expected[cell]
        np.testing.assert_allclose(points[row], total / weight, atol=1e-5)
        assert observations[row] == len(frames)
        assert last[row] == max(frames)


def test_the_index_finds_keys_and_their_successors_through_additions_and_removals():
    random = np.random.default_rng(1)
    index, rows = KeyIndex(), {}
    for _ in range(30):
        new = sorted(set(random.integers(0, 60_000, 4000).tolist()) - set(rows))
        index.add(torch.tensor(new), len(rows))
        rows.update(zip(new, range(len(rows), len(rows) + len(new)), strict=True))
        if random.random() < 0.5:
            # Some keys go, and the last rows take their places.
            gone = random.choice(sorted(rows), 50, replace=False).tolist()
            index.change(torch.tensor(sorted(gone)), torch.full((50,), -1))
            for key in gone:
                row, last = rows.pop(key), max(rows, key=rows.get)
                if rows[last] > row:
                    rows[last] = row
                    index.change(torch.tensor([last]), torch.tensor([row]))
        if random.random() < 0.4:
            chosen = torch.as_tensor(random.random(len(rows)) < 0.7)
            index.keep(chosen)
            kept = [key for key in sorted(rows, key=rows.get) if chosen[rows[key]]]
            rows = dict(zip(kept, range(len(kept)), strict=True))
        wanted = torch.as_tensor(random.integers(-5, 60_005, 3000))
        assert index.find(wanted).tolist() == [rows.get(key, -1) for key in wanted.tolist()]
        expected = [[rows.get(key + step, -1) for step in range(3)] for key in wanted.tolist()]
        assert index.find_runs(wanted, 3).T.tolist() == expected


def test_far_points_are_left_out():
    voxels = VoxelMap(0.01, 1000)
    assert insert(voxels, [[0, 0, 0], [1e5, 0, 0], [0, 0, -1e6]], 0) == 1


def test_above_the_limit_the_oldest_go_and_memory_stays():
    voxels, random = VoxelMap(0.01, 5000), np.random.default_rng(2)
    memory = []
    for frame in range(60):
        insert(voxels, random.uniform(-1, 1, (1000, 3)) + [0, 0, frame], frame)
        assert len(voxels) <= 5000
        memory.append(voxels.memory_bytes)
    assert voxels.last_frame.min() >= 54
    assert max(memory[30:]) <= max(memory[:30])


def test_a_mean_follows_later_measurements():
    voxels = VoxelMap(0.1, 1000)
    for frame in range(3000):
        insert(voxels, [[0.01, 0.05, 0.05]], frame, torch.full((1,), 10.0))
    for frame in range(3000, 3600):
        insert(voxels, [[0.09, 0.05, 0.05]], frame, torch.full((1,), 10.0))
    assert voxels.points()[0, 0] > 0.085


CAMERA = Camera(40, 40, 40.0, 40.0, 19.5, 19.5)


@pytest.mark.parametrize(
    ("depth", "removed"),
    [(2.0, True), (1.02, False), (0.5, False), (0.0, False)],
    ids=["surface behind", "same surface", "hidden", "nothing measured"],
)
def test_voxels_that_are_seen_through_several_times_are_removed(depth, removed):
    voxels = VoxelMap(0.01, 1000)
    insert(voxels, [[0.005, 0.005, 1.0], [0.005, 0.005, -1.0]], 0)
    image = torch.full((40, 40), depth)
    counts = [voxels.look_through(image, CAMERA, torch.eye(4), frame, 3) for frame in (1, 2, 3)]
    assert counts == ([0, 0, 1] if removed else [0, 0, 0])
    # The one behind the camera stays in any case.
    assert len(voxels) == (1 if removed else 2)


def test_voxels_stay_watched_while_others_are_added():
    voxels = VoxelMap(0.01, 1000)
    insert(voxels, [[0.005, 0.005, 1.0]], 0)
    image = torch.full((40, 40), 2.0)
    for frame in (1, 2, 3):
        insert(voxels, [[0.005 + frame / 10, 0.005, 2.0]], frame)
        voxels.look_through(image, CAMERA, torch.eye(4), frame, 3)
    assert voxels.points()[2].min() > 1.9


@pytest.mark.parametrize("share", [0.01, 0.5], ids=["few", "many"])
def test_removal_leaves_all_other_voxels_as_they_were(share):
    random = np.random.default_rng(3)
    voxels = VoxelMap(0.05, 100_000)
    for frame in range(8):
        insert(voxels, random.uniform(-1, 1, (3000, 3)), frame)
        before = {key: row.tolist() for key, row in zip(voxels.keys.tolist(), voxels.sums, strict=True)}
        chosen = torch.as_tensor(random.random(len(voxels)) >= share)
        kept = set(voxels.keys[chosen].tolist())
        gone = voxels.keys[~chosen]
        voxels.keep(chosen)
        assert set(voxels.keys.tolist()) == kept
        assert voxels.index.find(voxels.keys).tolist() == list(range(len(voxels)))
        assert set(voxels.index.find(gone).tolist()) == {-1}
        assert all(before[key] == row.tolist() for key, row in zip(voxels.keys.tolist(), voxels.sums, strict=True))


def test_a_large_map_is_looked_through_in_parts(monkeypatch):
    monkeypatch.setattr("dspdet3d_ros.mapping.voxel_map.LOOK_ROWS", 100)
    voxels, image = VoxelMap(0.01, 10_000), torch.full((40, 40), 2.0)
    x, y = np.mgrid[-0.125:0.125:0.01, -0.125:0.125:0.01]
    insert(voxels, np.stack([x.ravel(), y.ravel(), np.ones(x.size)], 1), 0)
    counts = [voxels.look_through(image, CAMERA, torch.eye(4), frame, 1) for frame in range(1, 9)]
    assert max(counts) <= 100
    assert len(voxels) == 0


def test_a_voxel_that_is_measured_again_starts_from_zero():
    voxels = VoxelMap(0.01, 1000)
    insert(voxels, [[0.005, 0.005, 1.0]], 0)
    image = torch.full((40, 40), 2.0)
    voxels.look_through(image, CAMERA, torch.eye(4), 1, 2)
    insert(voxels, [[0.005, 0.005, 1.0]], 2)
    assert voxels.look_through(image, CAMERA, torch.eye(4), 3, 2) == 0
    assert voxels.look_through(image, CAMERA, torch.eye(4), 4, 2) == 1


def test_next_to_an_edge_nothing_is_removed():
    voxels = VoxelMap(0.01, 1000)
    insert(voxels, [[0.005, 0.005, 1.0]], 0)
    image = torch.full((40, 40), 2.0)
    image[:, 21] = 1.0
    for frame in range(1, 6):
        assert voxels.look_through(image, CAMERA, torch.eye(4), frame, 1) == 0
