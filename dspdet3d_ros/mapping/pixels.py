"""From a depth image to points with normals and colours, in the frame of the depth camera."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from dspdet3d_ros.mapping.frame import Camera, RGBDFrame
from dspdet3d_ros.mapping.map_settings import MapSettings

# Inverse depth is averaged over windows of this edge, in decimated pixels, before normals are computed.
_WINDOW = 5
# A normal needs this number of measured pixels in each of the windows that it is computed from.
_LEAST_MEASURED = 6
# Surfaces at larger angles look like depth edges.
_STEEPEST_DEG = 80.0


@dataclass(frozen=True)
class FramePoints:
    """The usable pixels of one frame.

    Attributes:
        xyz: (N, 3) float32, metres, in the frame of the depth camera.
        normals: (N, 3) float32 unit normals that face the camera, same frame.
        weights: (N,) float32, proportional to 1 / z².
        rgb: (N, 3) float32, 0..255; None without colour.
        coloured: (N,) float32, 1 where the colour camera sees the point; None without colour.
        depth: (h, w) float32 decimated depth in metres, 0 where nothing was measured.
        camera: of `depth`.
    """

    xyz: torch.Tensor
    normals: torch.Tensor
    weights: torch.Tensor
    rgb: torch.Tensor | None
    coloured: torch.Tensor | None
    depth: torch.Tensor
    camera: Camera


def frame_points(frame: RGBDFrame, settings: MapSettings, device: str = "cpu") -> FramePoints:
    """The points of a checked frame.

    Pixels at depth edges, at grazing angles and outside of the distance limits are left out.
    """
    camera = frame.camera.decimated(settings.decimation)
    # Neighbours on a plane at the largest accepted angle differ by this fraction.
    steepest = math.tan(math.radians(min(settings.max_incidence_deg, _STEEPEST_DEG))) / min(camera.fx, camera.fy)
    edge = max(settings.depth_edge, steepest)
    depth = _decimated(_tensor(frame.depth, device), settings.decimation, edge)
    u = torch.arange(camera.width, device=device, dtype=torch.float32)[None, :] - camera.cx
    v = torch.arange(camera.height, device=device, dtype=torch.float32)[:, None] - camera.cy
    normals, measured = _normals(depth, u, v, camera)
    rays = torch.sqrt((u / camera.fx) ** 2 + (v / camera.fy) ** 2 + 1)
    # The normal is scaled so that its product with the ray is the inverse depth.
    length = torch.sqrt(normals[0] ** 2 + normals[1] ** 2 + normals[2] ** 2)
    inverse = torch.where(depth > 0, 1 / depth, torch.zeros_like(depth))
    keep = measured & (depth >= settings.min_distance) & (depth <= settings.max_distance)
    keep &= ~_edges(depth, edge)
    keep &= inverse > math.cos(math.radians(settings.max_incidence_deg)) * length * rays
    index = keep.flatten().nonzero()[:, 0]
    z = depth.flatten()[index]
    row, column = index // camera.width, index % camera.width
    xyz = torch.stack([u[0, column] * z / camera.fx, v[row, 0] * z / camera.fy, z], dim=1)
    towards = -normals.flatten(1)[:, index].T / length.flatten()[index, None]
    rgb, coloured = _colours(frame, settings.decimation, xyz, index, device)
    return FramePoints(xyz, towards, 1 / (z * z), rgb, coloured, depth, camera)


def _tensor(image: np.ndarray, device: str) -> torch.Tensor:
    image = np.ascontiguousarray(image)
    # torch warns of arrays that it could not write to.
    return torch.from_numpy(image if image.flags.writeable else image.copy()).to(device)


def _decimated(depth: torch.Tensor, factor: int, edge: float) -> torch.Tensor:
    """Mean of each block over the pixels that belong to its nearest surface; 0 where nothing was measured."""
    depth = torch.nan_to_num(depth.to(torch.float32), 0.0, 0.0, 0.0).clamp_(min=0)
    if factor == 1:
        return depth
    height, width = depth.shape[0] // factor, depth.shape[1] // factor
    depth = depth[: height * factor, : width * factor]
    parts = [depth[i::factor, j::factor] for i in range(factor) for j in range(factor)]
    far = torch.full((), torch.inf, device=depth.device)
    nearest = torch.where(parts[0] > 0, parts[0], far)
    for part in parts[1:]:
        nearest = torch.minimum(nearest, torch.where(part > 0, part, far))
    limit = nearest * (1 + edge)
    total, count = torch.zeros_like(nearest), torch.zeros_like(nearest)
    for part in parts:
        use = (part > 0) & (part <= limit)
        total += torch.where(use, part, 0.0)
        count += use
    return torch.where(count > 0, total / count.clamp(min=1), 0.0)


def _edges(depth: torch.Tensor, edge: float) -> torch.Tensor:
    """(h, w) bool: pixels next to a measured pixel whose depth differs by more than the fraction `edge`."""
    found = torch.zeros_like(depth, dtype=torch.bool)
    for axis in (0, 1):
        length = depth.shape[axis] - 1
        a, b = depth.narrow(axis, 0, length), depth.narrow(axis, 1, length)
        step = ((a - b).abs() > edge * torch.minimum(a, b)) & (a > 0) & (b > 0)
        found.narrow(axis, 0, length).logical_or_(step)
        found.narrow(axis, 1, length).logical_or_(step)
    return found


def _normals(
    depth: torch.Tensor, u: torch.Tensor, v: torch.Tensor, camera: Camera
) -> tuple[torch.Tensor, torch.Tensor]:
    """(3, h, w) normals, not scaled to unit length, and (h, w) bool where they are known.

    The inverse depth of a plane is linear in pixels, so averages of it and differences between them are exact there.
    """
    valid = (depth > 0).to(torch.float32)
    inverse = torch.where(depth > 0, 1 / depth, torch.zeros_like(depth))
    reach = _WINDOW // 2
    total, count = _window_sums(inverse), _window_sums(valid)
    mean = total / count.clamp(min=1)
    enough = count >= _LEAST_MEASURED
    inner = (slice(reach, -reach), slice(reach, -reach))
    slope_u = (mean[:, 2 * reach :] - mean[:, : -2 * reach])[inner[0]] / (2 * reach)
    slope_v = (mean[2 * reach :] - mean[: -2 * reach])[:, inner[1]] / (2 * reach)
    known = (enough[:, 2 * reach :] & enough[:, : -2 * reach])[inner[0]]
    known = known & (enough[2 * reach :] & enough[: -2 * reach])[:, inner[1]] & (depth[inner] > 0)
    offset = inverse[inner] - u[:, inner[1]] * slope_u - v[inner[0]] * slope_v
    normals = torch.zeros((3, *depth.shape), device=depth.device)
    normals[:, inner[0], inner[1]] = torch.stack([slope_u * camera.fx, slope_v * camera.fy, offset])
    measured = torch.zeros_like(depth, dtype=torch.bool)
    measured[inner] = known
    return normals, measured


def _window_sums(image: torch.Tensor) -> torch.Tensor:
    """(h, w) sums over the window around each pixel; what lies outside of the image counts as 0."""
    reach = _WINDOW // 2
    padded = F.pad(image, (reach, reach, reach, reach))
    height, width = image.shape
    rows = padded[:, :width].clone()
    for shift in range(1, _WINDOW):
        rows += padded[:, shift : shift + width]
    sums = rows[:height].clone()
    for shift in range(1, _WINDOW):
        sums += rows[shift : shift + height]
    return sums


def _colours(
    frame: RGBDFrame, factor: int, xyz: torch.Tensor, index: torch.Tensor, device: str
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Colours of the points, and 1 for each that has one; None without a colour image."""
    if frame.colour is None:
        return None, None
    colour = _tensor(frame.colour, device)
    if frame.colour_camera is None and frame.colour_from_depth is None:
        width = colour.shape[1] // factor
        row, column = index // width * factor, index % width * factor
        flat, stride = colour.reshape(-1, 3), colour.shape[1]
        parts = [flat[(row + i) * stride + column + j] for i in range(factor) for j in range(factor)]
        return torch.stack(parts).to(torch.float32).mean(0), torch.ones(len(index), device=device)
    camera = frame.colour_camera or frame.camera
    if frame.colour_from_depth is not None:
        moved = torch.as_tensor(frame.colour_from_depth, dtype=torch.float32, device=device)
        xyz = xyz @ moved[:3, :3].T + moved[:3, 3]
    z = xyz[:, 2].clamp(min=1e-6)
    column = torch.floor(xyz[:, 0] / z * camera.fx + camera.cx + 0.5)
    row = torch.floor(xyz[:, 1] / z * camera.fy + camera.cy + 0.5)
    seen = (xyz[:, 2] > 0) & (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
    place = torch.where(seen, row * camera.width + column, torch.zeros_like(row)).to(torch.int64)
    return colour.reshape(-1, 3)[place].to(torch.float32), seen.to(torch.float32)
