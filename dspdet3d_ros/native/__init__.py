"""A small library in plain C: its sources, its compilation, and calls of it.

Backend native (`sparse/native`) computes convolutions with it, `detector/candidate_groups` groups candidates, and
`detector/fitted_faces` moves faces of boxes.
"""
