"""Accumulation of labelled points into voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dspdet3d_ros.errors import InputError

_INDEX_BITS = 22
_LABEL_BITS = 9
#: The most points that can be fused at once.
MOST_POINTS = (1 << _INDEX_BITS) - 1
#: The most voxels in the block of space about them: what is left of 63 bits.
MOST_VOXELS = 1 << (63 - _INDEX_BITS - _LABEL_BITS)


@dataclass(frozen=True)
class Fused:
    """One point a voxel.

    Args:
        xyz: (N, 3) float32 mean of the voxel's points.
        label: (N,) int64 the label most of them have.
        sample: (N,) int64 one input point of that label.
        survives: (M,) bool for each input point: its voxel was kept and has the point's label.
    """

    xyz: np.ndarray
    label: np.ndarray
    sample: np.ndarray
    survives: np.ndarray


def fuse(
    xyz: np.ndarray, label: np.ndarray, frame: np.ndarray, size: float, keep_single: float, rng: np.random.Generator
) -> Fused:
    """Average points over voxels of `size` metres.

    Args:
        xyz: (M, 3) float32 points, at most `MOST_POINTS` of them.
        label: (M,) integers from 0 to 510.
        frame: (M,) integers, the frame each point came from, not falling.
        size: edge of a voxel in metres.
        keep_single: share of the voxels seen in one frame only that is kept; 1 keeps all.
        rng: source of chance.

    Raises:
        InputError: there are more points than `MOST_POINTS`, or they lie too far apart for voxels of that size.
    """
    if len(xyz) > MOST_POINTS:
        raise InputError(
            f"{len(xyz)} points: expected at most {MOST_POINTS} to fuse at once; take fewer frames, or fewer pixels"
        )
    key = _keys(xyz, size)
    # Voxel, label and point number in one integer: a plain sort is several times faster than sorting an index.
    packed = (key << (_INDEX_BITS + _LABEL_BITS)) | (label.astype(np.int64) << _INDEX_BITS) | np.arange(len(key))
    packed.sort()
    order = packed & ((1 << _INDEX_BITS) - 1)
    run_key = packed >> _INDEX_BITS
    run_start = _starts(run_key)
    voxel_of_run = run_key[run_start] >> _LABEL_BITS
    first_run = _starts(voxel_of_run)
    run_length = np.diff(np.append(run_start, len(order)))
    voxel_length = np.add.reduceat(run_length, first_run)
    run_label = run_key[run_start] & ((1 << _LABEL_BITS) - 1)
    winner = np.maximum.reduceat((run_length << _LABEL_BITS) | run_label, first_run) & ((1 << _LABEL_BITS) - 1)
    runs_per_voxel = np.diff(np.append(first_run, len(run_start)))
    wins = run_label == np.repeat(winner, runs_per_voxel)

    voxel_start = run_start[first_run]
    seen = frame[order]
    several = np.maximum.reduceat(seen, voxel_start) > np.minimum.reduceat(seen, voxel_start)
    kept = several | (rng.random(len(voxel_start)) < keep_single)
    survives = np.empty(len(order), bool)
    survives[order] = np.repeat(wins & np.repeat(kept, runs_per_voxel), run_length)

    total = np.add.reduceat(xyz.take(order, axis=0), voxel_start, axis=0)
    mean = total[kept] / voxel_length[kept, None].astype(np.float32)
    return Fused(mean.astype(np.float32), winner[kept], order[run_start[wins]][kept], survives)


def _keys(xyz: np.ndarray, size: float) -> np.ndarray:
    """(M,) int64 number of each point's voxel; one column at a time, as (M, 3) integers would not fit the cache."""
    key = np.zeros(len(xyz), np.int64)
    voxels = 1
    for axis in range(3):
        cell = np.floor(xyz[:, axis] / np.float32(size)).astype(np.int32)
        cell -= cell.min()
        span = int(cell.max()) + 1
        voxels *= span
        key *= span
        key += cell
    if voxels > MOST_VOXELS:
        raise InputError(
            f"the points lie in a block of {voxels} voxels of {size:g} m: expected at most {MOST_VOXELS}; "
            "leave out what is far away, or take larger voxels"
        )
    return key


def _starts(values: np.ndarray) -> np.ndarray:
    """Indices at which a run of equal values begins."""
    return np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
