"""The best predictions of all levels and views: the candidates for boxes."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.head import LevelOutput, decode_boxes
from dspdet3d_ros.native import library
from dspdet3d_ros.sparse.coords import synchronises

#: Boxes with an edge beyond e^±29 m (4e12 m) have overflowed: the volume of larger ones may be infinite in float32.
_LARGEST_LOG_SIZE = 29.0
#: Fusion takes all cells with a larger class logit than this, a little less than those that vote, and the best ones of
#: the others that can be boxes, until there are so many; but no more than the second number.
_LEAST_LOGIT = -3.0
_FEWEST, _MOST = 1000, 50_000


def best_cells(
    outputs: Sequence[LevelOutput], config: ModelConfig, score_threshold: float = 0.0
) -> tuple[Tensor, Tensor, int]:
    """The `nms_pre` cells with the largest class logit over all levels together, largest first.

    Logits order cells as scores do, and where scores round to the same number too.

    Args:
        outputs: the predictions of the levels.
        config: has `nms_pre`, and says whether candidates vote.
        score_threshold: of the network's scores. With fused post-processing cells below it are left out unless they
            vote; the best one stays.

    Returns:
        (N, 6) finite boxes in metres, larger than nothing and of finite volume, (N, n_classes) scores, and the number
        of predictions over all levels that were left out because theirs are not.
    """
    levels: list[tuple[Tensor, ...]] = [(o.logits, o.regression, o.coords.keys) for o in outputs]
    if synchronises(levels[0][0]):
        # On a GPU the number of calls takes the time. On the CPU a copy of all logits takes longer than all the rest.
        levels = [tuple(torch.cat(field) for field in zip(*levels, strict=True))]
    top = torch.cat([largest_logits(logits, regression) for logits, regression, _ in levels])
    limits = [-math.inf, _LEAST_LOGIT]
    if not synchronises(top):
        # On a GPU one more count takes longer than some more candidates.
        limits.append(_logit(score_threshold))
    found, voters, *others = _counts(top, limits)
    leaders = others[0] if others else found
    most = config.nms_pre
    if config.postprocessing == "fused":
        # All that have a vote, however large the map is: then a box does not depend on what else is in the map.
        most = min(max(voters, min(leaders, _FEWEST), 1), _MOST)
    logits, regression, keys = _taken(levels, _largest(top, min(most, found), voters))
    return decode_boxes(regression, keys, config.voxel_size), torch.sigmoid(logits), len(top) - found


def best_of_views(boxes: Sequence[Tensor], scores: Sequence[Tensor], config: ModelConfig) -> tuple[Tensor, Tensor]:
    """The candidates of all views together, best first; as many as `best_cells` gives for one view at the most.

    Args:
        boxes: (N, 6) of each view, in the frame of the cloud, metres.
        scores: (N, n_classes) of each view.
        config: has the limit.
    """
    if len(boxes) == 1:
        return boxes[0], scores[0]
    joined = torch.cat(tuple(scores))
    most = _MOST if config.postprocessing == "fused" else config.nms_pre
    rows = torch.sort(joined.amax(1), descending=True, stable=True).indices[:most]
    return torch.cat(tuple(boxes))[rows], joined[rows]


def _counts(values: Tensor, limits: Sequence[float]) -> list[int]:
    """The number of (N,) values above each limit."""
    if synchronises(values):
        # One transfer: on a GPU each waits for all earlier work.
        return torch.stack([(values > limit).sum() for limit in limits]).tolist()
    # On the CPU a call of NumPy takes less time than one of torch.
    return [int(np.count_nonzero(values.numpy() > limit)) for limit in limits]


def _largest(top: Tensor, count: int, voters: int) -> Tensor:
    """The rows of the largest of (N,) values, largest first.

    Args:
        top: (N,).
        count: number of rows.
        voters: number of values above `_LEAST_LOGIT`.
    """
    if synchronises(top) or count > voters:
        # Those that are not usable come last.
        return torch.topk(top, count).indices
    # On the CPU it takes less time to sort those above the limit only.
    values = top.numpy()
    rows = np.flatnonzero(values > _LEAST_LOGIT)
    return torch.from_numpy(rows[np.argsort(-values[rows], kind="stable")[:count]])


def _taken(levels: Sequence[tuple[Tensor, ...]], rows: Tensor) -> tuple[Tensor, ...]:
    """Rows, counted over all levels, of each of the tensors that every level has."""
    if len(levels) == 1:
        return tuple(field.index_select(0, rows) for field in levels[0])
    ends = np.cumsum([len(level[0]) for level in levels])
    wanted = rows.numpy()
    of_level = np.searchsorted(ends, wanted, side="right")
    order = np.argsort(of_level, kind="stable")
    in_order = np.split(wanted[order], np.bincount(of_level, minlength=len(levels)).cumsum()[:-1])
    own = [
        torch.from_numpy(some - (end - len(level[0]))) for level, some, end in zip(levels, in_order, ends, strict=True)
    ]
    back = torch.from_numpy(np.argsort(order))
    return tuple(
        torch.cat([part.index_select(0, some) for part, some in zip(field, own, strict=True)]).index_select(0, back)
        for field in zip(*levels, strict=True)
    )


def largest_logits(logits: Tensor, regression: Tensor) -> Tensor:
    """(N,) largest logits of the predictions that are finite, of boxes larger than nothing and of finite volume.

    Those of other predictions are -inf. On the CPU the C library computes them where it was built.

    Args:
        logits: (N, n_classes) float32.
        regression: (N, 6) float32.
    """
    if synchronises(logits) or not library.has_library():
        return largest_by_torch(logits, regression)
    logits, regression = logits.contiguous(), regression.contiguous()
    count, classes = logits.shape
    largest = torch.empty(count)
    predictions = library.Predictions(
        library.pointer(logits, torch.float32, count, classes),
        library.pointer(regression, torch.float32, count, 6),
        library.pointer(largest, torch.float32, count),
        count,
        classes,
        _LARGEST_LOG_SIZE,
    )
    call = library.load().native_largest_logits
    library.check(call(library.isa_number(), ctypes.byref(predictions), torch.get_num_threads()))
    return largest


def largest_by_torch(logits: Tensor, regression: Tensor) -> Tensor:
    """See `largest_logits`."""
    largest = logits.amax(1)
    # What is not finite shows in the largest or the smallest value of a row; comparisons with NaN are false.
    finite = (largest < torch.inf) & (logits.amin(1) > -torch.inf)
    magnitude = regression.abs()
    fits = magnitude[:, 3:].amax(1) <= _LARGEST_LOG_SIZE
    return torch.where(finite & fits & (magnitude[:, :3].amax(1) < torch.inf), largest, -torch.inf)


def _logit(score: float) -> float:
    """The logit of a score in 0..1."""
    return math.log(score / (1 - score)) if 0 < score < 1 else math.copysign(math.inf, score - 0.5)
