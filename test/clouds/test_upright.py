"""A cloud of any unit and upward axis becomes one in metres with z up, its labelled boxes with it."""

import numpy as np
import pytest

from dspdet3d_ros.clouds.cloud import LabelledBoxes, PointCloud
from dspdet3d_ros.clouds.upright import upright
from dspdet3d_ros.defaults import UNITS, UPS
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.geometry import box_around


@pytest.fixture
def cloud():
    xyz = np.random.default_rng(0).uniform((1, 2, 3), (1.2, 2.3, 3.4), (50, 3)).astype(np.float32)
    return PointCloud(xyz, np.full((50, 3), 7, np.uint8), LabelledBoxes(box_around(xyz)[None], ("cup",)))


@pytest.mark.parametrize("up", UPS)
def test_the_axis_that_points_up_becomes_z_by_a_rotation(cloud, up):
    turned = upright(cloud, up)
    axis, sign = "xyz".index(up[-1]), -1 if up[0] == "-" else 1
    np.testing.assert_array_equal(turned.xyz[:, 2], sign * cloud.xyz[:, axis])
    # A rotation: what is to the left of something stays there.
    before, after = (np.cross(c.xyz[0], c.xyz[1]) @ c.xyz[2] for c in (cloud, turned))
    assert after == pytest.approx(before, rel=1e-4)
    assert abs(before) > 1e-3
    np.testing.assert_allclose(turned.truth.boxes[0], box_around(turned.xyz), atol=1e-6)
    assert turned.truth.names == ("cup",)
    assert turned.rgb is cloud.rgb
    assert turned.xyz.dtype == np.float32


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_becomes_metres(cloud, unit):
    given = PointCloud(cloud.xyz / UNITS[unit], None, LabelledBoxes(cloud.truth.boxes / UNITS[unit], ("cup",)))
    metres = upright(given, "z", unit)
    np.testing.assert_allclose(metres.xyz, cloud.xyz, rtol=1e-6)
    np.testing.assert_allclose(metres.truth.boxes, cloud.truth.boxes, rtol=1e-6)


def test_what_is_in_metres_with_z_up_stays_as_it_is(cloud):
    assert upright(cloud) is cloud


def test_coordinates_far_away_keep_their_digits(cloud):
    far = cloud.xyz.astype(np.float64) + 5e6
    turned = upright(PointCloud(far * 1000), "-y", "mm")
    np.testing.assert_allclose(turned.xyz[:, 2], -far[:, 1], rtol=0, atol=1e-8)


@pytest.mark.parametrize(("up", "unit", "text"), [("w", "m", "up: expected one of x, y"), ("z", "km", "unit: .*ft")])
def test_other_axes_and_units_are_refused(cloud, up, unit, text):
    with pytest.raises(InputError, match=text):
        upright(cloud, up, unit)
