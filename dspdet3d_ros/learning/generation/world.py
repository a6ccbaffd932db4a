"""A scene before it is scanned: triangles, the objects they belong to, and where the camera looks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dspdet3d_ros.geometry import rotate
from dspdet3d_ros.learning.generation.meshes import Mesh, join
from dspdet3d_ros.learning.generation.object_placement import Placed, Support


@dataclass(frozen=True)
class Item:
    """A labelled object: its class, how it rests ("set", "touching", "stacked", "leaning") and its full extent.

    `low` and `high` are (3,) corners of the axis-aligned box of the whole object, seen or not.
    """

    name: str
    how: str
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Focus:
    """A target of a camera: a point (3,), the radius in metres of the interesting region, and its number of objects."""

    point: np.ndarray
    radius: float
    weight: int


@dataclass
class World:
    """Meshes in one frame. Item k has instance number k + 1; number 0 is everything else.

    Objects are added, and `focuses` and `eye_limit` are given, in the frame the world is built in; the meshes and the
    items are kept in the frame of the scan, which is turned by `yaw` radians about z against it.
    `eye_limit` is (2, 3): the lowest and highest place of a camera.
    """

    yaw: float = 0.0
    eye_limit: np.ndarray = field(default_factory=lambda: np.array([[-50.0, -50.0, -50.0], [50.0, 50.0, 50.0]]))
    meshes: list[Mesh] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    focuses: list[Focus] = field(default_factory=list)

    def add(self, mesh: Mesh) -> None:
        """Add something that is not labelled."""
        self.meshes.append(mesh.rotated(rotate("z", self.yaw)))
        self.numbers.append(0)

    def add_objects(self, objects: list[Placed], yaw: float, offset: np.ndarray) -> None:
        """Add the labelled objects of a support that stands at `offset` (3,), turned by `yaw` radians."""
        rotation = rotate("z", yaw)
        for item in objects:
            mesh = item.mesh.rotated(rotation).moved(offset).rotated(rotate("z", self.yaw))
            low, high = mesh.bounds()
            self.items.append(Item(item.name, item.how, low, high))
            self.meshes.append(mesh)
            self.numbers.append(len(self.items))

    def add_support(self, support: Support, extra: list[Mesh], yaw: float, offset: np.ndarray) -> None:
        """Add a support's objects and unlabelled `extra`; if objects stand there, a focus on them."""
        for mesh in extra:
            self.add(mesh.rotated(rotate("z", yaw)).moved(offset))
        self.add_objects(support.objects, yaw, offset)
        if support.objects:
            middles = np.array([item.middle() for item in support.objects])
            middle = np.array([*middles.mean(axis=0), 0.05])
            radius = float(np.clip(np.abs(middles - middle[:2]).max(), 0.15, 1.0))
            self.focuses.append(Focus(rotate("z", yaw) @ middle + offset, radius, len(middles)))

    def whole(self) -> tuple[Mesh, np.ndarray]:
        """All meshes as one, and the (F,) int64 instance number of each face."""
        counts = [len(mesh.faces) for mesh in self.meshes]
        return join(*self.meshes), np.repeat(np.array(self.numbers), counts)
