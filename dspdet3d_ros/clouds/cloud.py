"""What every reader of clouds returns."""

from dataclasses import dataclass

import numpy as np

#: Name of things whose source does not say what they are, and of the one class of class-agnostic models.
ANY_CLASS = "object"


@dataclass(frozen=True)
class LabelledBoxes:
    """Axis-aligned boxes with class names, in the frame of their cloud.

    Attributes:
        boxes: (K, 6) float32, centre x y z and size dx dy dz in metres.
        names: K class names; "object" where the source has none.
    """

    boxes: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True)
class Cloud:
    """A point cloud, z up.

    Attributes:
        xyz: (N, 3) float32, metres, finite.
        rgb: (N, 3) uint8, or None where the source has no colours.
        truth: ground-truth boxes, or None where the source has none.
    """

    xyz: np.ndarray
    rgb: np.ndarray | None = None
    truth: LabelledBoxes | None = None
