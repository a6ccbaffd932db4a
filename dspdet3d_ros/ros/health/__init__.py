"""Faults, diagnostics, and reasons why there is no output."""
