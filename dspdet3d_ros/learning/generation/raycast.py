"""Ray casting against one triangle scene, by Embree."""

from __future__ import annotations

import numpy as np

from dspdet3d_ros.errors import missing_package
from dspdet3d_ros.learning.generation.meshes import Mesh


class RayCaster:
    """First hits of rays on a mesh.

    Raises InputError if the ray casting library is not installed.
    """

    def __init__(self, mesh: Mesh):
        scene_type, mesh_type = _embree()
        self._scene = scene_type()
        # Embree's wrapper keeps no reference of its own to the geometry.
        self._geometry = mesh_type(
            self._scene, np.ascontiguousarray(mesh.vertices, np.float32), np.ascontiguousarray(mesh.faces, np.int32)
        )

    def cast(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First hit along each ray.

        Args:
            origins: (R, 3) or (3,), metres.
            directions: (R, 3) of any length but zero.

        Returns:
            (R,) float32 distances in lengths of the direction, and (R,) int32 face numbers, -1 where nothing is hit.
        """
        directions = np.ascontiguousarray(directions, np.float32)
        origins = np.ascontiguousarray(np.broadcast_to(np.asarray(origins, np.float32), directions.shape))
        hits = self._scene.run(origins, directions, query="INTERSECT", output=True)
        return hits["tfar"], hits["primID"]


def _embree() -> tuple[type, type]:
    try:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene
    except ImportError as error:
        raise missing_package("generating scenes", "embreex") from error
    return EmbreeScene, TriangleMesh


def face_normals(mesh: Mesh) -> np.ndarray:
    """(F, 3) float32 unit normals of the faces."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    return (normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-20)).astype(np.float32)
