"""From a depth image to points with normals and colours, in the frame of the depth camera."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from dspdet3d_ros.mapping.frame import Camera, FrameRefused, RGBDFrame
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
        xyz: (3, N) float32, metres, in the frame of the depth camera.
        normals: (3, N) float32 unit normals that face the camera, same frame.
        weights: (N,) float32, proportional to 1 / z².
        rgb: (3, N) float32, 0..255; None without colour.
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

    Raises:
        FrameRefused: kind "sizes": decimation leaves too few pixels.
    """
    camera = frame.camera.decimated(settings.decimation)
    if min(camera.width, camera.height) < _WINDOW:
        raise FrameRefused(
            "sizes",
            f"depth image: {frame.camera.width} x {frame.camera.height} pixels are too few for decimation = "
            f"{settings.decimation}, which leaves {camera.width} x {camera.height}; lower decimation",
        )
    # Neighbours on a plane at the largest accepted angle differ by this fraction.
    steepest = math.tan(math.radians(min(settings.max_incidence_deg, _STEEPEST_DEG))) / min(camera.fx, camera.fy)
    edge = max(settings.depth_edge, steepest)
    depth = _decimated(_tensor(frame.depth, device), settings.decimation, edge)
    u = torch.arange(camera.width, device=device, dtype=torch.float32)[None, :] - camera.cx
    v = torch.arange(camera.height, device=device, dtype=torch.float32)[:, None] - camera.cy
    inverse = _inverse(depth)
    normals, keep = _normals(inverse, u, v, camera)
    rays = torch.sqrt((u / camera.fx) ** 2 + (v / camera.fy) ** 2 + 1)
    # The normal is scaled so that its product with the ray is the inverse depth.
    length = torch.sqrt(normals[0] ** 2 + normals[1] ** 2 + normals[2] ** 2)
    keep &= (depth >= settings.min_distance) & (depth <= settings.max_distance)
    keep &= ~_edges(depth, edge)
    keep &= inverse > math.cos(math.radians(settings.max_incidence_deg)) * length * rays
    index = keep.flatten().nonzero()[:, 0]
    z = depth.flatten().index_select(0, index)
    weights = inverse.flatten().index_select(0, index) ** 2
    x = (u / camera.fx).expand(depth.shape).flatten().index_select(0, index) * z
    y = (v / camera.fy).expand(depth.shape).flatten().index_select(0, index) * z
    xyz = torch.stack([x, y, z])
    towards = (normals / -length).flatten(1).index_select(1, index)
    rgb, coloured = _colours(frame, settings.decimation, xyz, index, device)
    return FramePoints(xyz, towards, weights, rgb, coloured, depth, camera)


def _tensor(image: np.ndarray, device: str) -> torch.Tensor:
    image = np.ascontiguousarray(image)
    # torch warns of arrays that it could not write to.
    return torch.from_numpy(image if image.flags.writeable else image.copy()).to(device)


def _decimated(depth: torch.Tensor, factor: int, edge: float) -> torch.Tensor:
    """Mean of each block over the pixels that belong to its nearest surface; 0 where nothing was measured."""
    # Masks are numbers here: products with them are much faster on the CPU than choices by them.
    depth = torch.nan_to_num(_blocks(depth.to(torch.float32), factor), 0.0, 0.0, 0.0).clamp_(min=0)
    far = torch.threshold(depth, 0.0, torch.inf)
    use = far.le_(far.amin(dim=0) * (1 + edge))
    return (depth * use).sum(dim=0) / use.sum(dim=0)


def _inverse(depth: torch.Tensor) -> torch.Tensor:
    """1 / depth, and 0 where the depth is 0."""
    return torch.nan_to_num(1 / depth, posinf=0.0)


def _blocks(image: torch.Tensor, factor: int) -> torch.Tensor:
    """(factor², h, w) the pixels of each block of `factor` × `factor` pixels."""
    height, width = image.shape[0] // factor, image.shape[1] // factor
    image = image[: height * factor, : width * factor]
    return image.reshape(height, factor, width, factor).permute(1, 3, 0, 2).reshape(-1, height, width)


