"""The ground under a place is found from the points, and does not depend on points elsewhere."""

import numpy as np
import pytest
import torch

from dspdet3d_ros.detector.ground import BLOCK, REACH_M, ground_level
from dspdet3d_ros.sparse import CoordinateSet

S = 0.01
GRID = np.stack(np.meshgrid(np.arange(-200, 200), np.arange(-200, 200)), -1).reshape(-1, 2)
NEAR = 1.5 * S


def plane(height_m, low=(-2, -2), high=(2, 2), density=1.0, seed=0):
    """(N, 3) voxels of a horizontal plane."""
    xy = GRID * S
    inside = ((xy >= low) & (xy < high)).all(1)
    inside &= np.random.default_rng(seed).random(len(GRID)) < density
    return np.column_stack([GRID[inside], np.full(inside.sum(), round(height_m / S))])


def wall(x_m, low_m=0.0, high_m=2.5):
    y, z = np.meshgrid(np.arange(-200, 200), np.arange(round(low_m / S), round(high_m / S)))
    return np.column_stack([np.full(y.size, round(x_m / S)), y.ravel(), z.ravel()])


def ground(*parts, batches=None):
    """(N,) metres for each row of the parts."""
    voxels = np.concatenate(parts)
    batch = np.zeros(len(voxels), int) if batches is None else np.repeat(batches, [len(part) for part in parts])
    coords, _ = CoordinateSet.from_coordinates(torch.from_numpy(np.column_stack([batch, voxels])))
    level = ground_level(coords, S).numpy()
    found = {tuple(row): value for row, value in zip(coords.coords.tolist(), level, strict=True)}
    return np.array([found[(b, *voxel)] for b, voxel in zip(batch.tolist(), voxels.tolist(), strict=True)])


@pytest.mark.parametrize("height", [0, -1.2, -0.37, 3.13, 25.0])
def test_a_floor_is_found_at_any_height(height):
    lift = round(height / S)
    lifted = [part + [0, 0, lift] for part in (plane(0), wall(-2), plane(0.75, (0, 0), (1, 0.7)))]
    within_reach = (np.concatenate(lifted)[:, 2] - lift) * S < REACH_M
    assert np.abs(ground(*lifted)[within_reach] - height).max() < 0.05


def test_a_table_is_no_ground_where_its_floor_is_seen_around_it():
    table = plane(0.75, (-0.6, -0.4), (0.8, 0.5))
    below = plane(0)
    hidden = (below[:, None, :2] == table[None, ::7, :2]).all(2).any(1)
    assert np.abs(ground(table, below[~hidden])[: len(table)]).max() < NEAR


def test_where_nothing_but_a_table_is_seen_it_is_the_ground():
    assert np.abs(ground(plane(0.75)) - 0.75).max() < NEAR


@pytest.mark.parametrize("height", [-0.5, -1.0, -3.0])
def test_reflections_below_the_floor_are_no_ground(height):
    below = plane(height, density=0.03)
    floor = plane(0, density=0.9)
    assert np.abs(ground(floor, below)[: len(floor)]).max() < NEAR


def test_another_storey_has_its_own_ground():
    upper = [plane(3.0), wall(-2, 3.0, 5.5), plane(3.75, (0, 0), (1, 0.7))]
    lower = [plane(0), wall(-2, 0.0, 2.5), wall(1.9, 0.0, 2.5), plane(0.75, (0, 0), (1, 0.7))]
    level, z = ground(*upper, *lower), np.concatenate([*upper, *lower])[:, 2] * S
    # At the edges, where fewer columns vote, what stands below may be taken for the ground of the upper storey.
    assert np.mean(np.abs(level[(z >= 3.0) & (z < 3.0 + REACH_M)] - 3.0) < 0.05) > 0.95
    assert np.abs(level[z < REACH_M]).max() < 0.05


def test_the_ground_does_not_depend_on_points_further_away_than_four_blocks():
    here = plane(0, (-2, -2), (-0.96, 2))
    alone = ground(here)
    for height in (-1.0, 0.0, 1.0):
        # Blocks end at -0.96 m, and the fourth one after that at 0.32 m.
        other = plane(height, (0.32, -2), (2, 2))
        assert np.array_equal(ground(here, other)[: len(here)], alone)


def test_a_step_is_where_the_ground_changes():
    upper, lower = plane(1.0, (-2, -2), (0, 2)), plane(0.0, (0, -2), (2, 2))
    level = ground(upper, lower)
    far = 2 * BLOCK * S
    assert np.abs(level[: len(upper)][upper[:, 0] * S < -far] - 1.0).max() < NEAR
    assert np.abs(level[len(upper) :][lower[:, 0] * S > far]).max() < NEAR


def test_what_hangs_higher_than_the_reach_is_measured_from_what_is_below_it_within_reach():
    lamp = plane(REACH_M + 0.9, (0, 0), (0.3, 0.3))
    assert np.abs(ground(plane(0), lamp)[-len(lamp) :] - REACH_M - 0.9).max() < NEAR


def test_scenes_of_a_batch_do_not_see_each_other():
    scenes = [plane(0), plane(1.0, density=0.5), plane(-0.4)]
    together = ground(*scenes, batches=[0, 1, 2])
    assert np.array_equal(together, np.concatenate([ground(scene) for scene in scenes]))
