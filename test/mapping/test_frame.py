"""A frame that cannot be used is refused by kind, with the field and the remedy."""

from dataclasses import replace

import numpy as np
import pytest
from box_scene import CAMERA, frame, orbit

from dspdet3d_ros.mapping.frame import Camera, FrameRefused, check_frame, pose_from_quaternion, rigid

GOOD = frame(orbit(1)[0], stamp_s=1.0)


def test_a_good_frame_is_accepted():
    check_frame(GOOD)
    np.testing.assert_allclose(rigid(GOOD.pose), GOOD.pose, atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "kind", "says"),
    [
        ({"depth": GOOD.depth[:-2]}, "sizes", "depth image: expected 160 x 120 pixels"),
        ({"colour": GOOD.colour[:, :-1]}, "sizes", "colour image: expected 160 x 120 pixels"),
        ({"colour_camera": Camera(320, 240, 300, 300, 160, 120)}, "sizes", "colour image: expected 320 x 240"),
        ({"camera": replace(CAMERA, fx=0.0)}, "camera", "fx 0"),
        ({"camera": replace(CAMERA, fy=float("nan"))}, "camera", "fy nan"),
        ({"camera": replace(CAMERA, cx=700.0)}, "camera", "principal point"),
        ({"colour_camera": replace(CAMERA, fx=-1.0)}, "camera", "camera of the colour image"),
        ({"depth": np.zeros_like(GOOD.depth)}, "depth", "no pixel has a depth"),
        ({"depth": np.full_like(GOOD.depth, np.nan)}, "depth", "no pixel has a depth"),
        ({"depth": GOOD.depth * 1000}, "depth", "the unit is wrong"),
        ({"depth": GOOD.depth / 1000}, "depth", "the unit is wrong"),
        ({"depth": (GOOD.depth * 1000).astype(np.uint16)}, "depth", "metres as floats"),
        ({"colour": GOOD.colour[..., 0]}, "colour", "height x width x 3"),
        ({"colour": GOOD.colour.astype(np.float32)}, "colour", "float32"),
        ({"stamp_s": float("nan")}, "stamp", "stamp: expected seconds"),
    ],
)
def test_a_bad_frame_is_refused_by_kind(changes, kind, says):
    with pytest.raises(FrameRefused, match=says) as refused:
        check_frame(replace(GOOD, **changes))
    assert refused.value.kind == kind


@pytest.mark.parametrize(
    ("matrix", "says"),
    [
        (np.full((4, 4), np.nan), "not finite"),
        (np.eye(3), "4 x 4"),
        (np.diag([1.1, 1.1, 1.1, 1]), "scale"),
        (np.diag([-1.0, 1, 1, 1]), "mirroring"),
        (np.zeros((4, 4)), "scale"),
    ],
)
def test_a_matrix_that_is_no_pose_is_refused(matrix, says):
    with pytest.raises(FrameRefused, match=says) as refused:
        rigid(matrix)
    assert refused.value.kind == "pose"


def test_a_rounded_rotation_becomes_a_rotation():
    pose = rigid(np.round(orbit(1)[0], 3))
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(pose, orbit(1)[0], atol=2e-3)


def test_a_quaternion_gives_the_rotation():
    half = np.sqrt(0.5)
    pose = pose_from_quaternion((1, 2, 3), (0, 0, half, half))
    np.testing.assert_allclose(pose @ [1, 0, 0, 1], [1, 3, 3, 1], atol=1e-12)


@pytest.mark.parametrize("quaternion", [(0, 0, 0, 0), (0, 0, 0, 2), (0, 0, 0.5, 0.5), (np.nan, 0, 0, 1)])
def test_a_quaternion_that_is_not_unit_is_refused(quaternion):
    with pytest.raises(FrameRefused) as refused:
        pose_from_quaternion((0, 0, 0), quaternion)
    assert refused.value.kind == "pose"


def test_a_translation_that_is_not_finite_is_refused():
    with pytest.raises(FrameRefused, match="not finite"):
        pose_from_quaternion((np.nan, 0, 0), (0, 0, 0, 1))
