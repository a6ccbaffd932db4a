"""Detection of coordinates whose byte order differs from the declared one."""

from collections.abc import Sequence

import numpy as np

# Metres. Georeferenced coordinates reach 1e7; most numbers whose bytes are swapped lie outside.
LEAST, MOST = 1e-6, 1e8
# Fewer different numbers are no evidence.
FEWEST = 8
MAJORITY = 9


def looks_swapped(columns: Sequence[np.ndarray]) -> bool:
    """Whether coordinates make sense only if their bytes are taken in the opposite order.

    Counted are the different numbers whose magnitude is within `LEAST`..`MOST` in one of the two orders only. A cloud
    in metres has hardly any that are plausible with swapped bytes only, wherever its origin is.

    Args:
        columns: samples of x, y and z, (K,) each, of the declared type.
    """
    # A signalling NaN is implausible as the others are.
    with np.errstate(invalid="ignore"):
        numbers, first = np.unique(_joined(columns), return_index=True)
        swapped = _joined([column.byteswap() for column in columns])[first]
    as_said, as_swapped = _plausible(numbers), _plausible(swapped)
    proof = int((as_swapped & ~as_said).sum())
    return proof >= FEWEST and proof >= MAJORITY * int((as_said & ~as_swapped).sum())


def _joined(columns: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([column.astype(np.float64) for column in columns])


def _plausible(numbers: np.ndarray) -> np.ndarray:
    sizes = np.abs(numbers)
    return (sizes >= LEAST) & (sizes <= MOST)
