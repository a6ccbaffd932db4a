"""Accuracy of detectors on labelled scenes: metric, figures, sweeps, a non-learned baseline."""
