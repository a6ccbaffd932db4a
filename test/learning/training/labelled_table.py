"""A small labelled scene."""

import numpy as np

from dspdet3d_ros.learning.datasets.label_boxes import fit_boxes
from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene

CLASSES = tuple("abcdefg")


def scene_of(xyz, inst, boxes, labels):
    """A labelled scene whose classes are given by their indices in `CLASSES`."""
    return LabelledScene("made", "all", xyz, boxes, names_of(*labels), inst)


def names_of(*labels):
    return tuple(CLASSES[label] for label in labels)


def table(seed=0):
    """A plane with three blocks of points on it; boxes fitted to them."""
    rng = np.random.default_rng(seed)
    plane = np.column_stack([rng.uniform(-1, 1, (4000, 2)), rng.normal(0, 0.002, 4000)])
    parts, inst = [plane], [np.zeros(4000, np.int32)]
    for k, (x, y) in enumerate([(-0.5, 0), (0.1, 0.4), (0.6, -0.3)]):
        parts.append(rng.uniform([x, y, 0], [x + 0.1, y + 0.2, 0.15], (500, 3)))
        inst.append(np.full(500, k + 1, np.int32))
    xyz, number = np.concatenate(parts).astype(np.float32), np.concatenate(inst)
    return scene_of(xyz, number, fit_boxes(xyz, number, 3), (4, 5, 6))
