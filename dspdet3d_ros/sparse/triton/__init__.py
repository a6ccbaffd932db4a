"""Sparse convolutions as Triton kernels; only `gpu.engine` may be imported where Triton is missing."""
