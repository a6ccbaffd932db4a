"""What scans are like: how thick planes are, how dense, how many holes; how many things, how large, how close.

All clouds are averaged over 1 cm voxels first, so that those of different resolution can be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dspdet3d_ros.errors import missing_package
from dspdet3d_ros.geometry import corners
from dspdet3d_ros.learning.datasets.scene import LabelledScene

VOXEL = 0.01
#: Planes are looked at in squares of this edge, metres.
PATCH = 0.1
_CELLS = round(PATCH / VOXEL)
# A patch counts where half of its cells have points on the plane, and the plane is level within 10 degrees.
_LEAST_CELLS = _CELLS**2 // 2
_STEEPEST = np.tan(np.radians(10))
_SLAB = 0.03
_SAMPLE = 20_000
_CLOSE = 0.01


@dataclass(frozen=True)
class Planes:
    """Level patches of 10 x 10 cm of a scan.

    Attributes:
        thickness: (P,) RMS distance of the points to the plane through them, metres.
        filled: (P,) voxels of the plane a square decimetre; 100 is one layer without a hole.
        empty: (P,) share of the patch's 1 cm columns that have no point on the plane or above it.
    """

    thickness: np.ndarray
    filled: np.ndarray
    empty: np.ndarray


def voxel_means(xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(V, 3) float64 mean of each occupied voxel, and (V,) how many points it has."""
    cells = np.floor(xyz / VOXEL).astype(np.int64)
    _, place, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    sums = [np.bincount(place.reshape(-1), xyz[:, axis], len(counts)) for axis in range(3)]
    return np.stack(sums, axis=1) / counts[:, None], counts


def level_planes(xyz: np.ndarray) -> Planes:
    """The level patches of a voxel-averaged (V, 3) cloud: in each square decimetre of the plan, the fullest height."""
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
    # A voxel that straddles the slab's rim belongs to a thing, so holes are columns without anything above the plane.
    seen = len(np.unique(cell[off > -_SLAB]))
    thickness = np.sqrt(np.mean(off[near] ** 2) / (1 + plane[:2] @ plane[:2]))
    return float(thickness), float(near.sum()), 1 - seen / _CELLS**2


def scene_statistics(scene: LabelledScene) -> dict[str, np.ndarray]:
    """Samples of one scene, by what they measure; lengths in metres.

    Raises InputError if SciPy is missing.
    """
    means, counts = voxel_means(scene.xyz)
    planes = level_planes(means)
    boxes = scene.boxes.astype(float)
    edges = np.sort(boxes[:, 3:6], axis=1)
    return {
        "plane_thickness": planes.thickness,
        "plane_voxels_dm2": planes.filled,
        "plane_holes": planes.empty,
        "points_voxel": np.array([counts.mean()]),
        "points": np.array([float(len(scene.xyz))]),
        "neighbour": _neighbour_distances(scene.xyz),
        "things": np.array([float(len(boxes))]),
        "longest_edge": edges[:, 2],
        "shortest_edge": edges[:, 0],
        "close": _close(boxes).astype(float),
    }


def _neighbour_distances(xyz: np.ndarray) -> np.ndarray:
    """Distance from some of the points to the nearest other one, metres."""
    try:
        from scipy.spatial import cKDTree
    except ImportError as error:
        raise missing_package("statistics", "scipy") from error
    chosen = np.random.default_rng(0).permutation(len(xyz))[:_SAMPLE]
    distances = cKDTree(xyz).query(xyz[chosen], 2)[0][:, 1]
    return distances[np.isfinite(distances)]


def _close(boxes: np.ndarray) -> np.ndarray:
    """(K,) whether a box comes within 1 cm of another one."""
    low, high = corners(boxes)
    gap = np.maximum(low[:, None] - high[None], low[None] - high[:, None]).max(axis=2)
    np.fill_diagonal(gap, np.inf)
    return gap.min(axis=1, initial=np.inf) < _CLOSE


#: Rows of the table: key, title, factor, digits, and whether the mean (a share) or quantiles are given.
_ROWS = (
    ("plane_thickness", "plane thickness, mm", 1000, 1, False),
    ("plane_voxels_dm2", "voxels a dm² of a plane", 1, 0, False),
    ("plane_holes", "holes in planes, %", 100, 1, True),
    ("points", "points a scene, thousands", 0.001, 0, False),
    ("points_voxel", "points a 1 cm voxel", 1, 1, False),
    ("neighbour", "to the nearest point, mm", 1000, 1, False),
    ("things", "things a scene", 1, 0, False),
    ("longest_edge", "longest edge of a thing, cm", 100, 0, False),
    ("shortest_edge", "shortest edge of a thing, cm", 100, 0, False),
    ("close", "things within 1 cm of another, %", 100, 0, True),
)
QUANTILES = (0.1, 0.5, 0.9)


def summaries(scenes: Iterable[LabelledScene]) -> dict[str, dict[str, Any]]:
    """What the scenes are like, for each way of scanning that occurs (`LabelledScene.scan`) apart.

    Returns:
        The number of scenes, and for each measure the number of samples in all of them, their mean, and their quantiles
        0.1, 0.5 and 0.9; metres and shares.
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
    """The summaries of several sets side by side, as Markdown: medians, in brackets quantiles 0.1 and 0.9."""
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
