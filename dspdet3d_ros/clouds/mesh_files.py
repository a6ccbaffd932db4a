"""Points of meshes (OBJ, STL, glTF), read with trimesh: evenly distributed on the faces, or the vertices."""

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np

from dspdet3d_ros.clouds.columns import RawPoints
from dspdet3d_ros.errors import InputError, missing_package

#: Distance between points on the faces, in the unit of the file, and the most points. Large meshes, and those in
#: millimetres, get the most points.
SPACING = 0.005
MOST_POINTS = 2_000_000


def read_mesh(path: Path) -> RawPoints:
    """Reads the points of all parts of a scene. Parts with faces give points on these, others their vertices.

    Colours come from vertices, faces or, at the vertices, from textures. The same file gives the same points.

    Raises:
        InputError: trimesh is missing, or there are no points; the text does not name the file.
        Exception: trimesh's own errors for a damaged file.
    """
    scene = read_scene(path)
    parts = []
    for node in scene.graph.nodes_geometry:
        matrix, name = scene.graph[node]
        geometry = scene.geometry[name]
        vertices = np.asarray(getattr(geometry, "vertices", np.empty((0, 3))), np.float64).reshape(-1, 3)
        if len(vertices):
            with np.errstate(all="ignore"):
                parts.append((geometry, vertices @ matrix[:3, :3].T + matrix[:3, 3]))
    if not parts:
        raise InputError("holds no vertices; name a file with points or faces")
    surfaces = [_surface(geometry, vertices) for geometry, vertices in parts]
    area = sum(float(areas.sum()) for _, areas in surfaces)
    number = min(int(min(area / SPACING**2, MOST_POINTS)) + 1, MOST_POINTS)
    rng = np.random.default_rng(0)
    points = []
    for (geometry, vertices), (faces, areas) in zip(parts, surfaces, strict=True):
        if areas.sum() > 0:
            share = max(1, round(number * float(areas.sum() / area)))
            points.append(_on_faces(geometry, vertices, faces, areas, share, rng))
        else:
            points.append((vertices, _vertex_colours(geometry)))
    xyz = np.concatenate([part[0] for part in points])
    if all(rgb is None for _, rgb in points):
        return RawPoints(xyz)
    # Parts without colours are black.
    return RawPoints(xyz, np.concatenate([np.zeros(p.shape, np.uint8) if c is None else c for p, c in points]))


def read_scene(path: Path) -> Any:
    """The `trimesh.Scene` of a file, as it is.

    Raises:
        InputError: trimesh is missing.
        Exception: trimesh's own errors for a damaged file.
    """
    try:
        import trimesh
    except ImportError:
        raise missing_package(f"{path.suffix.lower()} files", "trimesh") from None
    # Errors are raised as well; without a handler they would also be printed.
    logging.getLogger("trimesh").addHandler(logging.NullHandler())
    # A file in memory: reading from the disk would allocate as much as a damaged header says. Without processing
    # vertices that are not used are kept, and none are merged.
    data, resolver = io.BytesIO(path.read_bytes()), trimesh.resolvers.FilePathResolver(str(path))
    return trimesh.load_scene(data, path.suffix.lower().removeprefix("."), resolver, process=False)


def _surface(geometry: Any, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(F, 3) vertices of each face, and (F,) its area; 0 for a face that is no finite triangle."""
    faces = np.asarray(getattr(geometry, "faces", np.empty((0, 3))), np.int64).reshape(-1, 3)
    faces = faces[((faces >= 0) & (faces < len(vertices))).all(1)]
    corners = vertices[faces]
    with np.errstate(all="ignore"):
        areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    areas = np.where(np.isfinite(areas), areas, 0)
    # The sum stays finite.
    return faces, np.minimum(areas, 1e100)


def _on_faces(
    geometry: Any, vertices: np.ndarray, faces: np.ndarray, areas: np.ndarray, number: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | None]:
    """Points on the faces, one on each equal part of the area, and their colours."""
    limits = np.cumsum(areas)
    drawn = np.searchsorted(limits, (np.arange(number) + rng.random(number)) / number * limits[-1], side="right")
    drawn = np.minimum(drawn, len(areas) - 1)
    root, along = np.sqrt(rng.random(number)), rng.random(number)
    weights = np.column_stack([1 - root, root * (1 - along), root * along])
    chosen = faces[drawn]
    with np.errstate(all="ignore"):
        xyz = sum(weights[:, k : k + 1] * vertices[chosen[:, k]] for k in range(3))
    if getattr(geometry.visual, "kind", None) == "face":
        rgb = np.asarray(geometry.visual.face_colors)
        return xyz, rgb[drawn, :3].astype(np.uint8) if len(rgb) == len(faces) else None
    colours = _vertex_colours(geometry)
    if colours is None:
        return xyz, None
    return xyz, np.rint(sum(weights[:, k : k + 1] * colours[chosen[:, k]] for k in range(3))).astype(np.uint8)


def _vertex_colours(geometry: Any) -> np.ndarray | None:
    """(V, 3) uint8, or None if the mesh has no colours, or its texture cannot be read."""
    visual = getattr(geometry, "visual", None)
    try:
        if visual is None:
            colours = geometry.colors
        elif visual.kind == "texture":
            colours = visual.to_color().vertex_colors
        elif visual.kind == "vertex":
            colours = visual.vertex_colors
        else:
            return None
        colours = np.asarray(colours)
    except Exception:
        # A missing or damaged texture must not hide the points.
        return None
    fits = colours.ndim == 2 and len(colours) == len(geometry.vertices) and colours.shape[1] >= 3
    return colours[:, :3].astype(np.uint8) if fits else None
