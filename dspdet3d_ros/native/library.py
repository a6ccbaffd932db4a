"""Loads the C library and calls it with tensors."""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, c_double, c_float, c_int, c_int32, c_int64, c_void_p
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dspdet3d_ros.errors import InputError, text_of
from dspdet3d_ros.native.build import is_current

# Not resolved: in a workspace of symbolic links the library lies with the links.
PATH = Path(__file__).absolute().parent / "libdspdet3d_native.so"
ISA_VARIABLE = "DSPDET3D_NATIVE_ISA"
#: Instruction sets by their numbers in native.h; the fastest first.
ISAS = {"avx512": 2, "avx2": 1, "neon": 3, "scalar": 0}
#: Numbers of channels of a convolution in blocks are multiples of it.
BLOCK_CHANNELS = 16
_BUILD = "build it with `python -m dspdet3d_ros.native.build`"
_NO_MEMORY, _BAD_ARGUMENT = -1, -2


class Convolution(ctypes.Structure):
    """`struct native_convolution`."""

    _fields_ = [
        *((name, c_void_p) for name in ("features", "packed", "bias", "residual", "out", "table")),
        *((name, c_int64) for name in ("n_in", "n_out")),
        *((name, c_int32) for name in ("volume", "c_in", "c_out", "relu")),
    ]


class BlockConvolution(ctypes.Structure):
    """`struct native_block_convolution`."""

    _fields_ = [
        *((name, c_void_p) for name in ("features", "packed", "bias", "residual", "out", "windows")),
        *((name, c_int64) for name in ("rows", "n_blocks")),
        *((name, c_int32) for name in ("c_in", "c_out", "relu")),
    ]


class WeightGradient(ctypes.Structure):
    """`struct native_weight_gradient`."""

    _fields_ = [
        *((name, c_void_p) for name in ("features", "gradient", "out", "table")),
        *((name, c_int64) for name in ("n_in", "n_out")),
        *((name, c_int32) for name in ("volume", "c_in", "c_out")),
    ]


class BlockWeightGradient(ctypes.Structure):
    """`struct native_block_weight_gradient`."""

    _fields_ = [
        *((name, c_void_p) for name in ("features", "gradient", "out", "windows")),
        *((name, c_int64) for name in ("rows", "n_blocks")),
        *((name, c_int32) for name in ("c_in", "c_out")),
    ]


class Norm(ctypes.Structure):
    """`struct native_norm`."""

    _fields_ = [
        *((name, c_void_p) for name in ("features", "weight", "bias", "residual", "out", "mean", "variance")),
        ("rows", c_int64),
        *((name, c_int32) for name in ("channels", "relu")),
        ("epsilon", c_float),
    ]


class NormGradient(ctypes.Structure):
    """`struct native_norm_gradient`."""

    _fields_ = [
        *((name, c_void_p) for name in ("features", "out", "gradient", "weight", "mean", "variance")),
        *((name, c_void_p) for name in ("in_gradient", "residual_gradient", "weight_gradient", "bias_gradient")),
        ("rows", c_int64),
        ("channels", c_int32),
        ("epsilon", c_float),
    ]


class Predictions(ctypes.Structure):
    """`struct native_predictions`."""

    _fields_ = [
        *((name, c_void_p) for name in ("logits", "regression", "largest")),
        ("rows", c_int64),
        ("classes", c_int32),
        ("most_log_size", c_float),
    ]


class Candidates(ctypes.Structure):
    """`struct native_candidates`."""

    _fields_ = [
        *((name, c_void_p) for name in ("boxes", "scores", "best")),
        *((name, c_int64) for name in ("count", "leaders")),
        ("classes", c_int32),
    ]


class GroupRules(ctypes.Structure):
    """`struct native_group_rules`."""

    _fields_ = [
        *((name, c_float) for name in ("clashes", "votes", "agrees", "least_voter")),
        ("tiny", c_double),
        ("most_voters", c_int32),
    ]


class Groups(ctypes.Structure):
    """`struct native_groups`."""

    _fields_ = [(name, c_void_p) for name in ("rows", "voters", "rivalry", "agreement", "names", "corners")]


class FaceRules(ctypes.Structure):
    """`struct native_face_rules`."""

    _fields_ = [
        *((name, c_double) for name in ("most_out", "most_in", "last_bit", "goes_on")),
        *((name, c_double) for name in ("above_part", "least_above", "most_above", "rises", "falls", "aside")),
        *((name, c_double) for name in ("outside", "least_extent", "tiny", "least_edge")),
        *((name, c_int64) for name in ("most_cells", "least_points")),
    ]


