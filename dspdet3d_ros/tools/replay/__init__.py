"""Recordings to results: objects are detected in the clouds of a bag, or in the map of its depth images."""
