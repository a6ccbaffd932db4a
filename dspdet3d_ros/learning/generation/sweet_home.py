"""Models of small objects in furniture catalogues of Sweet Home 3D (.sh3f).

A catalogue is a zip file with `PluginFurnitureCatalog.properties`, which gives each model's name, size in centimetres
and OBJ file (y up). Debian has some in the package `sweethome3d-furniture`, CC0 and CC-BY 3.0.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dspdet3d_ros.errors import InputError, text_of
from dspdet3d_ros.learning.generation.meshes import MOST_FACES, Mesh

PROPERTIES = "PluginFurnitureCatalog.properties"
_ENTRY = re.compile(r"^(\w+)#(\d+)\s*=\s*(.*?)\s*$", re.M)
_LONGEST = 45.0  # centimetres; what is longer is furniture
_LARGEST_FILE = 64 << 20
_AGAIN = "copy it again, or take it out of the folder"
_GREY = np.full(3, 128, np.float32)
# What a damaged, encrypted or oddly packed file makes zipfile and the parsers raise.
_UNREADABLE = (OSError, KeyError, ValueError, IndexError, RuntimeError, EOFError, zlib.error, zipfile.BadZipFile)

#: The names, as the catalogues give them, of objects of each class.
NAMES: dict[str, tuple[str, ...]] = {
    "bag": ("Backpack", "Briefcase", "Handbag"),
    "book": ("Book",),
    "bottle": ("Baby bottle", "Beer bottle", "Bottle", "Flacon", "Medicine bottle", "Wine bottle", "Yogurt bottle"),
    "bowl": ("Bowl", "Bowl with fruits", "Bowl with salad", "Pottery"),
    "box": ("Butter", "Gift", "Medicine box", "Milk", "Sugar"),
    "camera": ("Camera", "Reflex camera"),
    "candle": ("Candle",),
    "cap": ("Cap",),
    "clock": ("Clock",),
    "coffee_machine": ("Coffee brewer", "Coffee maker", "Coffee press"),
    "cup": ("Beer glass", "Cocktail glass", "Coffee cup", "Cup", "Glass", "Plastic cup"),
    "cutting_board": ("Chopping board",),
    "doll": ("Doll", "Teddy bear"),
    "jar": ("Old jar",),
    "lamp": ("Camping lamp", "Desk lamp", "Lamp", "Little lamp"),
    "laptop": ("Apple iBook", "Laptop"),
    "mug": ("Coffee mug",),
    "phone": ("Apple iPhone", "Mobile phone"),
    "plant": ("Bamboo", "Cactus", "Little plant", "Succulent plant"),
    "plate": ("Oval plate", "Plate"),
    "radio": ("Radio",),
    "remote control": ("TV remote control",),
    "saucepan": ("Large pan",),
    "tea_pot": ("Boiler", "Espresso kettle", "Teapot"),
    "toaster": ("Toaster",),
    "vase": ("Vase",),
}


@dataclass(frozen=True)
class CatalogueModel:
    """A model in a catalogue.

    Attributes:
        archive: the zip file.
        member: its OBJ file there.
        size: width, depth and height, metres.
        rotation: the rows of a (3, 3) rotation, to be done first.
    """

    archive: Path
    member: str
    size: tuple[float, float, float]
    rotation: tuple[float, ...]

    def read(self) -> Mesh | None:
        """The mesh in its size, z up, standing on z = 0; None if it has too many faces, or none.

        Raises InputError if its file is damaged.
        """
        try:
            with zipfile.ZipFile(self.archive) as archive:
                vertices, faces, materials, library = _parse(_text(archive, self.member))
                if not 0 < len(faces) <= MOST_FACES:
                    return None
                beside = posixpath.join(posixpath.dirname(self.member), library)
                paints = _paints(_text(archive, beside)) if beside in archive.namelist() else {}
            if faces.min() < 0 or faces.max() >= len(vertices) or not np.isfinite(vertices).all():
                raise ValueError("faces name vertices that are not there, or coordinates are not finite")
        except _UNREADABLE as error:
            reason = text_of(error)
            raise InputError(f"{self.archive}: {self.member}: cannot be read as OBJ: {reason}; {_AGAIN}") from error
        turned = vertices @ np.array(self.rotation).reshape(3, 3).T
        upright = turned[:, [0, 2, 1]] * [1, -1, 1]
        kept, renumbered = np.unique(faces, return_inverse=True)
        used = upright[kept]
        extent = np.maximum(used.max(axis=0) - used.min(axis=0), 1e-9)
        colors = np.array([paints.get(material, _GREY) for material in materials], np.float32)
        return Mesh(used * (np.array(self.size) / extent), renumbered.reshape(-1, 3), colors).grounded()


def models_of(path: Path) -> list[tuple[str, CatalogueModel]]:
    """The models of known classes in a .sh3f file, with the names of their classes.

    Raises InputError if the file is no catalogue.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            text = archive.read(PROPERTIES).decode("latin1")
        entries: dict[str, dict[str, str]] = {}
        for key, number, value in _ENTRY.findall(text):
            entries.setdefault(number, {})[key] = value
        named = [(class_, entry) for entry in entries.values() if (class_ := _class_of(entry.get("name", "")))]
        return [(class_, _model(path, entry)) for class_, entry in named if _edge(entry) <= _LONGEST]
    except _UNREADABLE as error:
        reason = text_of(error)
        raise InputError(
            f"{path}: expected a furniture catalogue of Sweet Home 3D, cannot read it: {reason}; {_AGAIN}"
        ) from error


