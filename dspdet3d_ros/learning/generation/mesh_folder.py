"""Mesh files of objects, read with trimesh."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dspdet3d_ros.clouds.mesh_files import read_scene
from dspdet3d_ros.errors import InputError, text_of
from dspdet3d_ros.learning.generation.meshes import MOST_FACES, Mesh

#: Endings of the files that are read.
SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".stl")
#: glTF has y up by its standard.
_Y_UP = (".glb", ".gltf")
#: The longest mesh, metres. A longer one is in another unit.
_LONGEST_M = 3.0


@dataclass(frozen=True)
class MeshFile:
    """A file with one object."""

    path: Path

    def read(self) -> Mesh:
        """The mesh standing on z = 0, in one colour.

        Raises InputError if trimesh is missing, or the file has no faces, cannot be read, is too large, or has too many
        faces.
        """
        try:
            mesh = read_scene(self.path).to_mesh()
            vertices, faces = np.asarray(mesh.vertices, float), np.asarray(mesh.faces, np.int64)
        except InputError:
            raise
        except Exception as error:
            raise self._fault(f"cannot be read: {text_of(error)}; write it again, or remove it") from error
        if not len(faces) or faces.min() < 0 or faces.max() >= len(vertices) or not np.isfinite(vertices).all():
            raise self._fault("expected faces with finite vertices; write it again, or remove it")
        if len(faces) > MOST_FACES:
            raise self._fault(f"expected at most {MOST_FACES} faces, found {len(faces)}; simplify the mesh")
        longest = float(np.ptp(vertices[np.unique(faces)], axis=0).max())
        if not 0 < longest <= _LONGEST_M:
            raise self._fault(f"expected metres, at most {_LONGEST_M:g}, found a length of {longest:g}; scale the mesh")
        if self.path.suffix.lower() in _Y_UP:
            vertices = vertices[:, [0, 2, 1]] * [1, -1, 1]
        kept, renumbered = np.unique(faces, return_inverse=True)
        grey = np.full((len(faces), 3), 128, np.float32)
        return Mesh(vertices[kept], renumbered.reshape(-1, 3), grey).grounded()

    def _fault(self, text: str) -> InputError:
        return InputError(f"{self.path}: {text}")


def mesh_files(folder: Path) -> list[MeshFile]:
    """The mesh files of a folder, by name."""
    return [MeshFile(path) for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES]
