"""Sparse convolutions as Triton kernels; only `engine` and `tuning` can be imported without Triton."""
