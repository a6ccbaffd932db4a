"""Statistics of scans: thickness, density and holes of planes; number, size and closeness of objects.

All clouds are first averaged over 1 cm voxels, so that clouds of different resolutions can be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dspdet3d_ros.clouds.voxel_means import voxel_means
from dspdet3d_ros.errors import missing_package
from dspdet3d_ros.geometry import corners
from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene

VOXEL = 0.01
#: Planes are measured in squares of this edge length, metres.
PATCH = 0.1
_CELLS = round(PATCH / VOXEL)
# A patch counts if half of its cells have points on the plane and the plane is level within 10 degrees.
_LEAST_CELLS = _CELLS**2 // 2
_STEEPEST = np.tan(np.radians(10))
_SLAB = 0.03
_SAMPLE = 20_000
_CLOSE = 0.01


@dataclass(frozen=True)
class Planes:
    """Level patches of 10 x 10 cm of a scan.

    Attributes:
        thickness: (P,) RMS distance of the points from their plane, metres.
        filled: (P,) voxels of the plane per square decimetre; 100 is one layer without a hole.
        empty: (P,) fraction of the patch's 1 cm columns without a point on or above the plane.
    """

    thickness: np.ndarray
    filled: np.ndarray
    empty: np.ndarray


def level_planes(xyz: np.ndarray) -> Planes:
    """The level patches of a voxel-averaged (V, 3) cloud: the plane with most points above each square decimetre."""
    columns = np.floor(xyz[:, :2] / VOXEL).astype(np.int64)
    columns -= columns.min(axis=0)
    squares = columns // _CELLS
    key = squares[:, 0] * (squares[:, 1].max() + 1) + squares[:, 1]
    order = np.argsort(key, kind="stable")
    rows = [
        row
        for part in np.split(order, np.flatnonzero(np.diff(key[order])) + 1)
        if len(part) >= _LEAST_CELLS and (row := _patch(xyz[part], columns[part] % _CELLS)) is not None
    ]
    return Planes(*np.array(rows, float).reshape(-1, 3).T)


def _patch(xyz: np.ndarray, column: np.ndarray) -> tuple[float, float, float] | None:
    counts = np.bincount(np.floor((xyz[:, 2] - xyz[:, 2].min()) / _SLAB).astype(np.int64))
    height = xyz[:, 2].min() + (counts.argmax() + 0.5) * _SLAB
    middle = xyz[:, :2].mean(axis=0)
    level = np.column_stack([xyz[:, :2] - middle, np.ones(len(xyz))])
    plane = np.array([0.0, 0.0, height])
    for _ in range(3):
        off = xyz[:, 2] - level @ plane
        near = np.abs(off) < _SLAB
        if near.sum() < _LEAST_CELLS:
            return None
        plane = np.linalg.lstsq(level[near], xyz[near, 2], rcond=None)[0]
    off = xyz[:, 2] - level @ plane
    near = np.abs(off) < _SLAB
    cell = column @ (1, _CELLS)
    if np.hypot(*plane[:2]) > _STEEPEST or len(np.unique(cell[near])) < _LEAST_CELLS:
        return None
    # Objects hide the plane below them, so only columns without a point on or above the plane are holes.
    seen = len(np.unique(cell[off > -_SLAB]))
    thickness = np.sqrt(np.mean(off[near] ** 2) / (1 + plane[:2] @ plane[:2]))
    return float(thickness), float(near.sum()), 1 - seen / _CELLS**2


def scene_statistics(scene: LabelledScene) -> dict[str, np.ndarray]:
    """Samples of each measure of one scene, by name; lengths in metres.

    Raises InputError if SciPy is missing.
    """
    voxels = voxel_means(scene.xyz, VOXEL)
    planes = level_planes(voxels.means)
    boxes = scene.boxes.astype(float)
    edges = np.sort(boxes[:, 3:6], axis=1)
    return {
        "plane_thickness": planes.thickness,
        "plane_voxels_dm2": planes.filled,
        "plane_holes": planes.empty,
        "points_voxel": np.array([voxels.counts.mean()]),
        "points": np.array([float(len(scene.xyz))]),
        "neighbour": _neighbour_distances(scene.xyz),
        "objects": np.array([float(len(boxes))]),
        "longest_edge": edges[:, 2],
        "shortest_edge": edges[:, 0],
        "close": _close(boxes).astype(float),
    }


def _neighbour_distances(xyz: np.ndarray) -> np.ndarray:
    """Distance from a sample of the points to their nearest neighbours, metres."""
    try:
        from scipy.spatial import cKDTree
    except ImportError as error:
        raise missing_package("statistics", "scipy") from error
    chosen = np.random.default_rng(0).permutation(len(xyz))[:_SAMPLE]
    distances = cKDTree(xyz).query(xyz[chosen], 2)[0][:, 1]
    return distances[np.isfinite(distances)]


def _close(boxes: np.ndarray) -> np.ndarray:
    """(K,) True for boxes within 1 cm of another box."""
    low, high = corners(boxes)
    gap = np.maximum(low[:, None] - high[None], low[None] - high[:, None]).max(axis=2)
    np.fill_diagonal(gap, np.inf)
    return gap.min(axis=1, initial=np.inf) < _CLOSE


#: Rows of the table: key, title, factor, digits, True to give the mean (of a fraction) instead of quantiles.
_ROWS = (
    ("plane_thickness", "plane thickness, mm", 1000, 1, False),
    ("plane_voxels_dm2", "voxels per dm² of plane", 1, 0, False),
    ("plane_holes", "holes in planes, %", 100, 1, True),
    ("points", "points per scene, thousands", 0.001, 0, False),
    ("points_voxel", "points per 1 cm voxel", 1, 1, False),
    ("neighbour", "distance to the nearest point, mm", 1000, 1, False),
    ("objects", "objects per scene", 1, 0, False),
    ("longest_edge", "longest edge of an object, cm", 100, 0, False),
    ("shortest_edge", "shortest edge of an object, cm", 100, 0, False),
    ("close", "objects within 1 cm of another, %", 100, 0, True),
)
QUANTILES = (0.1, 0.5, 0.9)


def summaries(scenes: Iterable[LabelledScene]) -> dict[str, dict[str, Any]]:
    """Statistics of the scenes, separately for each way of scanning (`LabelledScene.scan`).

    Returns:
        For each way of scanning: the number of scenes, and for each measure the number of samples, their mean and their
        quantiles 0.1, 0.5 and 0.9; metres and fractions.
    """
    parts: dict[str, list[dict[str, np.ndarray]]] = {}
    for scene in scenes:
        parts.setdefault(scene.scan, []).append(scene_statistics(scene))
    return {scan: _summary(parts[scan]) for scan in sorted(parts)}


def _summary(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, Any]:
    values: dict[str, Any] = {"scenes": len(parts)}
    for key, *_ in _ROWS:
        samples = np.concatenate([part[key] for part in parts])
        if len(samples):
            values[key] = {
                "samples": len(samples),
                "mean": float(samples.mean()),
                "quantiles": np.quantile(samples, QUANTILES).tolist(),
            }
    return values


def table(columns: Mapping[str, Mapping[str, Any]]) -> str:
    """The summaries of several sets as a Markdown table, one column each: median (quantile 0.1–quantile 0.9)."""
    names = list(columns)
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    lines.append(f"| scenes | {' | '.join(str(columns[name]['scenes']) for name in names)} |")
    for key, title, factor, digits, mean in _ROWS:
        cells = [_cell(columns[name].get(key), factor, digits, mean) for name in names]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(value: Mapping[str, Any] | None, factor: float, digits: int, mean: bool) -> str:
    if value is None:
        return "–"
    if mean:
        return f"{value['mean'] * factor:.{digits}f}"
    low, middle, high = (f"{quantile * factor:.{digits}f}" for quantile in value["quantiles"])
    return f"{middle} ({low}–{high})" if value["samples"] > 1 else middle
