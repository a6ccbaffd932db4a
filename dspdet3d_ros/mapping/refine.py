"""Alignment of a frame with the map: point-to-plane, with a bounded correction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from dspdet3d_ros.mapping.pixels import FramePoints
from dspdet3d_ros.mapping.voxel_map import NORMAL, VoxelMap, keys_of

# Points that are aligned, and points from which they are chosen so that all directions of surfaces are among them.
_POINTS, _DRAWN = 1500, 6000
# A frame is aligned if so many of its points are near to the map.
_LEAST_PAIRS = 200
_STEPS = 4
# A map point counts if so many frames measured it and its normal is within 45 degrees of that of the point.
_LEAST_OBSERVATIONS, _LEAST_COSINE = 2, 0.7
# Residuals far above this get little weight, metres.
_ROBUST_M = 0.005
# The correction stays small in directions that no surface fixes: prior per pair.
_DAMPING = 0.01
_SMALL_STEP = 1e-4


@dataclass(frozen=True)
class Alignment:
    """The pose of a frame after the alignment.

    Attributes:
        pose: (4, 4) float64, camera → map.
        pairs: number of points that were near to the map; 0 if the pose was not changed.
    """

    pose: np.ndarray
    pairs: int


def align(points: FramePoints, pose: np.ndarray, voxels: VoxelMap) -> Alignment:
    """Aligns a frame with the map.

    Args:
        points: of the frame.
        pose: (4, 4) float64, camera → map, to begin with. It should be right within two voxels at most surfaces.
        voxels: the map.
    """
    chosen = _chosen(points.normals)
    if len(chosen) < _LEAST_PAIRS or len(voxels) < _LEAST_PAIRS:
        return Alignment(pose, 0)
    start = torch.as_tensor(pose, dtype=torch.float32, device=voxels.device)
    xyz = points.xyz[chosen] @ start[:3, :3].T + start[:3, 3]
    normals = points.normals[chosen] @ start[:3, :3].T
    rows = _neighbours(xyz, voxels)
    near = (rows >= 0).any(dim=1).nonzero()[:, 0]
    if len(near) < _LEAST_PAIRS:
        return Alignment(pose, 0)
    xyz, normals, rows = xyz[near], normals[near], rows[near]
    flat = rows.flatten().clamp(min=0)
    places = voxels.points(flat).reshape(*rows.shape, 3)
    directions = torch.nn.functional.normalize(voxels.sums[flat, NORMAL], dim=1).reshape(*rows.shape, 3)
    usable = (rows >= 0) & (voxels.observations[flat].reshape(rows.shape) >= _LEAST_OBSERVATIONS)
    usable &= (directions * normals[:, None]).sum(-1) > _LEAST_COSINE
    middle = xyz.mean(dim=0)
    correction, pairs = np.eye(4), 0
    moved = xyz - middle
    for _ in range(_STEPS):
        distances = torch.where(usable, ((places - middle - moved[:, None]) ** 2).sum(-1), torch.inf)
        nearest, which = distances.min(dim=1)
        found = torch.isfinite(nearest).nonzero()[:, 0]
        pairs = len(found)
        if pairs < _LEAST_PAIRS:
            return Alignment(pose, 0)
        step = _step(
            moved[found],
            places[found, which[found]] - middle,
            directions[found, which[found]],
        )
        correction = step @ correction
        tensor = torch.as_tensor(step, dtype=torch.float32, device=voxels.device)
        moved = moved @ tensor[:3, :3].T + tensor[:3, 3]
        if np.abs(step - np.eye(4)).max() < _SMALL_STEP:
            break
    shift = np.eye(4)
    shift[:3, 3] = middle.cpu().numpy()
    return Alignment(shift @ correction @ np.linalg.inv(shift) @ pose, pairs)


def bounded(correction: np.ndarray, most_m: float, most_rad: float) -> np.ndarray:
    """A (4, 4) correction whose translation and rotation do not exceed the limits."""
    angle = math.acos(max(-1.0, min(1.0, (np.trace(correction[:3, :3]) - 1) / 2)))
    length = float(np.linalg.norm(correction[:3, 3]))
    result = correction.copy()
    if angle > most_rad:
        turn = correction[:3, :3]
        axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
        result[:3, :3] = _rotation(axis / np.linalg.norm(axis) * most_rad)
    if length > most_m:
        result[:3, 3] *= most_m / length
    return result


def _chosen(normals: torch.Tensor) -> torch.Tensor:
    """Indices of points: about as many of each of the six main directions as there are."""
    drawn = torch.arange(0, len(normals), max(len(normals) // _DRAWN, 1), device=normals.device)
    part = normals[drawn]
    axis = part.abs().argmax(dim=1)
    side = 2 * axis + (part.gather(1, axis[:, None])[:, 0] > 0)
    order = torch.argsort(side, stable=True)
    counts = torch.bincount(side, minlength=6)
    starts = torch.cumsum(counts, 0) - counts
    share = max(_POINTS // max(int((counts > 0).sum()), 1), 1)
    # Every k-th of each direction.
    place = torch.arange(len(order), device=order.device) - starts[side[order]]
    every = (counts // share).clamp(min=1)[side[order]]
    return drawn[order[(place % every) == 0]]


def _neighbours(xyz: torch.Tensor, voxels: VoxelMap) -> torch.Tensor:
    """(N, 27) int64 rows of the voxels around each point, -1 where there is none."""
    cells = torch.floor(xyz / voxels.voxel_size).to(torch.int64)
    steps = torch.tensor([(x, y, -1) for x in (-1, 0, 1) for y in (-1, 0, 1)], device=cells.device)
    keys = keys_of((cells[:, None] + steps).reshape(-1, 3))
    return voxels.index.find_runs(keys, 3).reshape(len(cells), 27)


def _step(xyz: torch.Tensor, places: torch.Tensor, directions: torch.Tensor) -> np.ndarray:
    """(4, 4) motion of the points that brings them nearer to the planes of their partners."""
    residual = ((xyz - places) * directions).sum(dim=1)
    weight = 1 / (1 + (residual / _ROBUST_M) ** 2)
    jacobian = torch.cat([torch.linalg.cross(xyz, directions), directions], dim=1)
    weighted = jacobian * weight[:, None]
    normal = (weighted.T @ jacobian).cpu().numpy().astype(np.float64)
    gradient = (weighted.T @ residual).cpu().numpy().astype(np.float64)
    normal += np.eye(6) * _DAMPING * len(xyz)
    twist = -np.linalg.solve(normal, gradient)
    step = np.eye(4)
    step[:3, :3], step[:3, 3] = _rotation(twist[:3]), twist[3:]
    return step


def _rotation(vector: np.ndarray) -> np.ndarray:
    """(3, 3) rotation by the length of a vector, in radians, about its direction."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
