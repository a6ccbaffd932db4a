import numpy as np
import pytest

from dspdet3d_ros.learning.evaluation.memory import peak_of


def test_memory_that_is_given_back_counts_at_its_peak():
    value, peak = peak_of(lambda: float(np.ones(8_000_000).sum()), "cpu")
    assert value == 8_000_000
    if peak is None:
        pytest.skip("this system does not say what a process took at its peak")
    assert peak.taken == pytest.approx(64e6, rel=0.3)
    assert 0 < peak.before < peak.most


def test_the_peak_of_earlier_work_is_forgotten():
    first = peak_of(lambda: np.ones(8_000_000).sum(), "cpu")[1]
    second = peak_of(lambda: np.ones(1000).sum(), "cpu")[1]
    if first is None:
        pytest.skip("this system does not say what a process took at its peak")
    assert second.taken < first.taken / 4
