"""Sparse convolutions as Triton kernels; only `triton_engine` and `tuning` can be imported without Triton."""
