"""Meshes of objects and furniture from files, in addition to the parametric shapes.

A catalogue is a folder of furniture catalogues of Sweet Home 3D (.sh3f) and of folders with mesh files. The latter are
named after the class of their objects, or `furniture`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.generated_classes import CLASS_NAMES
from dspdet3d_ros.learning.generation.mesh_folder import SUFFIXES, MeshFile, mesh_files
from dspdet3d_ros.learning.generation.meshes import Mesh
from dspdet3d_ros.learning.generation.sweet_home import models_of
from dspdet3d_ros.learning.generation.vessels import paint

#: The folder of meshes without a label.
FURNITURE = "furniture"
_SHARE = 0.5
#: The part of the objects that are of the catalogue's own classes, if it has such.
_OWN_SHARE = 0.4


class Model(Protocol):
    """A mesh that can be read."""

    def read(self) -> Mesh | None:
        """The mesh in metres, z up, standing on z = 0; None if it cannot be used."""


@dataclass
class Catalogue:
    """Models by class name, those of furniture by `FURNITURE`. Meshes are read when they are first drawn."""

    models: Mapping[str, list[Model]]
    _meshes: dict[Model, Mesh | None] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path) -> Catalogue:
        """The models in all .sh3f files of a folder, and the mesh files in its folders.

        Raises InputError if there are none, or a file is no catalogue.
        """
        models: dict[str, list[Model]] = {}
        for path in sorted(folder.glob("*.sh3f")):
            for name, model in models_of(path):
                models.setdefault(name, []).append(model)
        for part in sorted(path for path in folder.glob("*") if path.is_dir()):
            found = mesh_files(part)
            if found:
                models.setdefault(part.name, []).extend(found)
        if not models:
            raise InputError(
                f"{folder}: expected .sh3f catalogues with small objects, or folders named after a class with meshes "
                f"({', '.join(SUFFIXES)}); found neither; name another folder"
            )
        return cls(models)

    @cached_property
    def own_classes(self) -> list[str]:
        """Names of classes that are made by no formula."""
        return sorted(set(self.models) - set(CLASS_NAMES) - {FURNITURE})

    def weights(self, weights: Mapping[str, float]) -> Mapping[str, float]:
        """Shares of classes, with those of `own_classes` added: equal ones, 4 of 10 objects together."""
        own = self.own_classes
        if not own:
            return weights
        each = sum(weights.values()) * _OWN_SHARE / (1 - _OWN_SHARE) / len(own)
        return {**weights, **dict.fromkeys(own, each)}

    def draw(self, name: str, rng: np.random.Generator) -> Mesh | None:
        """A mesh of class `name`, a tenth larger or smaller at the most; None for half of the calls.

        It is None, too, for classes that have no model. A class of `own_classes` always gives a mesh.

        Raises InputError if the model's file is damaged.
        """
        models = self.models.get(name)
        if not models or (name not in self.own_classes and rng.random() >= _SHARE):
            return None
        model = models[rng.integers(len(models))]
        if model not in self._meshes:
            self._meshes[model] = model.read()
        mesh = self._meshes[model]
        if mesh is None:
            return None
        mesh = mesh.scaled((rng.uniform(0.9, 1.1),) * 3)
        return mesh.painted(paint(rng)) if isinstance(model, MeshFile) else mesh
