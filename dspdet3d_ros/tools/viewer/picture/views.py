"""Projections of a cloud to pixels, and painting of points from far to near; 300k points take less than a second.

Pixel coordinates: u to the right, v down, (0, 0) is the corner of the first pixel.
"""

from dataclasses import dataclass

import numpy as np

from dspdet3d_ros.geometry import box_between, box_of_points, rotate

ELEVATION_DEG = 50.0
# In diagonals of the region that is shown.
EYE_DISTANCE = 1.6
AZIMUTHS_DEG = tuple(range(22, 360, 45))
EDGES = np.array([(a, a | bit) for a in range(8) for bit in (1, 2, 4) if not a & bit])


@dataclass(frozen=True)
class Region:
    """An axis-aligned block of space.

    Attributes:
        low: (3,) lowest coordinates, metres.
        high: (3,) highest coordinates, metres.
    """

    low: np.ndarray
    high: np.ndarray

    @property
    def corners(self) -> np.ndarray:
        """(8, 3) corners; bits 0, 1 and 2 of the index select the higher x, y and z."""
        return box_corners(box_between(self.low, self.high))


@dataclass(frozen=True)
class PlanView:
    """View from above, with x to the right and y up.

    Attributes:
        left_m: x of the left border.
        top_m: y of the upper border.
        pixels_per_metre: scale.
    """

    left_m: float
    top_m: float
    pixels_per_metre: float

    @classmethod
    def of(cls, region: Region, width: int, height: int) -> "PlanView":
        """The view that shows a region in the centre of width x height pixels."""
        size = np.maximum(region.high - region.low, 0.1)
        scale = float(min(width / size[0], height / size[1]))
        middle = (region.low + region.high) / 2
        return cls(float(middle[0] - width / scale / 2), float(middle[1] + height / scale / 2), scale)

    def project(self, xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, 2) pixel coordinates and (N,) depths, which increase with the distance from the viewer."""
        uv = np.stack([xyz[:, 0] - self.left_m, self.top_m - xyz[:, 1]], axis=1) * self.pixels_per_metre
        return uv, -xyz[:, 2]


@dataclass(frozen=True)
class PerspectiveView:
    """A pinhole camera.

    Attributes:
        eye: (3,) position, metres.
        axes: (3, 3) rows: right, down and forward in world coordinates.
        focal: pixels.
        centre: pixel coordinates of the optical axis.
    """

    eye: np.ndarray
    axes: np.ndarray
    focal: float
    centre: tuple[float, float]

    @classmethod
    def of(cls, region: Region, azimuth_deg: float, width: int, height: int) -> "PerspectiveView":
        """The view from obliquely above in which the whole region just fits into width x height pixels.

        `azimuth_deg` is the direction of the viewer, counted from +x to +y.
        """
        azimuth, elevation = np.radians(azimuth_deg), np.radians(ELEVATION_DEG)
        forward = -np.array(
            [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)]
        )
        right = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
        axes = np.stack([right, np.cross(forward, right), forward])
        middle = (region.low + region.high) / 2
        eye = middle - EYE_DISTANCE * np.linalg.norm(region.high - region.low) * forward
        corners = (region.corners - eye) @ axes.T
        plane = corners[:, :2] / corners[:, 2:]
        low, high = plane.min(axis=0), plane.max(axis=0)
        focal = float(min(np.array([width, height]) / (high - low)))
        u, v = np.array([width, height]) / 2 - focal * (low + high) / 2
        return cls(eye, axes, focal, (float(u), float(v)))

    def project(self, xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, 2) pixel coordinates and (N,) depths along the optical axis; NaN for points behind the camera."""
        camera = (xyz - self.eye) @ self.axes.T
        depth = camera[:, 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(depth > 0.02, self.focal / depth, np.nan)
        return camera[:, :2] * scale[:, None] + self.centre, depth


def box_corners(box: np.ndarray) -> np.ndarray:
    """(8, 3) corners of a box; bits 0, 1 and 2 of the index select the higher x, y and z in the frame of the box.

    Args:
        box: (6,) centre and size, or (7,) with a yaw in radians.
    """
    signs = np.array([[(i >> axis & 1) - 0.5 for axis in range(3)] for i in range(8)])
    corners = signs * box[3:6]
    return box[:3] + (corners if len(box) == 6 else corners @ rotate("z", float(box[6])).T)


def inside(xyz: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(N,) bool: True for points in any of the (K, 6) boxes."""
    return box_of_points(xyz, boxes) >= 0


def paint(
    uv: np.ndarray, depth: np.ndarray, colours: np.ndarray, width: int, height: int, dot: int, background: int
) -> np.ndarray:
    """(height, width, 3) uint8 picture with a square of `dot` pixels per point; near points cover far ones."""
    picture = np.full((height + 2 * dot, width + 2 * dot, 3), background, np.uint8)
    far_first = np.argsort(-depth, kind="stable")
    corner = np.floor(uv[far_first] - dot / 2 + 0.5)
    shown = (np.isfinite(corner) & (corner > -dot) & (corner < (width, height))).all(axis=1)
    column, row = corner[shown].astype(np.int64).T + dot
    steps = np.arange(dot)
    flat = (row[:, None, None] + steps[:, None]) * picture.shape[1] + column[:, None, None] + steps
    # Numpy assigns in order, so the last and nearest point of a pixel remains.
    picture.reshape(-1, 3)[flat.ravel()] = np.repeat(colours[far_first][shown], dot * dot, axis=0)
    return picture[dot:-dot, dot:-dot]


def best_azimuth(xyz: np.ndarray, of_interest: np.ndarray, region: Region) -> float:
    """The azimuth, in degrees, from which the largest number of points of interest is visible."""
    cells = 160
    seen = []
    for azimuth in AZIMUTHS_DEG:
        uv, depth = PerspectiveView.of(region, azimuth, cells, cells).project(xyz)
        valid = (np.isfinite(uv) & (uv >= 0) & (uv < cells)).all(axis=1)
        cell = np.floor(uv[valid]).astype(np.int64) @ (1, cells)
        nearest = np.full(cells * cells, np.inf)
        np.minimum.at(nearest, cell, depth[valid])
        visible = depth[valid] < nearest[cell] + 0.1
        seen.append(int((visible & of_interest[valid]).sum()))
    return float(AZIMUTHS_DEG[int(np.argmax(seen))])
