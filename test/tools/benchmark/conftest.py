"""A small cloud: what is measured on it is checked, never how fast it is."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def tiny_cloud(tmp_path_factory):
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("clouds") / "tiny.npy"
    np.save(path, np.column_stack([rng.uniform(-0.6, 0.6, (3000, 2)), rng.uniform(0, 0.2, 3000)]).astype(np.float32))
    return path