def _edges(depth: torch.Tensor, edge: float) -> torch.Tensor:
    """(h, w) bool: pixels next to a measured pixel whose depth differs by more than the fraction `edge`."""
    found = torch.zeros_like(depth, dtype=torch.bool)
    for axis in (0, 1):
        length = depth.shape[axis] - 1
        a, b = depth.narrow(axis, 0, length), depth.narrow(axis, 1, length)
        nearer = torch.minimum(a, b)
        step = ((a - b).abs() > edge * nearer) & (nearer > 0)
        found.narrow(axis, 0, length).logical_or_(step)
        found.narrow(axis, 1, length).logical_or_(step)
    return found


def _normals(
    inverse: torch.Tensor, u: torch.Tensor, v: torch.Tensor, camera: Camera
) -> tuple[torch.Tensor, torch.Tensor]:
    """(3, h, w) normals, not scaled to unit length, and (h, w) bool where they are known.

    The inverse depth of a plane is linear in pixels, so averages of it and differences between them are exact there.
    """
    reach = _WINDOW // 2
    total, count = _window_sums(inverse), _window_sums((inverse > 0).to(torch.float32))
    mean = total / count.clamp(min=1)
    enough = count >= _LEAST_MEASURED
    inner = (slice(reach, -reach), slice(reach, -reach))
    slope_u = (mean[:, 2 * reach :] - mean[:, : -2 * reach])[inner[0]] / (2 * reach)
    slope_v = (mean[2 * reach :] - mean[: -2 * reach])[:, inner[1]] / (2 * reach)
    known = (enough[:, 2 * reach :] & enough[:, : -2 * reach])[inner[0]]
    known = known & (enough[2 * reach :] & enough[: -2 * reach])[:, inner[1]] & (inverse[inner] > 0)
    normals = torch.zeros((3, *inverse.shape), device=inverse.device)
    normals[0][inner] = slope_u * camera.fx
    normals[1][inner] = slope_v * camera.fy
    normals[2][inner] = inverse[inner] - u[:, inner[1]] * slope_u - v[inner[0]] * slope_v
    measured = torch.zeros_like(inverse, dtype=torch.bool)
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
    """(3, N) colours of the points, and (N,) 1 for each that has one; None without a colour image."""
    if frame.colour is None:
        return None, None
    colour = _tensor(frame.colour, device)
    if frame.colour_camera is None and frame.colour_from_depth is None:
        return _block_means(colour, factor, index), torch.ones(len(index), device=device)
    camera = frame.colour_camera or frame.camera
    if frame.colour_from_depth is not None:
        moved = torch.as_tensor(frame.colour_from_depth, dtype=torch.float32, device=device)
        xyz = moved[:3, :3] @ xyz + moved[:3, 3:]
    z = xyz[2].clamp(min=1e-6)
    column = torch.floor(xyz[0] / z * camera.fx + camera.cx + 0.5)
    row = torch.floor(xyz[1] / z * camera.fy + camera.cy + 0.5)
    seen = (xyz[2] > 0) & (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
    place = torch.where(seen, row * camera.width + column, 0.0).to(torch.int64)
    return colour.reshape(-1, 3).index_select(0, place).T.to(torch.float32), seen.to(torch.float32)


def _block_means(colour: torch.Tensor, factor: int, index: torch.Tensor) -> torch.Tensor:
    """(3, N) float32 mean colours of blocks of `factor` × `factor` pixels, by their numbers."""
    height, width = colour.shape[0] // factor, colour.shape[1] // factor
    # The bytes of one row of pixels in a block are next to each other.
    rows = colour[: height * factor, : width * factor].reshape(height, factor, width, 3 * factor)
    total = rows.sum(dim=1, dtype=torch.int32).reshape(-1, 3 * factor).index_select(0, index)
    return total.T.reshape(factor, 3, -1).sum(dim=0).to(torch.float32) / factor**2
