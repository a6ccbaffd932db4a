"""Sparse tensors and convolutions with MinkowskiEngine's semantics, in plain torch. Knows nothing of detection."""

from dspdet3d_ros.sparse.coords import CoordinateSet
from dspdet3d_ros.sparse.engine import Engine, TorchEngine, choose_backend, make_engine, training_engine
from dspdet3d_ros.sparse.modules import (
    BatchNorm,
    ConvNormReLU,
    Foldable,
    GenerativeUpConv,
    SparseConv,
    conv_norm,
    folded,
)
from dspdet3d_ros.sparse.tensor import SparseTensor

__all__ = [
    "BatchNorm",
    "ConvNormReLU",
    "CoordinateSet",
    "Engine",
    "Foldable",
    "GenerativeUpConv",
    "SparseConv",
    "SparseTensor",
    "TorchEngine",
    "choose_backend",
    "conv_norm",
    "folded",
    "make_engine",
    "training_engine",
]
