"""The seen part of an object: what hides it, and what a scan leaves out, counts against it."""

import numpy as np
import pytest

from dspdet3d_ros.learning.generation.camera import look
from dspdet3d_ros.learning.generation.meshes import box
from dspdet3d_ros.learning.generation.occlusion import Visibility
from dspdet3d_ros.learning.generation.raycast import RayCaster
from dspdet3d_ros.learning.generation.sensor import Sensor
from dspdet3d_ros.learning.generation.world import World

pytest.importorskip("embreex", reason="scenes are ray cast with embreex")

SENSOR = Sensor(120, 90, 100.0, "kinect", 1.0, 0.0, 300.0, 0.075, 0.3, 3.0)
SIDE = 0.2


def shares(eyes, *meshes, labelled=None, crop=None):
    """The seen parts of cubes at the given places; the camera looks along y."""
    world = World(meshes=list(meshes), numbers=labelled or list(range(1, len(meshes) + 1)))
    mesh, number = world.whole()
    visibility = Visibility(world, SENSOR, crop)
    for eye in eyes:
        pose = look(np.array(eye, float), np.array([eye[0], 10.0, eye[2]]))
        directions = SENSOR.rays @ pose.axes.T.astype(np.float32)
        depth, face = RayCaster(mesh).cast(pose.eye, directions)
        visibility.add(pose, directions, depth, np.where(face < 0, 0, number[face]))
    return visibility.share()


def cube(x, y, z=0.0):
    return box((SIDE, SIDE, SIDE), (x, y, z))


EYE = [(0, -1, 0)]


def test_an_object_alone_is_seen_whole():
    assert shares(EYE, cube(0, 0.5)) == pytest.approx([1])


def test_a_hidden_object_is_not_seen_and_the_one_before_it_is():
    assert shares(EYE, cube(0, 0), cube(0, 0.5)) == pytest.approx([1, 0])


def test_half_of_an_object_behind_the_edge_of_another_is_seen():
    wall = box((1, 0.01, 1), (0.5, 0.2, 0))
    assert shares(EYE, cube(0, 0.5), wall, labelled=[1, 0]) == pytest.approx([0.5], abs=0.06)


def test_a_second_view_from_a_free_side_counts_too():
    both = shares([(0, -1, 0), (0.45, -1, 0)], cube(0, 0), cube(0, 0.5))
    assert 0.2 < both[1] < 0.8


def test_a_part_outside_the_crop_is_not_seen():
    crop = (np.array([-1, -1, 0.0]), np.array([1, 1, 1.0]))
    assert shares(EYE, cube(0, 0.5), crop=crop) == pytest.approx([0.5], abs=0.06)


def test_an_object_out_of_range_or_out_of_the_image_has_no_seen_part():
    assert shares(EYE, cube(0, 2.5), cube(5, 0), cube(0, -3)) == pytest.approx([0, 0, 0])
