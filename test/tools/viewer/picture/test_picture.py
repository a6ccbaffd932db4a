"""Pictures show the cloud's colours, every box and the truth, also for clouds of nothing."""

from dataclasses import dataclass

import numpy as np
import pytest

from dspdet3d_ros.clouds.cloud import LabelledBoxes
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.tools.viewer.picture import draw_detections
from dspdet3d_ros.tools.viewer.picture.label_placement import place_labels
from dspdet3d_ros.tools.viewer.picture.views import (
    PerspectiveView,
    PlanView,
    Region,
    best_azimuth,
    box_corners,
    inside,
    paint,
)

image = pytest.importorskip("matplotlib.image", reason="matplotlib is not installed")
RED, BLUE = np.array([1, 0.294, 0.243]), np.array([0.247, 0.816, 1])
REGION = Region(np.array([-2.0, -1.0, 0.0]), np.array([4.0, 3.0, 1.0]))


@dataclass
class Boxes:
    boxes: np.ndarray
    scores: np.ndarray
    names: tuple[str, ...]


NOTHING = Boxes(np.empty((0, 6)), np.empty(0), ())
TWO = Boxes(np.array([[1, 1, 0.5, 1, 1, 1], [3, 2, 0.2, 0.3, 0.3, 0.4]]), np.array([0.9, 0.4]), ("chair", "cup"))
TRUTH = LabelledBoxes(np.array([[1.1, 1, 0.5, 1, 1, 1]], np.float32), ("chair",))


def room(points=20000):
    """A green floor of 4 by 3 metres and a magenta ceiling at 2.5 metres."""
    xyz = np.random.default_rng(1).uniform((0, 0, 0), (4, 3, 0), (points, 3))
    rgb = np.tile(np.uint8([[0, 200, 0]]), (points, 1))
    ceiling = np.arange(points) % 2 == 0
    xyz[ceiling, 2], rgb[ceiling] = 2.5, (200, 0, 200)
    return xyz, rgb


def share(picture, colour, tolerance=0.12):
    return (np.abs(picture[..., :3] - colour).max(axis=-1) < tolerance).mean()


def test_the_picture_shows_floor_boxes_and_truth_but_not_the_ceiling(tmp_path):
    draw_detections(tmp_path / "new" / "a.png", *room(), TWO, TRUTH)
    picture = image.imread(tmp_path / "new" / "a.png")
    assert picture.shape[1] == 1600
    assert share(picture, (0, 200 / 255, 0)) > 0.3
    assert share(picture, (200 / 255, 0, 200 / 255)) < 0.001
    for half in (picture[:, :800], picture[:, 800:]):
        assert share(half[100:], RED) > 0.0003
        assert share(half[100:], BLUE) > 0.0003


def test_a_cloud_in_map_coordinates_is_drawn_as_the_same_one_at_the_origin(tmp_path):
    (xyz, rgb), pictures = room(), []
    for number, away in enumerate((0.0, 4e6)):
        moved = Boxes(TWO.boxes + [away, 0, 0, 0, 0, 0], TWO.scores, TWO.names)
        draw_detections(tmp_path / f"{number}.png", xyz + [away, 0, 0], rgb, moved)
        pictures.append(image.imread(tmp_path / f"{number}.png")[..., :3])
    assert (np.abs(pictures[1] - pictures[0]).max(axis=-1) > 0.1).mean() < 0.01


def test_without_truth_nothing_is_drawn_in_its_colour(tmp_path):
    draw_detections(tmp_path / "a.png", *room(), TWO)
    assert share(image.imread(tmp_path / "a.png"), BLUE) < 1e-5


@pytest.mark.parametrize("points", [0, 1, 3])
def test_clouds_of_next_to_nothing_are_drawn(tmp_path, points):
    xyz = np.zeros((points, 3))
    draw_detections(tmp_path / "a.png", xyz, None, NOTHING)
    draw_detections(tmp_path / "b.png", xyz, np.zeros((points, 3), np.uint8), TWO, TRUTH)
    assert image.imread(tmp_path / "b.png").shape == image.imread(tmp_path / "a.png").shape


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        draw_detections(tmp_path / "file" / "a.png", *room(100), NOTHING)


