"""Comparison with reference numbers that the original code computed on MinkowskiEngine."""