_ARRAY, _SIZE = c_void_p, c_int64
_FUNCTIONS: dict[str, tuple[type, tuple]] = {
    "native_packed_size": (c_int64, (c_int, c_int, c_int, c_int)),
    "native_pack": (c_int, (c_int, _ARRAY, c_int, c_int, c_int, c_int, _ARRAY)),
    "native_convolve": (c_int, (c_int, POINTER(Convolution), c_int)),
    "native_packed_blocks_size": (c_int64, (c_int, c_int, c_int)),
    "native_pack_blocks": (c_int, (c_int, _ARRAY, c_int, c_int, c_int, _ARRAY)),
    "native_convolve_blocks": (c_int, (c_int, POINTER(BlockConvolution), c_int)),
    "native_block_weight_gradient": (c_int, (c_int, POINTER(BlockWeightGradient), c_int)),
    "native_weight_gradient": (c_int, (c_int, POINTER(WeightGradient), c_int)),
    "native_norm": (c_int, (c_int, POINTER(Norm), c_int)),
    "native_norm_gradient": (c_int, (c_int, POINTER(NormGradient), c_int)),
    "native_largest_logits": (c_int, (c_int, POINTER(Predictions), c_int)),
    "native_kernel_map": (c_int, (_ARRAY, _SIZE, _ARRAY, _SIZE, c_int64 * 3, _ARRAY, c_int)),
    "native_block_map": (c_int, (_ARRAY, _SIZE, _ARRAY, _SIZE, c_int64 * 3, _ARRAY, c_int)),
    "native_transpose_map": (c_int, (_ARRAY, c_int, _SIZE, _SIZE, _ARRAY, c_int)),
    "native_count_pairs": (c_int, (_ARRAY, c_int, _SIZE, _SIZE, _ARRAY)),
    "native_find_sorted": (c_int, (_ARRAY, _SIZE, _ARRAY, _SIZE, _ARRAY)),
    "native_expand_axis": (c_int64, (_ARRAY, _SIZE, c_int64, _ARRAY)),
    "native_coarsen": (c_int64, (_ARRAY, _SIZE, c_int64, c_int64, c_int64, _ARRAY)),
    "native_sort_unique": (c_int64, (_ARRAY, _SIZE, _ARRAY, _ARRAY)),
    "native_group_candidates": (c_int64, (POINTER(Candidates), POINTER(GroupRules), POINTER(Groups))),
    "native_fit_faces": (c_int, (_ARRAY, _SIZE, _ARRAY, _SIZE, POINTER(FaceRules), _ARRAY, c_int)),
}


@cache
def load() -> ctypes.CDLL:
    """The library.

    Raises:
        InputError: it is not there, cannot be loaded, or was compiled from other sources.
    """
    if not PATH.is_file():
        raise InputError(f"backend native: {PATH.name} was not built (no C compiler at installation); {_BUILD}")
    try:
        library = ctypes.CDLL(str(PATH))
        if not is_current(PATH):
            raise InputError(
                f"backend native: {PATH} was compiled from other sources than those of this version; {_BUILD}"
            )
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise InputError(f"backend native: {PATH} cannot be loaded: {text_of(error)}; {_BUILD}") from error
    return library


def choose_isa() -> str:
    """The instruction set that the kernels use: $DSPDET3D_NATIVE_ISA, else the fastest that this processor has.

    Raises:
        InputError: the library is missing, or the variable names an instruction set that cannot be used here.
    """
    library = load()
    usable = [name for name, number in ISAS.items() if library.native_isa_usable(number)]
    asked = os.environ.get(ISA_VARIABLE)
    if not asked:
        return usable[0]
    if asked not in usable:
        raise InputError(f"{ISA_VARIABLE}: expected one of {', '.join(usable)} on this processor, got {asked!r}")
    return asked


@cache
def isa_number() -> int:
    """The number of that instruction set; asked once.

    Raises:
        InputError: see `choose_isa`.
    """
    return ISAS[choose_isa()]


def why_not() -> str | None:
    """Why the library cannot be used, in a few words, or None."""
    try:
        choose_isa()
    except InputError as error:
        return str(error).removeprefix("backend native: ")
    return None


@cache
def has_library() -> bool:
    """Whether the library can be used; asked once."""
    return why_not() is None


def pointer(tensor: Tensor | None, dtype: torch.dtype, *shape: int) -> int | None:
    """Address of a tensor's data; None for None.

    Raises:
        ValueError: it is not a contiguous CPU tensor of that type and shape.
    """
    if tensor is None:
        return None
    if tensor.device.type != "cpu" or tensor.dtype != dtype or tensor.shape != shape or not tensor.is_contiguous():
        raise ValueError(
            f"expected a contiguous {dtype} tensor {shape} on the CPU, "
            f"got {tensor.dtype} {tuple(tensor.shape)} on {tensor.device}"
        )
    return tensor.data_ptr()


def address(array: np.ndarray, dtype: type, *shape: int) -> int:
    """Address of an array's data.

    Raises:
        ValueError: it is not a contiguous array of that type and shape.
    """
    if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous:
        name = np.dtype(dtype).name
        raise ValueError(f"expected a contiguous {name} array {shape}, got {array.dtype} {array.shape}")
    return array.ctypes.data


def check(status: int) -> int:
    """The status of a call if it is no error.

    Raises:
        MemoryError: the library could not allocate its buffers.
        ValueError: sizes are beyond what it handles.
    """
    if status == _NO_MEMORY:
        raise MemoryError("backend native: no memory for its buffers")
    if status < 0:
        raise ValueError("backend native: rows or channels are more than it handles")
    return status
