"""A small object of a named class in a random size, colour and rest pose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from dspdet3d_ros.geometry import rotate
from dspdet3d_ros.learning.datasets.generated_classes import CLASS_NAMES
from dspdet3d_ros.learning.generation import devices, parts, vessels
from dspdet3d_ros.learning.generation.catalogue import Catalogue
from dspdet3d_ros.learning.generation.meshes import Mesh


@dataclass(frozen=True)
class Shape:
    """A small object at rest.

    Args:
        name: one of CLASS_NAMES.
        mesh: centred in x and y, standing on z = 0.
        carries: whether its top is flat enough for other objects to rest on.
        slab: whether it is thin and stiff enough to lean against something.
    """

    name: str
    mesh: Mesh
    carries: bool
    slab: bool


BUILDERS: dict[str, Callable[[np.random.Generator], Mesh]] = {
    "bag": devices.bag,
    "book": devices.book,
    "bottle": vessels.bottle,
    "bowl": vessels.bowl,
    "box": devices.carton,
    "calculator": devices.calculator,
    "camera": devices.camera,
    "can": vessels.can,
    "candle": vessels.candle,
    "cap": vessels.cap,
    "clock": devices.clock,
    "coffee_machine": devices.coffee_machine,
    "cup": vessels.cup,
    "cutting_board": devices.cutting_board,
    "display": devices.display,
    "doll": vessels.doll,
    "file_box": devices.file_box,
    "fruit": vessels.fruit,
    "jar": vessels.jar,
    "keyboard": devices.keyboard,
    "lamp": vessels.lamp,
    "laptop": devices.laptop,
    "mouse": devices.mouse,
    "mug": vessels.mug,
    "notebook": devices.notebook,
    "part": parts.part,
    "phone": devices.phone,
    "plant": vessels.plant,
    "plate": vessels.plate,
    "radio": devices.radio,
    "remote control": devices.remote_control,
    "saucepan": vessels.saucepan,
    "tea_pot": vessels.tea_pot,
    "toaster": devices.toaster,
    "vase": vessels.vase,
}

# Tables and rooms have no parts: the scenes of a seed stay the same.
_TABLE_NAMES = tuple(name for name in CLASS_NAMES if name != "part")
# Share of each class. A table top of a robot lab holds cartons, tins and crockery far more often than toasters.
TABLE_WEIGHTS = {
    **dict.fromkeys(_TABLE_NAMES, 1.0),
    **dict.fromkeys(("book", "bottle", "bowl", "can", "cup", "jar", "mug"), 3.0),
    **dict.fromkeys(("coffee_machine", "display", "file_box", "lamp", "laptop", "toaster"), 0.6),
    "box": 25.0,
}
ROOM_WEIGHTS = {**dict.fromkeys(_TABLE_NAMES, 1.0), "box": 4.0, "book": 2.5, "bottle": 1.5, "cup": 1.5, "mug": 1.5}

#: Of a workbench: thin and tiny objects.
BENCH_WEIGHTS = {
    **dict.fromkeys(("phone", "notebook", "calculator", "remote control", "plate", "cutting_board", "mouse"), 2.0),
    **dict.fromkeys(("bottle", "cup", "mug", "can", "jar", "bowl", "keyboard", "laptop", "fruit", "candle"), 0.7),
    "book": 4.0,
    "box": 4.0,
    "part": 18.0,
}
#: Of a container.
BIN_WEIGHTS = {
    **dict.fromkeys(("book", "bottle", "can", "jar", "cup", "mug", "fruit", "bowl", "doll", "phone"), 2.0),
    **dict.fromkeys(("calculator", "camera", "clock", "mouse", "notebook", "remote control", "plate", "cap"), 1.0),
    **dict.fromkeys(("bag", "candle", "cutting_board", "radio", "plant", "saucepan", "tea_pot", "vase"), 0.4),
    "box": 12.0,
    "part": 9.0,
}

SLAB_WEIGHTS = {
    **dict.fromkeys(("calculator", "cutting_board", "keyboard", "notebook", "phone", "plate", "remote control"), 1.0),
    "book": 3.0,
    "box": 3.0,
}
_CARRIERS = frozenset(
    {"book", "box", "notebook", "cutting_board", "can", "jar", "plate", "bowl", "laptop", "file_box", "toaster"}
    | {"calculator", "radio", "saucepan"}
)
_LYING = {"bottle": 0.2, "can": 0.15, "jar": 0.12, "cup": 0.12, "mug": 0.08, "candle": 0.2, "vase": 0.05, "doll": 0.2}
_UPSIDE_DOWN = {"bowl": 0.12, "cup": 0.12, "mug": 0.06, "saucepan": 0.05, "plate": 0.03}
_ON_EDGE = {"book": 0.18, "file_box": 0.15, "radio": 0.1, "camera": 0.1, "clock": 0.1}


def draw_name(rng: np.random.Generator, weights: Mapping[str, float], catalogue: Catalogue | None = None) -> str:
    """A class name drawn in proportion to `weights`, to which the catalogue adds its own classes."""
    weights = weights if catalogue is None else catalogue.weights(weights)
    share = np.array(list(weights.values()))
    return str(rng.choice(np.array(list(weights)), p=share / share.sum()))


def make_shape(name: str, rng: np.random.Generator, catalogue: Catalogue | None = None) -> Shape:
    """A shape of class `name` in a random variant and rest pose, turned about z at random.

    Half of the shapes are from the catalogue, where there is one and it has the class. Those of a "part" lie flat.
    """
    mesh = None if catalogue is None else catalogue.draw(name, rng)
    if mesh is None:
        mesh = BUILDERS[name](rng)
    elif name == "part":
        mesh = _lying(mesh)
    carries = name in _CARRIERS
    chance = rng.random()
    if chance < _LYING.get(name, 0.0):
        mesh, carries = mesh.rotated(rotate("x", np.pi / 2)), False
    elif chance > 1 - _UPSIDE_DOWN.get(name, 0.0):
        mesh = mesh.rotated(rotate("x", np.pi))
    elif chance < _ON_EDGE.get(name, 0.0):
        mesh = mesh.rotated(rotate("y" if rng.random() < 0.5 else "x", np.pi / 2))
    mesh = mesh.rotated(rotate("z", rng.uniform(0, 2 * np.pi))).grounded()
    thin = mesh.size()
    slab = name in SLAB_WEIGHTS and (name != "box" or thin.min() < 0.07)
    return Shape(name, mesh, carries, slab)


def _lying(mesh: Mesh) -> Mesh:
    """The mesh with its shortest extent upright."""
    shortest = int(np.argmin(mesh.size()))
    return mesh if shortest == 2 else mesh.rotated(rotate("xy"[1 - shortest], np.pi / 2)).grounded()


def tilted_slab(shape: Shape, rng: np.random.Generator) -> Mesh:
    """The slab on a long or short edge, its broad side leaning towards -x by 6 to 38 degrees, standing on z = 0.

    The slab must not have been turned about a tilted axis before.
    """
    mesh = BUILDERS[shape.name](rng)
    order = np.argsort(mesh.size())
    if rng.random() < 0.5:
        order[[1, 2]] = order[[2, 1]]
    mesh = Mesh(mesh.vertices[:, order], mesh.faces, mesh.colors)  # thinnest side along x
    return mesh.rotated(rotate("y", -np.radians(rng.uniform(6, 38)))).grounded()
