"""From images, calibration and poses to frames of a map, and from the map to clouds."""
