"""However much τ keeps, no level is refined beyond the bound, and the best cells are those that stay."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dspdet3d_ros.detector.predictor import Detector, synthetic_room
from dspdet3d_ros.detector.pruning import best_cells_within
from dspdet3d_ros.sparse import CoordinateSet


@pytest.fixture(scope="module")
def cells():
    generator = torch.Generator().manual_seed(0)
    coords = torch.randint(-10, 10, (900, 3), generator=generator) * 8
    return CoordinateSet.from_coordinates(torch.cat([torch.zeros(900, 1, dtype=torch.int64), coords], 1), 8)[0]


@pytest.fixture(scope="module")
def logits(cells):
    return torch.randn(len(cells), 1, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("most", [0, 1, 26, 27, 500, 5000])
def test_no_more_cells_come_of_the_rows_than_allowed(cells, logits, most):
    rows, chosen = best_cells_within(cells, logits, torch.arange(len(cells)), cells, most)
    assert torch.equal(chosen.keys, cells.keys[rows])
    assert len(chosen.expanded()) <= most
    assert (rows.diff() > 0).all()


def test_the_bound_is_nearly_used_up_by_the_best_cells(cells, logits):
    rows, chosen = best_cells_within(cells, logits, torch.arange(len(cells)), cells, 5000)
    assert len(chosen.expanded()) > 4000
    left = torch.ones(len(cells), dtype=torch.bool)
    left[rows] = False
    assert logits[rows].max() <= logits[left].min()


def test_rows_that_fit_stay_as_they_are(cells, logits):
    rows = torch.arange(0, len(cells), 3)
    assert best_cells_within(cells, logits, rows, cells.subset(rows), 27 * len(rows))[0] is rows
    assert best_cells_within(cells, logits, rows, cells.subset(rows), None)[0] is rows
    exactly = len(cells.subset(rows).expanded())
    found, chosen = best_cells_within(cells, logits, rows, cells.subset(rows), exactly)
    assert torch.equal(found, rows)
    assert torch.equal(chosen.keys, cells.keys[rows])


def test_what_refinement_makes_is_found_out_once(monkeypatch):
    expanded, calls = CoordinateSet.expanded, []

    def note(cells):
        calls.append((cells, expanded(cells)))
        return calls[-1][1]

    detector = Detector.load(device="cpu")
    cloud, settings = synthetic_room(2000) * 0.3, replace(detector.default_settings(), pruning_threshold=0.0)
    levels = detector(cloud, settings).stats.levels
    monkeypatch.setattr(CoordinateSet, "expanded", note)
    # Just enough, which only the expanded cells themselves can show.
    bounded = detector(cloud, replace(settings, max_cells_per_level=levels[3].before)).stats.levels
    assert bounded == levels
    # Each level asks twice, for the bound and for the convolution, and gets the same set.
    made = {id(fine): len(cells) for cells, fine in calls}
    assert list(made.values()) == [cells.kept for cells in levels[:3]]
    assert len(calls) > len(made)


def test_a_cloud_at_tau_zero_stays_within_the_bound_and_says_what_was_left_out():
    detector = Detector.load(device="cpu")
    cloud = synthetic_room(20_000)
    settings = replace(detector.default_settings(), pruning_threshold=0.0)
    free = detector(cloud, settings).stats
    assert sum(cells.dropped for cells in free.levels) == 0
    assert max(cells.before for cells in free.levels) > 30_000
    bounded = detector(cloud, replace(settings, max_cells_per_level=30_000)).stats
    assert max(cells.before for cells in bounded.levels) <= 30_000
    for coarser in bounded.levels[:-1]:
        assert coarser.kept + coarser.dropped == coarser.before
    assert sum(cells.dropped for cells in bounded.levels) > 0
    assert np.isfinite(bounded.total_ms)
