"""Results never go back in time, and a time that starts again is followed."""

from dspdet3d_ros.ros.pipeline.stamps import StampOrder

SECOND = 1_000_000_000


def admitted(*stamps_s):
    order = StampOrder()
    return [s for s in stamps_s if order.fault(round(s * SECOND)) is None]


def test_clouds_in_order_and_the_same_one_again_are_admitted():
    assert admitted(1, 1, 2, 2.1, 50) == [1, 1, 2, 2.1, 50]


def test_a_cloud_that_comes_late_is_refused_with_how_late_it_is():
    assert admitted(10, 9.9, 10.1, 10.0, 10.2) == [10, 10.1, 10.2]
    order = StampOrder()
    order.fault(10 * SECOND)
    assert "100 ms older" in order.fault(10 * SECOND - SECOND // 10)


def test_a_bag_that_starts_again_is_followed():
    assert admitted(10, 70, 10, 11, 12) == [10, 70, 10, 11, 12]


def test_a_bag_shorter_than_a_second_is_followed_after_two_clouds():
    assert admitted(10.0, 10.9, 10.1, 10.2, 10.3, 10.4) == [10.0, 10.9, 10.3, 10.4]


def test_without_a_stamp_a_cloud_is_admitted_and_not_compared_with():
    assert admitted(10, 0, 9.9, 0, 11) == [10, 0, 0, 11]


def test_after_time_was_set_back_any_stamp_is_admitted():
    order = StampOrder()
    assert order.fault(10 * SECOND) is None
    order.forget()
    assert order.fault(10 * SECOND - 1) is None