@pytest.mark.parametrize("view", [PlanView.of(REGION, 300, 200), PerspectiveView.of(REGION, 30.0, 300, 200)])
def test_a_view_just_holds_its_region(view):
    uv, _ = view.project(REGION.corners)
    assert uv.min() > -1e-6
    assert (uv < (300.001, 200.001)).all()
    spans = (uv.max(axis=0) - uv.min(axis=0)) / (300, 200)
    assert spans.max() == pytest.approx(1)


def test_the_plan_has_x_to_the_right_and_y_up():
    uv, depth = PlanView.of(REGION, 300, 200).project(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]))
    np.testing.assert_allclose(uv[1] - uv[0], (50, 0), atol=1e-9)
    np.testing.assert_allclose(uv[2] - uv[0], (0, -50), atol=1e-9)
    assert depth[3] < depth[0]


def test_perspective_is_not_mirrored_and_shows_up_as_up():
    view = PerspectiveView.of(REGION, 0.0, 300, 300)
    uv, depth = view.project(np.array([[1.0, 1, 0], [1, 1, 1], [1, 2, 0], [3, 1, 0]]))
    assert uv[1, 1] < uv[0, 1]
    assert uv[2, 0] > uv[0, 0]
    assert depth[3] < depth[0]
    behind, _ = view.project(view.eye[None] - view.axes[2])
    assert np.isnan(behind).all()


def test_near_points_cover_far_ones_and_points_outside_are_left_out():
    uv = np.array([[5.0, 5], [5, 5], [-50, 5], [1e9, np.nan]])
    colours = np.uint8([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]])
    picture = paint(uv, np.array([1.0, 2, 1, 1]), colours, 20, 10, dot=3, background=7)
    assert picture.shape == (10, 20, 3)
    np.testing.assert_array_equal(picture[4:7, 4:7], np.broadcast_to([255, 0, 0], (3, 3, 3)))
    assert (picture == 7).all(axis=-1).sum() == 200 - 9


def test_the_view_is_taken_from_the_open_side():
    y, z = np.meshgrid(np.linspace(-1, 3, 200), np.linspace(0, 1, 100))
    wall = np.column_stack([np.full(y.size, -1.9), y.ravel(), z.ravel()])
    box = np.random.default_rng(2).uniform((-1.6, 0.9, 0), (-1.5, 1.1, 0.1), (500, 3))
    xyz = np.concatenate([wall, box])
    azimuth = best_azimuth(xyz, np.arange(len(xyz)) >= len(wall), REGION)
    assert np.cos(np.radians(azimuth)) > 0


def test_points_inside_boxes_are_marked():
    xyz = np.array([[0, 0, 0], [0.5, 0, 0], [0.51, 0, 0], [3, 3, 3.1]])
    boxes = np.array([[0, 0, 0, 1, 1, 1], [3, 3, 3, 0.1, 0.1, 0.3]])
    np.testing.assert_array_equal(inside(xyz, boxes), [True, True, False, True])
    assert box_corners(boxes[0]).min() == -0.5


def test_labels_do_not_cover_each_other_and_stay_inside():
    anchors = [(100.0 + i % 3, 60.0) for i in range(12)] + [(199.0, 1.0)]
    labels = place_labels(["cup 0.90"] * 13, anchors, 10, 200, 150)
    assert len(labels) >= 10
    assert not labels[0].moved
    areas = [(label.u, label.v - 7.5, label.u + 8 * 6.2, label.v + 7.5) for label in labels]
    for i, a in enumerate(areas):
        assert a[0] >= 0
        assert a[2] <= 200
        assert not any(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for b in areas[:i])


def test_corners_of_a_turned_box_are_turned_about_its_centre():
    box = np.array([1.0, 2, 3, 2, 1, 0.5])
    straight = box_corners(box)
    np.testing.assert_allclose(box_corners(np.append(box, 0.0)), straight)
    quarter = box_corners(np.append(box, np.pi / 2))
    offset = straight - box[:3]
    np.testing.assert_allclose(quarter - box[:3], np.stack([-offset[:, 1], offset[:, 0], offset[:, 2]], 1), atol=1e-12)
