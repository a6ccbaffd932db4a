"""The four-level detection head with dynamic spatial pruning (DSPDet3D, sections 3.2 and 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dspdet3d_ros.detector.pruning import Pruning, best_cells_within
from dspdet3d_ros.sparse import ConvNormReLU, CoordinateSet, GenerativeUpConv, SparseConv, SparseTensor
from dspdet3d_ros.sparse.coords import unpack

LEVELS = 4
LEVEL_OF_STRIDE = {4 * 2**level: level for level in range(LEVELS)}
_CLASS_PRIOR = 0.01


@dataclass(frozen=True)
class LevelOutput:
    """The predictions of the head for the cells of one level.

    Attributes:
        level: 0 (finest) to 3.
        coords: the N cells.
        regression: (N, 6) offset of the box centre from the cell's lower corner in metres, log of its size in metres.
        logits: (N, n_classes) class logits.
        prune_logits: (N, 1) logits of "prune this cell" before the lateral block, None at level 0.
        kept: number of cells that were refined to the next finer level; N at level 0.
        dropped: number of cells that pruning would have kept but the bound on the next level's cells did not.
    """

    level: int
    coords: CoordinateSet
    regression: Tensor
    logits: Tensor
    prune_logits: Tensor | None
    kept: int
    dropped: int = 0

    def boxes(self, voxel_size: float, rows: Tensor | None = None) -> Tensor:
        """(M, 6) decoded boxes: centre = c·s + reg[:3], size = exp(reg[3:]); metres.

        Args:
            voxel_size: s, metres.
            rows: (M,) the wanted cells, in any order; all if not given.
        """
        regression, keys = self.regression, self.coords.keys
        if rows is not None:
            regression, keys = regression[rows], keys[rows]
        return decode_boxes(regression, keys, voxel_size)


def decode_boxes(regression: Tensor, keys: Tensor, voxel_size: float) -> Tensor:
    """(N, 6) boxes of N cells, centre and size, metres; see `LevelOutput`.

    Args:
        regression: (N, 6).
        keys: (N,) of the cells.
        voxel_size: metres.
    """
    corner = unpack(keys)[:, 1:].to(regression.dtype) * voxel_size
    return torch.cat([corner + regression[:, :3], torch.exp(regression[:, 3:])], 1)


class Head(nn.Module):
    """Predicts boxes at every level, coarse to fine, refining only the cells that may hold smaller objects.

    Args:
        widths: channels of the four levels, fine to coarse.
        head_width: channels of the prediction branch.
        n_classes: number of classes.
        initial_size: size of the boxes predicted before training, metres.
        partial_addition: see `ModelConfig`.
    """

    def __init__(
        self,
        widths: Sequence[int],
        head_width: int,
        n_classes: int,
        initial_size: float = 1.0,
        partial_addition: bool = True,
    ) -> None:
        super().__init__()
        self._partial_addition = partial_addition
        self.bbox_conv = SparseConv(head_width, 6, kernel_size=1, bias=True)
        self.cls_conv = SparseConv(head_width, n_classes, kernel_size=1, bias=True)
        self.keep_conv = nn.ModuleList(SparseConv(widths[i], 1, kernel_size=1, bias=True) for i in range(1, LEVELS))
        for i in range(LEVELS):
            if i > 0:
                self.add_module(f"up_block_{i}", ConvNormReLU(GenerativeUpConv(widths[i], widths[i - 1])))
            self.add_module(f"lateral_block_{i}", ConvNormReLU(SparseConv(widths[i], widths[i])))
            self.add_module(f"out_block_{i}", ConvNormReLU(SparseConv(widths[i], head_width)))
        self._initialise(initial_size)

    def _initialise(self, initial_size: float) -> None:
        for conv in (self.bbox_conv, self.cls_conv, *self.keep_conv):
            nn.init.normal_(conv.kernel, std=0.01)
        prior = torch.tensor(_CLASS_PRIOR)
        nn.init.constant_(self.cls_conv.get_parameter("bias"), float(torch.log(prior / (1 - prior))))
        with torch.no_grad():
            self.bbox_conv.get_parameter("bias")[:, 3:] = torch.log(torch.tensor(initial_size))

    def forward(
        self,
        levels: Sequence[SparseTensor],
        pruning: Pruning,
        lap: Callable[[str], None] = lambda _: None,
    ) -> list[LevelOutput]:
        """Backbone levels (fine to coarse) to predictions, coarse to fine.

        Args:
            levels: the backbone's four outputs.
            pruning: chooses the cells to refine.
            lap: called with the name of a stage at its end.
        """
        outputs: list[LevelOutput] = []
        x = levels[-1]
        keep: SparseTensor | None = None
        for i in reversed(range(LEVELS)):
            if i < LEVELS - 1:
                x = self.get_submodule(f"up_block_{i + 1}")(x)
                if self._partial_addition:
                    x = x.add_where_present(levels[i], reuse=True)
                if keep is not None:
                    x = pruning.limit(x, keep)
            keep = self.keep_conv[i - 1](x) if i > 0 else None
            x = self.get_submodule(f"lateral_block_{i}")(x)
            out = self.get_submodule(f"out_block_{i}")(x)
            # Once for both predictions, which are float32.
            out = out.with_features(out.features.to(self.bbox_conv.kernel.dtype))
            rows, wanted, refined = None, len(x), x.coords
            if keep is not None:
                rows, refined = x.coords.kept(pruning.keep(x, keep.features))
                wanted = len(rows)
                rows, refined = best_cells_within(x.coords, keep.features, rows, refined, pruning.max_cells)
            kept = len(refined)
            outputs.append(
                LevelOutput(
                    level=i,
                    coords=x.coords,
                    regression=self.bbox_conv(out).features,
                    logits=self.cls_conv(out).features,
                    prune_logits=None if keep is None else keep.features,
                    kept=kept,
                    dropped=wanted - kept,
                )
            )
            lap(f"level{i}")
            if kept == 0:
                break
            if rows is not None:
                x = SparseTensor(x.features[rows] if kept < len(x) else x.features, refined, x.engine)
        return outputs
