"""A small library in plain C: its sources, its compilation, and calls of it.

Backend native (`sparse/native`) computes convolutions with it, `detector/fitted_faces` moves faces of boxes.
"""
