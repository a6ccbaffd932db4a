"""The classes of known data sets, and which of them are small."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from dspdet3d_ros.detector.config import load_model_config

#: Of TO-SCENE's classes the first are furniture, as in ScanNet; all others are objects on tables.
TOSCENE_FURNITURE = 18

#: Small classes of ScanNet-md40: those whose objects usually fill less than 0.05 cubic metres. The published list is
#: not in the released code, so figures for small classes name the classes that they are a mean of.
SCANNET_SMALL = frozenset({"bottle", "cup", "keyboard", "lamp", "laptop", "monitor"})

S3DIS = ("table", "chair", "sofa", "bookcase", "board")
SUNRGBD = ("bed", "table", "sofa", "chair", "toilet", "desk", "dresser", "night_stand", "bookshelf", "bathtub")


@dataclass(frozen=True)
class ClassList:
    """The classes of a data set.

    Attributes:
        title: of the data set.
        classes: names; a class id is an index into them.
        small: the names that count as small.
    """

    title: str
    classes: tuple[str, ...]
    small: frozenset[str] = frozenset()


@cache
def class_lists() -> tuple[ClassList, ...]:
    """The known data sets; the names of the first two are those of the model files that were trained on them."""
    md40 = load_model_config("scannet_md40").classes
    toscene = load_model_config("toscene_down").classes
    return (
        ClassList("ScanNet-md40", md40, SCANNET_SMALL),
        ClassList("TO-SCENE-down", toscene, frozenset(toscene[TOSCENE_FURNITURE:])),
        ClassList("ScanNet", toscene[:TOSCENE_FURNITURE]),
        ClassList("SUN RGB-D", SUNRGBD),
        ClassList("S3DIS", S3DIS),
    )


def scannet_md40() -> ClassList:
    """ScanNet-md40: 22 classes."""
    return class_lists()[0]


def toscene_down() -> ClassList:
    """TO-SCENE-down: 70 classes."""
    return class_lists()[1]


def list_of_dataset(name: str) -> ClassList | None:
    """The list of a data set that info files call by this name, such as "SCANNET" or "S3DISDataset"."""
    wanted = _bare(name).removesuffix("dataset")
    return next((known for known in class_lists() if _bare(known.title) == wanted), None)


def _bare(name: str) -> str:
    """Letters and digits only, in lower case; ScanNet++ is not ScanNet."""
    return "".join(c for c in name.lower().replace("+", "plus") if c.isalnum())
