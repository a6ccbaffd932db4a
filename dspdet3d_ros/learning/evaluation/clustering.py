"""Non-learned baseline: DBSCAN clusters above a known table plane, one box per cluster."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from dspdet3d_ros.errors import InputError, missing_package
from dspdet3d_ros.geometry import box_around
from dspdet3d_ros.learning.datasets.labelled_scene import ANY_CLASS, LabelledScene
from dspdet3d_ros.learning.evaluation.accuracy import Predictions


@dataclass(frozen=True)
class Clustering:
    """DBSCAN (Ester et al. 1996) of the points above the table. The score of a box is its number of occupied cells.

    Raises InputError if SciPy is missing.

    Attributes:
        table_margin: points below this height above the table belong to the table, metres.
        cell: points are thinned to one per cell of this edge length, metres.
        reach: points closer than this are neighbours, metres.
        least_neighbours: a point with fewer neighbours, itself included, does not connect other points.
        least_points: smaller clusters are noise.
        table_z: height of the table, metres; None takes the height from the scene.
    """

    table_margin: float = 0.008
    cell: float = 0.005
    reach: float = 0.015
    least_neighbours: int = 10
    least_points: int = 50
    table_z: float | None = None

    def __post_init__(self) -> None:
        _import_scipy()

    def __call__(self, scene: LabelledScene) -> Predictions:
        """Boxes of the clusters of a scene.

        Raises:
            InputError: neither the scene nor `table_z` gives the height of the table.
        """
        start = time.perf_counter()
        table_z = scene.table_z if self.table_z is None else self.table_z
        if table_z is None:
            raise InputError(f"scene {scene.name}: has no table height; give it with --table-z")
        points = scene.xyz[scene.xyz[:, 2] > table_z + self.table_margin]
        points = points[np.unique(np.floor(points / self.cell).astype(np.int64), axis=0, return_index=True)[1]]
        labels = clusters(points, self.reach, self.least_neighbours)
        parts = [points[labels == label] for label in range(labels.max(initial=-1) + 1)]
        parts = [part for part in parts if len(part) >= self.least_points]
        boxes = np.array([box_around(part) for part in parts], np.float32).reshape(-1, 6)
        scores = np.array([len(part) for part in parts], np.float64)
        return Predictions(boxes, scores, (ANY_CLASS,) * len(boxes), (time.perf_counter() - start) * 1000)


def clusters(points: np.ndarray, reach: float, least_neighbours: int) -> np.ndarray:
    """DBSCAN.

    Args:
        points: (N, 3).
        reach: largest distance between neighbours.
        least_neighbours: a point with at least so many neighbours, itself included, is a core. A cluster consists of
            connected cores and their neighbours.

    Returns:
        (N,) cluster number from 0, -1 for noise.
    """
    coo_matrix, connected_components, kd_tree = _import_scipy()
    count = len(points)
    if not count:
        return np.empty(0, np.int64)
    pairs = kd_tree(points).query_pairs(reach, output_type="ndarray")
    core = np.bincount(pairs.ravel(), minlength=count) + 1 >= least_neighbours
    first, second = pairs[core[pairs].all(1)].T
    joined = coo_matrix((np.ones(len(first), bool), (first, second)), (count, count))
    label = np.where(core, connected_components(joined, directed=False)[1], -1)
    for inner, outer in (pairs.T, pairs.T[::-1]):
        border = core[inner] & ~core[outer]
        label[outer[border]] = label[inner[border]]
    numbers, renumbered = np.unique(label, return_inverse=True)
    return renumbered - int(len(numbers) > 0 and numbers[0] == -1)


def _import_scipy() -> tuple[Any, Any, Any]:
    try:
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components
        from scipy.spatial import cKDTree
    except ImportError:
        raise missing_package("the clustering baseline", "scipy") from None
    return coo_matrix, connected_components, cKDTree
