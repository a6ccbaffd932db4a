"""Comparison with numbers that the original code computed on MinkowskiEngine."""
