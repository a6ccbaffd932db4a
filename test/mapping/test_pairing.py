"""Depth images get the calibration and the colour image that belong to them, or are refused with what is missing."""

from types import SimpleNamespace

import pytest

from dspdet3d_ros.mapping.pairing import PATIENCE_S, Pairing


def at(stamp_s, name="image", **fields):
    stamp = SimpleNamespace(sec=int(stamp_s), nanosec=round((stamp_s % 1) * 1e9))
    return SimpleNamespace(header=SimpleNamespace(stamp=stamp), name=name, **fields)


class Bench:
    def __init__(self, colour=True):
        self.now, self.done, self.refused = 0.0, [], []
        self.colour = colour
        self.pairing = Pairing(
            self.done.append, self.refused.append, lambda: 0.02, lambda: self.colour, lambda: self.now
        )


@pytest.fixture
def bench():
    bench = Bench()
    bench.pairing.take_info("info")
    return bench


def test_whichever_comes_first_both_make_a_set(bench):
    bench.pairing.take_depth(at(1.0))
    assert not bench.done
    bench.pairing.take_colour(at(1.01))
    bench.pairing.take_colour(at(2.015))
    bench.pairing.take_colour(at(2.001, "nearest"))
    bench.pairing.take_depth(at(2.0))
    assert len(bench.done) == 2
    assert bench.done[1].colour.name == "nearest"
    assert bench.done[0].info == "info"


def test_sets_come_in_order_though_colours_do_not(bench):
    for stamp in (1.0, 1.1, 1.2):
        bench.pairing.take_depth(at(stamp))
    for stamp in (1.0, 1.1, 1.2):
        bench.pairing.take_colour(at(stamp))
    assert [one.depth.header.stamp.nanosec for one in bench.done] == [0, 100_000_000, 200_000_000]


def test_without_a_colour_publisher_nothing_is_waited_for(bench):
    bench.colour = False
    bench.pairing.take_depth(at(1.0))
    assert bench.done[0].colour is None


def test_a_depth_image_whose_colour_cannot_come_any_more_is_refused(bench):
    bench.pairing.take_depth(at(1.0))
    bench.pairing.take_colour(at(1.1))
    assert bench.refused[0].kind == "sync"
    assert "0.1 s away" in str(bench.refused[0])


def test_a_late_depth_image_still_waits_for_its_late_colour(bench):
    bench.pairing.take_colour(at(2.0))
    bench.pairing.take_depth(at(1.0))
    assert not bench.refused
    bench.pairing.take_colour(at(1.0))
    assert len(bench.done) == 1


def test_patience_ends(bench):
    bench.pairing.take_depth(at(1.0))
    bench.now = PATIENCE_S - 0.01
    bench.pairing.look()
    assert not bench.refused
    bench.now = PATIENCE_S + 0.01
    bench.pairing.look()
    assert "none has come" in str(bench.refused[0])


def test_without_calibration_frames_are_refused_by_name():
    bench = Bench(colour=False)
    bench.pairing.take_depth(at(1.0))
    assert not bench.done
    bench.now = 2.0
    bench.pairing.look()
    assert bench.refused[0].kind == "camera"
    bench.pairing.take_info("info")
    bench.pairing.take_depth(at(1.1))
    assert len(bench.done) == 1


def test_an_image_that_comes_on_two_topics_is_taken_once(bench):
    bench.colour = False
    bench.pairing.take_depth(at(1.0))
    bench.pairing.take_depth(at(1.0, format="png"))
    # The compressed one may be late, or the first.
    bench.pairing.take_depth(at(1.1))
    bench.pairing.take_depth(at(1.2))
    bench.pairing.take_depth(at(1.1, format="png"))
    bench.pairing.take_depth(at(1.3, format="png"))
    bench.pairing.take_depth(at(1.3))
    assert len(bench.done) == 4
    assert not bench.refused


@pytest.mark.parametrize(("stamp_s", "says"), [(0.0, "is zero"), (7.0, "the same as that of the last frame")])
def test_a_driver_that_sends_no_new_stamps_is_named(bench, stamp_s, says):
    bench.colour = False
    bench.pairing.take_depth(at(7.0))
    for _ in range(3):
        bench.pairing.take_depth(at(stamp_s))
    assert len(bench.done) == 1
    assert [refusal.kind for refusal in bench.refused] == ["stamp"] * 3
    assert says in str(bench.refused[0])


def test_a_short_recording_that_starts_again_is_taken_again(bench):
    bench.colour = False
    for _ in range(2):
        for stamp_s in (1.0, 1.1, 1.2):
            bench.pairing.take_depth(at(stamp_s))
    assert len(bench.done) == 6


def test_memory_is_bounded(bench):
    for k in range(100):
        bench.pairing.take_depth(at(1 + k / 1000))
    assert len(bench.refused) == 84
