"""Labelled scenes as training takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.labelled_scene import ANY_CLASS, LabelledScene


def training_scene(scene: LabelledScene, classes: Sequence[str]) -> LabelledScene:
    """A scene without the data that training does not use, with class names that the model has.

    A model with the one class "object" learns all objects as that.

    Raises:
        InputError: the scene names a class that the model does not know.
    """
    names = (ANY_CLASS,) * len(scene.names) if tuple(classes) == (ANY_CLASS,) else scene.names
    unknown = sorted(set(names) - set(classes))
    if unknown:
        raise InputError(
            f"scene {scene.name}: class {unknown[0]!r} is not among the model's {len(classes)} classes; add it there"
        )
    return replace(scene, names=names, rgb=None, full_boxes=None)
