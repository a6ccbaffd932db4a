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


def best_cells_within(
    coords: CoordinateSet, prune_logits: Tensor, rows: Tensor, max_cells: int | None
) -> tuple[Tensor, CoordinateSet]:
    """Of the rows that are to be refined those of the best keep scores, so that few enough cells come of them.

    Args:
        coords: the N cells of a level.
        prune_logits: (N, 1) logits of "prune this cell".
        rows: (M,) rows that pruning left, ascending.
        max_cells: the most cells that the next finer level may have; None: any number.

    Returns:
        (M',) rows, ascending, all of them where their refinement fits; and their cells, which know what they expand to
        where that had to be found out.
    """
    chosen = coords.subset(rows)
    if max_cells is None or len(rows) * _MOST_CHILDREN <= max_cells:
        return rows, chosen
    most_rows = max_cells // _OWN_CHILDREN
    while True:
        if len(rows) > most_rows:
            best = torch.topk(prune_logits[rows, 0], most_rows, largest=False, sorted=False).indices
            rows = rows[best].sort().values
            chosen = coords.subset(rows)
        cells = len(chosen.expanded())
        if cells <= max_cells:
            return rows, chosen
        # Fewer cells share fewer children: a little less than in proportion, so that few rounds do.
        most_rows = int(len(rows) * max_cells / cells * 0.97)
