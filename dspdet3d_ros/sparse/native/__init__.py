"""Sparse convolutions by a small library in plain C, on the CPU."""
