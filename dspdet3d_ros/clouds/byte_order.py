"""Whether coordinates are numbers of the other byte order than the one they are said to have."""

from collections.abc import Sequence

import numpy as np

# Metres. Georeferenced coordinates reach 1e7; of numbers whose bytes are swapped, four in five lie outside.
LEAST, MOST = 1e-6, 1e8
# Fewer numbers prove nothing.
FEWEST = 8


def looks_swapped(columns: Sequence[np.ndarray]) -> bool:
    """Whether coordinates make sense only if their bytes are taken in the opposite order.

    True if most of them have a magnitude outside `LEAST`..`MOST` as they are, and at most one in ten with the bytes
    swapped. Zeros and values that are not finite do not count. No cloud in metres is like that, whatever its origin.

    Args:
        columns: samples of x, y and z, (K,) each, of the type they are said to have.
    """
    plausible, total = _plausible(columns)
    if 2 * plausible >= total:
        return False
    plausible, total = _plausible([column.byteswap() for column in columns])
    return total >= FEWEST and 10 * plausible >= 9 * total


def _plausible(columns: Sequence[np.ndarray]) -> tuple[int, int]:
    """How many numbers are of a plausible magnitude, and of how many: zeros and non-finite ones are left out."""
    # A signalling NaN is left out as the others are.
    with np.errstate(invalid="ignore"):
        sizes = np.abs(np.concatenate([column.astype(np.float64) for column in columns]))
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    return int(((sizes >= LEAST) & (sizes <= MOST)).sum()), len(sizes)
