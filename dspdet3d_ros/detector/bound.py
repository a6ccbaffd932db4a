"""Keeps the finer levels within a number of cells, whatever τ is.

In training the original drops all but the best `pts_prune_threshold` cells of a level (DSPDet3D, section 3.3); the same
rule bounds time and memory in use.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dspdet3d_ros.sparse import CoordinateSet

#: Every cell is divided into these alone, whatever its neighbours are; with all its neighbours' into `_MOST_CHILDREN`.
_OWN_CHILDREN = 8
_MOST_CHILDREN = 27


def best_rows_within(coords: CoordinateSet, keep_logits: Tensor, rows: Tensor, max_cells: int) -> Tensor:
    """Of the rows that are to be refined those of the best keep scores, so that few enough cells come of them.

    Args:
        coords: the N cells of a level.
        keep_logits: (N, 1) logits of "prune this cell".
        rows: (M,) rows that pruning left, ascending.
        max_cells: the most cells that the next finer level may have.

    Returns:
        (M',) rows, ascending: all of them where their refinement fits.
    """
    if len(rows) * _MOST_CHILDREN <= max_cells:
        return rows
    rows = _best(keep_logits, rows, max_cells // _OWN_CHILDREN)
    while len(rows) and (cells := len(coords.subset(rows).expanded())) > max_cells:
        # Fewer cells share fewer children: a little less than in proportion, so that few rounds do.
        rows = _best(keep_logits, rows, int(len(rows) * max_cells / cells * 0.97))
    return rows


def _best(keep_logits: Tensor, rows: Tensor, count: int) -> Tensor:
    if len(rows) <= count:
        return rows
    best = torch.topk(keep_logits[rows, 0], count, largest=False, sorted=False).indices
    return rows[best].sort().values
