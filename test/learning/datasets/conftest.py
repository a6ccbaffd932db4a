"""Small data sets in the formats of the real ones."""

import pickle

import numpy as np
import pytest

from dspdet3d_ros.learning.datasets.classes import scannet_md40

ALIGN = np.array([[0.0, -1, 0, 5], [1, 0, 0, -2], [0, 0, 1, 0.5], [0, 0, 0, 1]])


def points_in(boxes, count=200, seed=0):
    """(N, 6) points of which `count` lie in each box, coloured."""
    rng = np.random.default_rng(seed)
    parts = [rng.uniform(box[:3] - box[3:6] / 2, box[:3] + box[3:6] / 2, (count, 3)) for box in np.asarray(boxes)]
    xyz = np.concatenate([*parts, rng.uniform(-3, 3, (300, 3))])
    return np.column_stack([xyz, rng.integers(0, 256, (len(xyz), 3))]).astype(np.float32)


def unaligned(points):
    """The points as the scanner has them, before `ALIGN`."""
    xyz = (points[:, :3] - ALIGN[:3, 3]) @ np.linalg.inv(ALIGN[:3, :3]).T
    return np.column_stack([xyz, points[:, 3:]]).astype(np.float32)


class InfoFolder:
    """A data set of two scenes as mmdet3d 1.0 writes it; a test may change `infos` before `write`."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "points").mkdir()
        self.infos = [self._info(name, number) for number, name in enumerate(("scene0000_00", "scene0001_00"))]

    def _info(self, name, seed):
        boxes = np.array([[0.5, 0.5, 0.4, 0.3, 0.4, 0.8], [1.5, -0.5, 0.8, 0.1, 0.12, 0.2]]) + 0.1 * seed
        classes = scannet_md40().classes
        unaligned(points_in(boxes, seed=seed)).tofile(self.folder / "points" / f"{name}.bin")
        ids = np.array([classes.index("chair"), classes.index("cup")])
        annos = {
            "gt_num": 2,
            "name": np.array([classes[i] for i in ids]),
            "location": boxes[:, :3],
            "dimensions": boxes[:, 3:],
            "gt_boxes_upright_depth": boxes,
            "index": np.arange(2, dtype=np.int32),
            "class": ids,
            "axis_align_matrix": ALIGN,
        }
        return {
            "point_cloud": {"num_features": 6, "lidar_idx": name},
            "pts_path": f"points/{name}.bin",
            "annos": annos,
        }

    def write(self, name="scannet_infos_val.pkl", protocol=4):
        path = self.folder / name
        path.write_bytes(pickle.dumps(self.infos, protocol))
        return path


@pytest.fixture
def infos(tmp_path):
    (tmp_path / "set").mkdir()
    return InfoFolder(tmp_path / "set")
