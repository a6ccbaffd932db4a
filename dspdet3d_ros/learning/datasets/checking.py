"""Faults of labels: what makes training on them useless, and what makes it doubtful."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dspdet3d_ros.detector.boxes import iou_matrix
from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.plausibility import Plausibility
from dspdet3d_ros.geometry import points_in_boxes
from dspdet3d_ros.learning.datasets.label_boxes import LEAST_POINTS
from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene

#: Two boxes that overlap more than this, as intersection over union, are the same object.
SAME_OBJECT_IOU = 0.7
#: An object that is longer or shorter than this, metres, is in another unit.
LONGEST_M, SHORTEST_M = 4.0, 0.008
#: From this share of boxes without points on, labels and cloud are in different frames.
_OTHER_FRAME = 0.5
#: Fewest objects of a class, and how many times as many another class may have.
FEWEST_OBJECTS, MOST_UNBALANCED = 20, 30


@dataclass(frozen=True)
class LabelFault:
    """A fault of the labels.

    Attributes:
        scene: name of the scene; empty for a fault of the whole set.
        text: one line: what is wrong, and what to do.
        box: number of the box in the scene; None if it is not about one box.
        label: a word or two for pictures.
        serious: False if training is possible all the same.
    """

    scene: str
    text: str
    box: int | None = None
    label: str = ""
    serious: bool = True


def scene_faults(scene: LabelledScene, config: ModelConfig) -> Iterator[LabelFault]:
    """The faults of one scene.

    Args:
        scene: the scene.
        config: the model that is to be trained: how far apart the points may be.
    """
    for remark in Plausibility(scene.xyz, config).of_cloud:
        yield LabelFault(scene.name, remark.text, serious=remark.kind == "unit")
    if not len(scene.boxes):
        yield LabelFault(scene.name, "has no labels; all of it is background", serious=False)
        return
    boxes = scene.boxes.astype(np.float64)
    counts = points_in_boxes(scene.xyz, boxes)
    empty = counts == 0
    if empty.mean() >= _OTHER_FRAME and len(boxes) > 1:
        yield LabelFault(
            scene.name,
            f"{empty.sum()} of {len(boxes)} boxes hold no point: boxes and cloud differ in unit, axis or origin; "
            "convert the labels again with --unit and --up",
        )
    for k, (name, box, count) in enumerate(zip(scene.names, boxes, counts, strict=True)):
        what = _box_text(k, name, box)
        if count == 0:
            yield LabelFault(scene.name, f"{what} holds no point; delete it, or move it", k, "no points")
        elif count < LEAST_POINTS:
            text = f"{what} holds {count} points, fewer than {LEAST_POINTS}; training leaves it out"
            yield LabelFault(scene.name, text, k, f"{count} points", serious=False)
        if box[3:].max() > LONGEST_M or box[3:].max() < SHORTEST_M:
            text = f"{what} is {box[3:].max():.3g} m long; is it in another unit? Convert the labels with --unit"
            yield LabelFault(scene.name, text, k, "size")
    yield from _duplicates(scene, boxes)


def _box_text(number: int, name: str, box: np.ndarray) -> str:
    place = ", ".join(f"{value:.2f}" for value in box[:3])
    return f"box {number} ({name} at {place})"


def _duplicates(scene: LabelledScene, boxes: np.ndarray) -> Iterator[LabelFault]:
    overlap = iou_matrix(boxes, boxes)
    for first, second in zip(*np.nonzero(np.triu(overlap > SAME_OBJECT_IOU, 1)), strict=True):
        what = _box_text(int(second), scene.names[second], boxes[second])
        text = f"{what} is box {first} ({scene.names[first]}) once more; delete one of them"
        yield LabelFault(scene.name, text, int(second), "duplicate")


def class_faults(names: Sequence[str]) -> Iterator[LabelFault]:
    """Doubts about the classes of a whole set.

    Args:
        names: class names of all its objects.
    """
    counts = Counter(names)
    alike: dict[str, list[str]] = {}
    for name in sorted(counts):
        alike.setdefault("".join(c for c in name.casefold() if c.isalnum()), []).append(name)
    for group in alike.values():
        if len(group) > 1:
            text = f"classes {', '.join(map(repr, group))} differ in spelling only; join them with --names"
            yield LabelFault("", text, serious=False)
    most = max(counts.values(), default=0)
    for name, count in sorted(counts.items(), key=lambda item: item[1]):
        if count < FEWEST_OBJECTS:
            text = f"class '{name}' has {count} objects; label at least {FEWEST_OBJECTS}, better some hundred"
            yield LabelFault("", text, serious=False)
        elif count * MOST_UNBALANCED < most:
            text = f"class '{name}' has {count} objects, another one has {most}; label more, or leave it out"
            yield LabelFault("", text, serious=False)
