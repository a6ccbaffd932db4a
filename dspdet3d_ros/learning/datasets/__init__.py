"""Labelled scenes: where they are kept, in which formats, and converters into them."""
