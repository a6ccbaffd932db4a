"""The tuner measures each kind of convolution once, and never what the device cannot run."""

import pytest
import torch

from dspdet3d_ros.sparse.triton.tuning import HALF, SINGLE, Tuner, candidates, tuning_key


class TooLarge(Exception):
    pass


def test_the_fastest_is_kept_and_a_cloud_of_another_size_does_not_tune_again():
    launched = []
    times = dict(zip(HALF, [3.0, 1.0, 2.0, 5.0, 6.0, 7.0, 8.0], strict=True))

    def measure(call):
        call()
        return times[launched[-1]]

    tuner = Tuner(measure)
    for rows in (40_000, 40_001, 65_000):
        key = tuning_key(64, 64, 27, rows, torch.float16)
        assert tuner.choose(key, list(HALF), launched.append) == HALF[1]
    assert launched == list(HALF)
    tuner.choose(tuning_key(64, 64, 27, 70_000, torch.float16), list(HALF), launched.append)
    assert len(launched) == 2 * len(HALF)


def test_configurations_that_the_device_refuses_are_passed_over():
    def launch(configuration):
        if configuration.tile > 64:
            raise TooLarge

    def measure(call):
        call()
        return 1.0

    tuner = Tuner(measure, (TooLarge,))
    assert tuner.choose("any", list(HALF), launch) == HALF[0]
    with pytest.raises(RuntimeError, match="none of the convolution kernel's configurations fits"):
        tuner.choose("large", [c for c in HALF if c.tile > 64], launch)


def test_a_failure_while_tuning_leaves_no_choice():
    def fail(_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    tuner = Tuner(lambda call: call() or 1.0, (TooLarge,))
    with pytest.raises(torch.cuda.OutOfMemoryError):
        tuner.choose("key", list(HALF), fail)
    seen = []
    tuner.choose("key", list(HALF), seen.append)
    assert len(seen) == len(HALF)


def test_small_widths_are_not_tried_twice_in_the_same_way():
    for dtype, all_of_them in ((torch.float16, HALF), (torch.float32, SINGLE)):
        assert candidates(128, 128, dtype) == list(all_of_them)
    assert len(candidates(16, 16, torch.float16)) < len(HALF)
