"""The simulated camera errs as its law says and loses what a real one loses."""

from dataclasses import replace

import numpy as np
import pytest

from dspdet3d_ros.learning.generation.sensor import Sensor, observe

PLAIN = Sensor(320, 240, 290.0, "kinect", 1.0, 0.0, 1e6, 0.075, 0.3, 4.0)


def _wall(sensor: Sensor, depth: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count = sensor.width * sensor.height
    return np.full(count, depth, np.float32), np.ones(count, np.float32), np.full(count, -9, np.float32)


@pytest.mark.parametrize("depth", [0.8, 2.0])
def test_axial_noise_of_a_kinect_follows_its_law(depth):
    _, _, measured = observe(PLAIN, *_wall(PLAIN, depth), np.random.default_rng(0))
    assert measured.std() == pytest.approx(0.0012 + 0.0019 * (depth - 0.4) ** 2, rel=0.05)
    assert measured.mean() == pytest.approx(depth, abs=1e-3)


def test_active_stereo_errs_smoothly_and_with_the_square_of_depth():
    sensor = replace(PLAIN, axial="realsense")
    spread = {}
    for depth in (0.8, 1.6):
        pixel, _, measured = observe(sensor, *_wall(sensor, depth), np.random.default_rng(0))
        image = np.full(sensor.width * sensor.height, np.nan)
        image[pixel] = measured - depth
        image = image.reshape(sensor.height, sensor.width)
        spread[depth] = np.nanstd(image)
        beside = image[:, 1:] * image[:, :-1]
        assert np.nanmean(beside) > 0.5 * spread[depth] ** 2
    assert spread[1.6] == pytest.approx(4 * spread[0.8], rel=0.2)


def test_depth_is_rounded_to_whole_disparities():
    sensor = replace(PLAIN, disparity=348.0)
    _, _, measured = observe(sensor, *_wall(sensor, 2.0), np.random.default_rng(0))
    steps = 348.0 / measured
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)


def test_nothing_is_measured_out_of_range():
    for depth in (0.2, 4.5, 1e37):
        assert len(observe(PLAIN, *_wall(PLAIN, depth), np.random.default_rng(0))[0]) == 0


def test_grazing_and_glossy_surfaces_return_little():
    depth, cosine, gloss = _wall(PLAIN, 1.0)
    rng = np.random.default_rng(0)
    whole = len(observe(PLAIN, depth, cosine, gloss, rng)[0])
    assert whole > 0.95 * len(depth)
    assert len(observe(PLAIN, depth, np.full_like(cosine, 0.1), gloss, rng)[0]) < 0.3 * whole
    assert 0.2 * whole < len(observe(PLAIN, depth, cosine, np.zeros_like(gloss), rng)[0]) < 0.8 * whole


@pytest.mark.parametrize("side", [1, -1])
def test_a_near_object_casts_a_shadow_on_one_side(side):
    sensor = replace(PLAIN, baseline=0.075 * side)
    depth, cosine, gloss = _wall(sensor, 2.0)
    image = depth.reshape(sensor.height, sensor.width)
    image[:, 140:180] = 1.0
    pixel, _, _ = observe(sensor, depth, cosine, gloss, np.random.default_rng(0))
    seen = np.zeros(depth.shape, bool)
    seen[pixel] = True
    seen = seen.reshape(image.shape).mean(axis=0)
    left, right = seen[130:138].mean(), seen[182:190].mean()
    shadowed, lit = (right, left) if side > 0 else (left, right)
    assert shadowed < 0.1
    assert lit > 0.9


def test_sideways_jitter_never_wraps_round_the_image():
    sensor = replace(PLAIN, jitter=0.7)
    pixel, source, _ = observe(sensor, *_wall(sensor, 1.0), np.random.default_rng(0))
    assert (pixel != source).mean() > 0.3
    assert np.abs(pixel % sensor.width - source % sensor.width).max() <= 4
    assert np.abs(pixel // sensor.width - source // sensor.width).max() <= 4
