"""Views of a cloud (test-time augmentation): the network computes it turned, and its predictions are fused.

The network is not the same from all sides, and a face of a voxel may cut through an object. Predictions of one object
from several views err in different ways, so their fusion finds more objects and better boxes, for the time of as many
clouds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

#: The grid of every second view is moved by this part of a voxel along each axis.
_SHIFT = 0.5


@dataclass(frozen=True)
class View:
    """A cloud turned about the vertical through the origin of the grid, counter-clockwise, and then moved.

    Boxes parallel to the axes stay so, and the faces of cells stay at the same places of the frame while a map grows.

    Attributes:
        quarters: number of quarter turns.
        shift: of all three coordinates, voxels.
    """

    quarters: int
    shift: float

    @classmethod
    def numbered(cls, number: int) -> View:
        """The view with a number: 0 is the cloud as it is."""
        return cls(number, _SHIFT * (number % 2))

    def points(self, xyz: Tensor, voxel_size: float) -> Tensor:
        """(N, 3) points in the view, of points from the origin of the grid; metres."""
        turned = _turned(xyz, self.quarters)
        return turned + self.shift * voxel_size if self.shift else turned

    def anchor(self, anchor: Tensor) -> Tensor:
        """(3,) origin of the grid in the view, of that in the frame of the cloud; voxels."""
        return _turned(anchor[None], self.quarters)[0]

    def boxes_back(self, boxes: Tensor, voxel_size: float) -> Tensor:
        """(N, 6) boxes from the origin of the grid, of those in the view; metres."""
        if self == View(0, 0.0):
            return boxes
        centres, sizes = boxes.split(3, dim=1)
        if self.shift:
            centres = centres - self.shift * voxel_size
        if self.quarters % 2:
            sizes = sizes[:, [1, 0, 2]]
        return torch.cat([_turned(centres, -self.quarters), sizes], 1)


def _turned(places: Tensor, quarters: int) -> Tensor:
    """(N, 3) places turned counter-clockwise about z."""
    x, y, z = places.unbind(1)
    x, y = ((x, y), (-y, x), (-x, -y), (y, -x))[quarters % 4]
    return torch.stack([x, y, z], 1)
