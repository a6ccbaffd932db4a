"""A known scene for RGB-D frames: a floor, a wall and a box, rendered exactly."""

import numpy as np

from dspdet3d_ros.mapping.frame import Camera, RGBDFrame

CAMERA = Camera(160, 120, 140.0, 140.0, 79.5, 59.5)
#: The floor is z = 0, the wall is y = 1.2; the box stands on the floor.
WALL_Y = 1.2
BOX_LOW, BOX_HIGH = np.array([-0.2, -0.15, 0.0]), np.array([0.2, 0.15, 0.25])
FLOOR, WALL, BOX = (200, 180, 160), (60, 90, 200), (220, 30, 40)


def looking_at(eye, target=(0.0, 0.0, 0.1)):
    """(4, 4) pose, camera → world, of a camera that looks at a point; z up in the world."""
    eye = np.asarray(eye, float)
    forward = np.asarray(target, float) - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = eye
    return pose


def orbit(count, radius=1.1, height=0.9):
    """Poses on an arc in front of the wall."""
    angles = np.radians(np.linspace(-120, -60, count))
    return [looking_at((radius * np.cos(a), radius * np.sin(a), height)) for a in angles]


def render(pose, camera=CAMERA, box=True):
    """(H, W) float32 depth in metres and (H, W, 3) uint8 colour."""
    v, u = np.mgrid[: camera.height, : camera.width]
    local = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(u.shape)], -1)
    rays, eye = local @ pose[:3, :3].T, pose[:3, 3]
    depth, colour = np.full(u.shape, np.inf), np.zeros((*u.shape, 3), np.uint8)
    with np.errstate(divide="ignore", invalid="ignore"):
        for distance, shade in ((-eye[2] / rays[..., 2], FLOOR), ((WALL_Y - eye[1]) / rays[..., 1], WALL)):
            nearer = (distance > 0) & (distance < depth)
            depth[nearer], colour[nearer] = distance[nearer], shade
        if box:
            one, other = (BOX_LOW - eye) / rays, (BOX_HIGH - eye) / rays
            enter, leave = np.minimum(one, other).max(-1), np.maximum(one, other).min(-1)
            hit = (enter <= leave) & (enter > 0) & (enter < depth)
            depth[hit], colour[hit] = enter[hit], BOX
    return np.where(np.isfinite(depth), depth, 0).astype(np.float32), colour


def frame(pose, /, stamp_s=None, camera=CAMERA, box=True, **changes):
    """A frame of the scene."""
    depth, colour = render(pose, camera, box)
    values = {"depth": depth, "camera": camera, "pose": pose, "colour": colour, "stamp_s": stamp_s}
    return RGBDFrame(**(values | changes))


def surface_distance(xyz):
    """(N,) distance of points from the nearest surface of the scene, metres."""
    outside = np.maximum(np.maximum(BOX_LOW - xyz, xyz - BOX_HIGH), 0)
    inside = np.minimum(np.minimum(xyz - BOX_LOW, BOX_HIGH - xyz).min(1), np.inf).clip(0)
    to_box = np.linalg.norm(outside, axis=1) + inside
    return np.minimum(np.minimum(np.abs(xyz[:, 2]), np.abs(xyz[:, 1] - WALL_Y)), to_box)
