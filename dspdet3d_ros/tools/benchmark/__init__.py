"""Speed and peak memory of the detector on this machine, and comparison with other engines."""
