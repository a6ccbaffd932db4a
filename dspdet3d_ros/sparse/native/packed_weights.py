"""Weights in the order of the kernels of the C library, kept as long as the weights are."""

from __future__ import annotations

import weakref

import torch
from torch import Tensor

from dspdet3d_ros.native.library import check, load, pointer

_ALIGNMENT = 64
#: One of this number of weights is in the sample that detects changes; a prime, so that it meets every channel.
_SAMPLED = 61


class PackedWeights:
    """Packs weights, and keeps those of inference.

    Attributes:
        isa: number of the instruction set in native.h, whose kernels take the weights.
    """

    def __init__(self, isa: int) -> None:
        self.isa = isa
        self._library = load()
        self._kept: dict[tuple[int, bool], tuple[weakref.ref, tuple[int, float], Tensor]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, weight: Tensor, in_blocks: bool) -> Tensor:
        """The packed weights, kept as long as the weights are and do not change.

        Args:
            weight: (K, C_in, C_out), or (C_in, C_out) where K is 1.
            in_blocks: for the convolution in blocks instead of that by pairs.
        """
        state = _state_of(weight)
        key = id(weight), in_blocks
        if key in self._kept:
            known, at, packed = self._kept[key]
            if known() is weight and at == state:
                return packed
        packed = self.pack(weight, in_blocks)
        self._kept[key] = (weakref.ref(weight, lambda _: self._kept.pop(key, None)), state, packed)
        return packed

    def pack(self, weight: Tensor, in_blocks: bool, transposed: bool = False) -> Tensor:
        """(K, C_in, C_out) weights in the order of the kernels; `transposed`: (K, C_out, C_in) weights.

        Weights that are transposed for a convolution in blocks also change the directions of their offsets. The map of
        a convolution by pairs does that, if it is transposed.
        """
        weight = weight.float().contiguous().view(-1, *weight.shape[-2:])
        volume, c_in, c_out = weight.shape
        address = pointer(weight, torch.float32, volume, c_in, c_out)
        if transposed:
            c_in, c_out = c_out, c_in
        library = self._library
        if in_blocks:
            packed = _aligned(check(library.native_packed_blocks_size(self.isa, c_in, c_out)))
            check(library.native_pack_blocks(self.isa, address, c_in, c_out, transposed, packed.data_ptr()))
        else:
            packed = _aligned(check(library.native_packed_size(self.isa, volume, c_in, c_out)))
            check(library.native_pack(self.isa, address, volume, c_in, c_out, transposed, packed.data_ptr()))
        return packed


def _aligned(size: int) -> Tensor:
    """(size,) float32, uninitialised, that starts at a multiple of 64 bytes."""
    spare = torch.empty(size + _ALIGNMENT // 4)
    start = -spare.data_ptr() % _ALIGNMENT // 4
    return spare[start : start + size]


def _state_of(weight: Tensor) -> tuple[int, float]:
    """Changes with the weights: torch's count of changes, and the sum of a sample of the weights.

    The count misses what is written through `.data`, as averages of weights are, and there is none in inference mode.
    The sample is small, since packing itself takes only a millisecond for all weights.
    """
    version = -1 if weight.is_inference() else weight._version
    return version, float(weight.detach().reshape(-1)[::_SAMPLED].float().numpy().sum())
