"""Labelled scenes, whatever files they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dspdet3d_ros.clouds.cloud import ANY_CLASS

__all__ = ["ANY_CLASS", "SCANS", "LabelledScene", "SceneSet", "joined"]

SCANS = ("accumulated", "single_view")


@dataclass(frozen=True)
class LabelledScene:
    """One scene with the boxes that are in it, z up.

    Attributes:
        name: of the scene; empty for a scene that is in no file yet.
        subset: the group that the scene belongs to.
        xyz: (N, 3) float32 or float64 metres.
        boxes: (K, 6) float32, centre and size, axis aligned, metres.
        names: K class names, "object" where the source has none.
        inst: (N,) int32, k + 1 for the points of box k, 0 elsewhere; None if the source does not say.
        table_z: height of the surface that objects stand on, metres; None if the source does not say.
        exact: the boxes span the visible surfaces themselves, as a generator knows them; False if they come from the
            points, which have noise. See `datasets.label_boxes`.
        extents: (K, D, 2) float32, how far the visible surface of each object reaches in plan along D directions,
            metres; see `datasets.extents`. None if the source does not say.
        rgb: (N, 3) uint8 colours; None if the source has none.
        full_boxes: (K, 6) float32 centre and size of the whole objects, seen or not; None if the source does not
            say.
        ignore: (R, 6) regions as boxes, such as the visible parts of objects that are hidden too much for a label;
            predictions whose centres lie in one and that match no object count neither way. None for no regions.
        kind: of a generated scene: one of the generator's kinds, or "building"; else empty.
        tags: of a generated scene: how it was set ("sparse", "crowded", "stacked", "heap"; "furniture" for an
            interior), how it was scanned ("accumulated", "single_view"), the camera ("kinect", "realsense"); for a
            table where z = 0 is ("table_zero", "floor_zero") and "top_only" if everything below its face was cut away;
            for a bin the side that the camera looks from ("from_above", "from_front"); else empty.
    """

    name: str
    subset: str
    xyz: np.ndarray
    boxes: np.ndarray
    names: tuple[str, ...]
    inst: np.ndarray | None = None
    table_z: float | None = None
    exact: bool = False
    extents: np.ndarray | None = None
    rgb: np.ndarray | None = None
    full_boxes: np.ndarray | None = None
    ignore: np.ndarray | None = None
    kind: str = ""
    tags: tuple[str, ...] = ()

    @property
    def scan(self) -> str:
        """The kind of scan, "accumulated" or "single_view"; empty if the source does not say."""
        return next((tag for tag in self.tags if tag in SCANS), "")

    def with_objects(self, kept: np.ndarray) -> LabelledScene:
        """The scene with the boxes of a (K,) mask only; points and `inst` stay as they are."""
        return replace(
            self,
            boxes=self.boxes[kept],
            names=tuple(name for name, stays in zip(self.names, kept, strict=True) if stays),
            extents=None if self.extents is None else self.extents[kept],
            full_boxes=None if self.full_boxes is None else self.full_boxes[kept],
        )


@dataclass(frozen=True)
class SceneSet:
    """Scenes that are read one by one, in order.

    Attributes:
        readers: one for each scene; each raises InputError if its scene cannot be read.
        groups: classes that the set tells apart from the others, by what they are called, such as "small"; a class may
            be in several.
    """

    readers: tuple[Callable[[], LabelledScene], ...]
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.readers)

    def __iter__(self) -> Iterator[LabelledScene]:
        return (read() for read in self.readers)


def joined(sets: Sequence[SceneSet]) -> SceneSet:
    """All scenes of several sets, in order; classes that one of them puts into a group are in it."""
    groups: dict[str, frozenset[str]] = {}
    for part in sets:
        for name, classes in part.groups.items():
            groups[name] = groups.get(name, frozenset()) | classes
    return SceneSet(tuple(reader for part in sets for reader in part.readers), groups)
