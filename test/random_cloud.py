"""A cloud of random points, for tests that do not mind what it shows."""

import numpy as np


def cloud(seed=0, count=5000):
    """(count, 3) points in a space of 2 x 2 x 0.3 m."""
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.uniform(-1, 1, (count, 2)), rng.uniform(0, 0.3, count)])
