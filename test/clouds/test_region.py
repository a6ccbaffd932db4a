"""A region of interest keeps what is inside, counts the rest, and is refused where its corners bound none."""

import numpy as np
import pytest

from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.clouds.region import Region, fault
from dspdet3d_ros.errors import InputError

XYZ = np.array([[0, 0, 0], [1, 1, 1], [2, 0.5, 0.5], [np.nan, 0, 0], [0.5, 0.5, 3]])
RGB = np.arange(15, dtype=np.uint8).reshape(5, 3)


def test_points_outside_are_left_out_and_counted():
    cloud = Region.of((0, 0, 0), (1, 1, 1)).crop(PointCloud.of(XYZ, RGB))
    np.testing.assert_array_equal(cloud.xyz, XYZ[:2])
    np.testing.assert_array_equal(cloud.rgb, RGB[:2])
    assert (cloud.outside, cloud.dropped, cloud.points_in) == (2, 1, 5)
    assert cloud.xyz.flags["C_CONTIGUOUS"]


def test_a_side_may_be_open():
    cloud = PointCloud.of(XYZ)
    np.testing.assert_array_equal(Region.of((0.5, 0.5, 0.5), ()).crop(cloud).xyz, XYZ[[1, 2, 4]])
    np.testing.assert_array_equal(Region.of((), (0.5, 0.5, 5)).crop(cloud).xyz, XYZ[[0, 4]])
    assert Region.of((), ()) is None


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        ((0, 0), (), "roi_min: expected x, y and z, or nothing, got 2 numbers"),
        ((0, 0, 0), (1, 1, 0), "roi_min: expected less than roi_max along z (0), got 0; set both at once"),
    ],
)
def test_corners_that_bound_no_region_are_refused(low, high, text):
    assert fault(low, high) == text
    with pytest.raises(InputError, match="roi_min"):
        Region.of(low, high)
