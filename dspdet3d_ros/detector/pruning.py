"""Pruning: the choice of the cells that are refined to the next finer level (DSPDet3D, sections 3.2 and 3.3).

The detector refines the cells above the threshold τ, as long as the next level stays within a number of cells. Training
has a rule of its own, which never prunes cells near objects.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from dspdet3d_ros.sparse import CoordinateSet, SparseTensor

#: The least and the greatest number of finer cells of a cell: with all neighbours present and with none.
_OWN_CHILDREN = 8
_MOST_CHILDREN = 27


class Pruning(ABC):
    """A rule that chooses the cells to refine.

    Attributes:
        max_cells: the most cells that refinement may make at a level; None: any number. See `best_cells_within`.
    """

    max_cells: int | None = None

    @abstractmethod
    def keep(self, cells: SparseTensor, prune_logits: Tensor) -> Tensor:
        """(N,) mask of the cells to refine.

        Args:
            cells: N cells of a level with the features of its lateral branch.
            prune_logits: (N, 1) logits of "prune this cell".
        """

    def limit(self, cells: SparseTensor, coarser: SparseTensor) -> SparseTensor:
        """The cells of a refined level that stay, before anything is predicted for them: all, except in training.

        Args:
            cells: the level, after the partial addition.
            coarser: the level that was refined, with its logits of "prune this cell" as features.
        """
        return cells


@dataclass(frozen=True)
class ThresholdPruning(Pruning):
    """Keeps the cells whose keep probability exceeds τ; τ = 0 keeps every cell, underflowed probabilities too.

    Attributes:
        pruning_threshold: τ, 0..1.
        max_cells: see `Pruning`.
    """

    pruning_threshold: float
    max_cells: int | None = None

    def keep(self, cells: SparseTensor, prune_logits: Tensor) -> Tensor:
        """See `Pruning.keep`."""
        if self.pruning_threshold <= 0:
            return torch.ones(len(cells), dtype=torch.bool, device=prune_logits.device)
        return keep_probability(prune_logits) > self.pruning_threshold


def keep_probability(prune_logits: Tensor) -> Tensor:
    """(N,) probability that a cell is kept: in training "not keep" is the positive class."""
    return 1 - torch.sigmoid(prune_logits[:, 0])


def best_cells_within(
    coords: CoordinateSet, prune_logits: Tensor, rows: Tensor, chosen: CoordinateSet, max_cells: int | None
) -> tuple[Tensor, CoordinateSet]:
    """Of the rows to refine, those with the best keep scores, within a bound on the number of finer cells.

    In training the original drops all but the best `pts_prune_threshold` cells of a level; the same rule bounds time
    and memory in use.

    Args:
        coords: the N cells of a level.
        prune_logits: (N, 1) logits of "prune this cell".
        rows: (M,) rows that pruning left, ascending.
        chosen: the set of those.
        max_cells: the most cells that the next finer level may have; None: any number.

    Returns:
        (M',) rows, ascending, all of them if their refinement fits; and their cells, with the expanded set cached if it
        was computed.
    """
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
        # Fewer cells share fewer children: a little less than in proportion, so that few rounds suffice.
        most_rows = int(len(rows) * max_cells / cells * 0.97)
