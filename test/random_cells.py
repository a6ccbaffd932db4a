"""Coordinate sets to convolve on."""

import torch

from dspdet3d_ros.sparse import CoordinateSet


def cells_of(count, stride=1, reach=6, seed=0):
    """Up to `count` cells of two scenes, no further than `reach` strides from the origin."""
    generator = torch.Generator().manual_seed(seed)
    coords = torch.randint(-reach, reach, (count, 3), generator=generator) * stride
    batch = torch.randint(0, 2, (count, 1), generator=generator)
    return CoordinateSet.from_coordinates(torch.cat([batch, coords], 1), stride)[0]


def outputs_of(inputs, kind):
    """The output cells of a convolution: "same", "down" or "up"."""
    return {"same": lambda: inputs, "down": inputs.downsampled, "up": inputs.expanded}[kind]()