def _class_of(name: str) -> str | None:
    return next((class_ for class_, names in NAMES.items() if name in names), None)


def _edge(entry: dict[str, str]) -> float:
    return max(float(entry[key]) for key in ("width", "depth", "height"))


def _model(path: Path, entry: dict[str, str]) -> CatalogueModel:
    rotation = tuple(float(value) for value in entry.get("modelRotation", "1 0 0 0 1 0 0 0 1").split())
    if len(rotation) != 9:
        raise ValueError(f"modelRotation of {entry['name']} has {len(rotation)} numbers, expected 9")
    width, depth, height = (float(entry[key]) / 100 for key in ("width", "depth", "height"))
    return CatalogueModel(path, entry["model"].lstrip("/"), (width, depth, height), rotation)


def _text(archive: zipfile.ZipFile, member: str) -> str:
    if archive.getinfo(member).file_size > _LARGEST_FILE:
        raise ValueError(f"{member} is larger than {_LARGEST_FILE >> 20} MiB")
    return archive.read(member).decode("latin1")


def _parse(text: str) -> tuple[np.ndarray, np.ndarray, list[str], str]:
    """(V, 3) vertices, (F, 3) faces, F names of materials, and the name of their file. Polygons become fans."""
    vertices: list[list[float]] = []
    faces: list[tuple[int, int, int]] = []
    materials: list[str] = []
    material = library = ""
    for line in text.splitlines():
        key, _, rest = line.strip().partition(" ")
        if key == "v":
            vertices.append([float(value) for value in rest.split()[:3]])
        elif key == "f":
            corners = [int(corner.split("/")[0]) for corner in rest.split()]
            # Numbers count from 1, negative ones back from the latest vertex.
            corners = [corner - 1 if corner > 0 else len(vertices) + corner for corner in corners]
            fan = [(corners[0], corners[k], corners[k + 1]) for k in range(1, len(corners) - 1)]
            faces += fan
            materials += [material] * len(fan)
        elif key == "usemtl":
            material = rest.strip()
        elif key == "mtllib":
            library = rest.strip()
    return np.array(vertices, float).reshape(-1, 3), np.array(faces, np.int64).reshape(-1, 3), materials, library


def _paints(text: str) -> dict[str, np.ndarray]:
    """Diffuse colour (3,) in 0..255 of each material."""
    paints, name = {}, ""
    for line in text.splitlines():
        key, _, rest = line.strip().partition(" ")
        if key == "newmtl":
            name = rest.strip()
        elif key == "Kd":
            red, green, blue = (float(value) for value in rest.split()[:3])
            paints[name] = 255 * np.array([red, green, blue], np.float32)
    return paints
