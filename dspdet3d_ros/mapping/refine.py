"""Alignment of a frame with the map: point-to-plane, with a bounded correction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from dspdet3d_ros.mapping.pixels import FramePoints
from dspdet3d_ros.mapping.voxel_map import VoxelMap, keys_of

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
# Farther from a point than any voxel of the map, metres.
_FAR_M = 1e6


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
    xyz = start[:3, :3] @ points.xyz.index_select(1, chosen) + start[:3, 3:]
    normals = start[:3, :3] @ points.normals.index_select(1, chosen)
    places, directions = _candidates(xyz, normals, voxels)
    near = (places[0] < _FAR_M).any(dim=0).nonzero()[:, 0]
    if len(near) < _LEAST_PAIRS:
        return Alignment(pose, 0)
    # Rotations are about the middle of the points near to the map.
    middle = xyz.index_select(1, near).mean(dim=1, keepdim=True)
    places -= middle[:, None]
    moved = xyz - middle
    correction, pairs = np.eye(4), 0
    for _ in range(_STEPS):
        apart = places - moved[:, None]
        nearest, which = (apart[0] ** 2 + apart[1] ** 2 + apart[2] ** 2).min(dim=0)
        found = (nearest < _FAR_M**2).nonzero()[:, 0]
        pairs = len(found)
        if pairs < _LEAST_PAIRS:
            return Alignment(pose, 0)
        partner = which.index_select(0, found) * len(chosen) + found
        step = _step(
            moved.index_select(1, found),
            places.flatten(1).index_select(1, partner),
            directions.flatten(1).index_select(1, partner),
        )
        correction = step @ correction
        tensor = torch.as_tensor(step, dtype=torch.float32, device=voxels.device)
        moved = tensor[:3, :3] @ moved + tensor[:3, 3:]
        if np.abs(step - np.eye(4)).max() < _SMALL_STEP:
            break
    shift = np.eye(4)
    shift[:3, 3] = middle[:, 0].cpu().numpy()
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
    every = max(normals.shape[1] // _DRAWN, 1)
    part = normals[:, ::every]
    # The number of the largest component, and twice that plus one where it is positive; `argmax` would be slower.
    x, y, z = part.abs()
    axis = torch.maximum((y > x).to(torch.int64), 2 * (z > torch.maximum(x, y)).to(torch.int64))
    side = 2 * axis + (part.gather(0, axis[None])[0] > 0)
    order = torch.argsort(side, stable=True)
    counts = torch.bincount(side, minlength=6)
    starts = torch.cumsum(counts, 0) - counts
    share = max(_POINTS // max(int((counts > 0).sum()), 1), 1)
    # Every k-th of each direction.
    side = side.index_select(0, order)
    place = torch.arange(len(order), device=order.device) - starts.index_select(0, side)
    steps = (counts // share).clamp(min=1).index_select(0, side)
    return order[(place % steps) == 0] * every


def _candidates(xyz: torch.Tensor, normals: torch.Tensor, voxels: VoxelMap) -> tuple[torch.Tensor, torch.Tensor]:
    """(3, 27, N) means of the voxels around each point, and their normals; very far where none fits."""
    cells = torch.floor(xyz / voxels.voxel_size).to(torch.int64)
    steps = torch.tensor([(x, y, -1) for x in (-1, 0, 1) for y in (-1, 0, 1)], device=cells.device)
    keys = keys_of(*(cells[:, None] + steps.T[:, :, None])).flatten()
    rows = voxels.index.find_runs(keys, 3).flatten()
    at = (rows >= 0).nonzero()[:, 0]
    rows = rows.index_select(0, at)
    known = (voxels.observations.index_select(0, rows) >= _LEAST_OBSERVATIONS).nonzero()[:, 0]
    at, rows = at.index_select(0, known), rows.index_select(0, known)
    means, of_map = voxels.means(rows)
    number = at % xyz.shape[1]
    fits = ((of_map * normals.index_select(1, number)).sum(dim=0) > _LEAST_COSINE).nonzero()[:, 0]
    at = at.index_select(0, fits)
    places = torch.full((3, 27 * xyz.shape[1]), 2 * _FAR_M, device=xyz.device)
    places.index_copy_(1, at, means.index_select(1, fits))
    directions = torch.zeros_like(places)
    directions.index_copy_(1, at, of_map.index_select(1, fits))
    return places.reshape(3, 27, -1), directions.reshape(3, 27, -1)


def _step(xyz: torch.Tensor, places: torch.Tensor, directions: torch.Tensor) -> np.ndarray:
    """(4, 4) motion of (3, N) points that brings them nearer to the planes of their partners."""
    residual = ((xyz - places) * directions).sum(dim=0)
    weight = 1 / (1 + (residual / _ROBUST_M) ** 2)
    jacobian = torch.cat([torch.linalg.cross(xyz, directions, dim=0), directions, residual[None]])
    products = ((jacobian[:6] * weight) @ jacobian.T).cpu().numpy().astype(np.float64)
    normal = products[:, :6] + np.eye(6) * _DAMPING * xyz.shape[1]
    twist = -np.linalg.solve(normal, products[:, 6])
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
