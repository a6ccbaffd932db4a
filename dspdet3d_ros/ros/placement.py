"""The transform of a cloud to the frame of its boxes. Imports no ROS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dspdet3d_ros.clouds.pointcloud2 import CloudLayoutError
from dspdet3d_ros.geometry import quaternion_rotation

if TYPE_CHECKING:
    from std_msgs.msg import Header

_REMEDY = "correct it where it is published"


class FrameError(CloudLayoutError):
    """A cloud that cannot be brought to the target frame."""

    def __init__(self, text: str) -> None:
        super().__init__("frame", text)


def rotation_matrix(quaternion: Sequence[float]) -> np.ndarray:
    """(3, 3) float64 rotation of a quaternion x y z w, which need not be of length one.

    Raises:
        FrameError: the quaternion is zero or not finite.
    """
    q = np.asarray(quaternion, np.float64)
    length = np.linalg.norm(q)
    if not np.isfinite(length) or length < 1e-6:
        raise FrameError(f"the transform's rotation is {q.tolist()}, expected a quaternion; {_REMEDY}")
    return quaternion_rotation(q)


def moved(xyz: np.ndarray, translation: Sequence[float], quaternion: Sequence[float]) -> np.ndarray:
    """Points in another frame.

    Args:
        xyz: (N, 3) metres, in the source frame.
        translation: origin of the source frame in the target frame, metres.
        quaternion: rotation from source to target axes, x y z w.

    Returns:
        (N, 3) float64: far from the origin float32 would not resolve a millimetre.

    Raises:
        FrameError: the transform is not finite.
    """
    shift = np.asarray(translation, np.float64)
    if not np.isfinite(shift).all():
        raise FrameError(f"the transform's translation is {shift.tolist()}, expected finite numbers; {_REMEDY}")
    return xyz.astype(np.float64) @ rotation_matrix(quaternion).T + shift


@dataclass(frozen=True)
class Placement:
    """The transform of a cloud to the frame of its boxes.

    Attributes:
        header: stamp of the cloud, and the frame of the boxes.
        transform: translation (metres) and quaternion (x y z w) from the cloud's frame; None: it is in that frame.
    """

    header: Header
    transform: tuple[Sequence[float], Sequence[float]] | None = None

    def apply(self, xyz: np.ndarray) -> np.ndarray:
        """(N, 3) points, metres, in the frame of the boxes.

        Raises:
            FrameError: the transform is not finite.
        """
        return xyz if self.transform is None else moved(xyz, *self.transform)
