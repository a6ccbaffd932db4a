"""Small folders of frames of `box_scene` in the layouts of public data sets."""

import json

import numpy as np
from box_scene import CAMERA, orbit, render
from PIL import Image

from dspdet3d_ros.mapping.frame import Camera

COLOUR_CAMERA = Camera(320, 240, 290.0, 290.0, 161.0, 118.0)
#: Depth camera → colour camera of the ScanNet folder.
MOVED = np.array([[1.0, 0, 0, -0.05], [0, 1, 0, 0.01], [0, 0, 1, 0], [0, 0, 0, 1]])
COUNT = 8


def save_depth(path, depth, units=1000):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.round(depth * units).astype(np.uint16)).save(path)


def save_colour(path, colour):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(colour).save(path)


def intrinsic(camera, size=3):
    matrix = np.eye(size)
    matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2] = camera.fx, camera.fy, camera.cx, camera.cy
    return matrix


def seven_scenes(folder):
    for k, pose in enumerate(orbit(COUNT)):
        depth, colour = render(pose)
        save_depth(folder / f"frame-{k:06d}.depth.png", depth)
        save_colour(folder / f"frame-{k:06d}.color.png", colour)
        np.savetxt(folder / f"frame-{k:06d}.pose.txt", pose)
    np.savetxt(folder / "camera-intrinsics.txt", intrinsic(CAMERA))


def apc(folder):
    text = ["# Environment: shelf", "# Bin ID: B"]

    def add(title, matrix):
        rows = ["\t".join(f"{value: .8e}" for value in row) for row in matrix]
        text.extend(["", f"# {title}", *rows])

    add("Color camera intrinsic matrix", intrinsic(CAMERA))
    add("Depth camera intrinsic matrix", intrinsic(CAMERA) * [[0.7], [0.7], [1]])
    add("Depth-to-color camera extrinsic matrix", MOVED)
    for k, pose in enumerate(orbit(COUNT)):
        depth, colour = render(pose)
        numbers = np.round(depth * 10_000).astype(np.uint16)
        folder.mkdir(exist_ok=True)
        Image.fromarray((numbers << 3) | (numbers >> 13)).save(folder / f"frame-{k:06d}.depth.png")
        save_colour(folder / f"frame-{k:06d}.color.png", colour)
        add(f"Camera-to-world extrinsic matrix (camera pose) for frame-{k:06d}", pose)
    (folder / "cam.info.txt").write_text("\n".join(text))


def quaternion(turn):
    """x y z w of a rotation whose trace is above -1."""
    w = np.sqrt(max(1 + np.trace(turn), 1e-12)) / 2
    return np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1], 4 * w * w]) / (4 * w)


def tum(folder):
    """Images at 10 Hz, colour 4 ms later; poses at 100 Hz between the images' stamps."""
    depths, colours, poses = ["# depth maps"], ["# color images"], ["# timestamp tx ty tz qx qy qz qw"]
    fine = orbit(10 * (COUNT - 1) + 1)
    for k, pose in enumerate(fine[::10]):
        depth, colour = render(pose)
        stamp = 1000 + k / 10
        save_depth(folder / "depth" / f"{stamp:.6f}.png", depth, 5000)
        save_colour(folder / "rgb" / f"{stamp + 0.004:.6f}.png", colour)
        depths.append(f"{stamp:.6f} depth/{stamp:.6f}.png")
        colours.append(f"{stamp + 0.004:.6f} rgb/{stamp + 0.004:.6f}.png")
    for k, pose in enumerate(fine):
        numbers = [1000 + k / 100, *pose[:3, 3], *quaternion(pose[:3, :3])]
        poses.append(" ".join(f"{number:.6f}" for number in numbers))
    for name, lines in (("depth.txt", depths), ("rgb.txt", colours), ("groundtruth.txt", poses)):
        (folder / name).write_text("\n".join(lines))
    np.savetxt(folder / "camera-intrinsics.txt", intrinsic(CAMERA))


def scannet(folder):
    for k, pose in enumerate(orbit(COUNT)):
        save_depth(folder / "depth" / f"{20 * k}.png", render(pose)[0])
        save_colour(folder / "color" / f"{20 * k}.jpg", render(pose @ np.linalg.inv(MOVED), COLOUR_CAMERA)[1])
        (folder / "pose").mkdir(exist_ok=True)
        np.savetxt(folder / "pose" / f"{20 * k}.txt", pose)
    (folder / "intrinsic").mkdir()
    np.savetxt(folder / "intrinsic" / "intrinsic_depth.txt", intrinsic(CAMERA, 4))
    np.savetxt(folder / "intrinsic" / "intrinsic_color.txt", intrinsic(COLOUR_CAMERA, 4))
    np.savetxt(folder / "intrinsic" / "extrinsic_depth.txt", MOVED)
    np.savetxt(folder / "intrinsic" / "extrinsic_color.txt", np.eye(4))


def open3d(folder):
    lines = []
    for k, pose in enumerate(orbit(COUNT)):
        depth, colour = render(pose)
        save_depth(folder / "depth" / f"{k:05d}.png", depth)
        save_colour(folder / "image" / f"{k:05d}.jpg", colour)
        lines += [f"{k} {k} {k + 1}", *(" ".join(f"{value:.8f}" for value in row) for row in pose)]
    (folder / "scene.log").write_text("\n".join(lines))
    values = {"width": CAMERA.width, "height": CAMERA.height, "intrinsic_matrix": intrinsic(CAMERA).T.ravel().tolist()}
    (folder / "intrinsic.json").write_text(json.dumps(values))


LAYOUTS = {"7-Scenes": seven_scenes, "APC": apc, "TUM RGB-D": tum, "ScanNet": scannet, "Open3D": open3d}


def write(layout, folder):
    folder.mkdir(parents=True, exist_ok=True)
    LAYOUTS[layout](folder)
    return folder
