"""Thickness of planes of any direction."""

import numpy as np
import pytest

from dspdet3d_ros.mapping.thickness import thickness_of


def plane(noise, turned=(0.0, 0.0), count=20_000):
    random = np.random.default_rng(0)
    xyz = np.column_stack([random.uniform(-0.3, 0.3, (count, 2)), random.normal(0, noise, count)])
    a, b = turned
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    return xyz @ (about_y @ about_x).T


@pytest.mark.parametrize("turned", [(0, 0), (0.7, 0.2), (np.pi / 2, 0), (1.0, 0.9)])
def test_two_sheets_have_half_their_distance_and_a_sheet_has_nothing(turned):
    sheet = plane(1e-5, turned)
    assert thickness_of(sheet).median_m < 0.001
    normal = np.linalg.svd(sheet - sheet.mean(0), full_matrices=False)[2][2]
    both = thickness_of(np.concatenate([sheet, sheet + 0.012 * normal]))
    assert both.planes > 100
    assert 0.004 < both.median_m < 0.0075


def test_clutter_has_no_planes():
    clutter = np.random.default_rng(1).uniform(-0.3, 0.3, (40_000, 3))
    found = thickness_of(clutter)
    assert found.planes == 0
    assert np.isnan(found.median_m)
    assert thickness_of(np.zeros((0, 3))).planes == 0
