"""Objects keep their number, their name and their place while detections come, go and move a little."""

import numpy as np
import pytest

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.tracking.tracker import Tracker
from dspdet3d_ros.tracking.tracking_settings import TrackingSettings

CUP, BOOK = [0.6, 0.3], [0.2, 0.7]


def table(without=()):
    """Points of a table top of 4 m × 4 m, 1 cm apart; without its part at x < 2 if "left" is left out."""
    x, y = np.meshgrid(np.arange(0, 4, 0.01), np.arange(0, 4, 0.01))
    points = np.stack([x.ravel(), y.ravel(), np.full(x.size, 0.7)], axis=1)
    return points[points[:, 0] >= 2] if "left" in without else points


def block(x, y, size=0.1):
    """Points of an object that stands on the table, and its box."""
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (300, 3)) * size + [x, y, 0.7 + size / 2]
    return points, np.array([x, y, 0.7 + size / 2, size, size, size])


def objects(*places):
    clouds, boxes = zip(*(block(*place) for place in places), strict=True)
    return np.concatenate([table(), *clouds]), np.array(boxes)


def test_objects_keep_their_numbers_whatever_order_detections_have():
    xyz, boxes = objects((1, 1), (3, 3), (1, 3))
    tracker, scores = Tracker(), np.array([CUP, BOOK, CUP])
    seen = {}
    rng = np.random.default_rng(1)
    for _ in range(20):
        order = rng.permutation(3)
        found = tracker.update(boxes[order] + rng.normal(0, 0.005, (3, 6)), scores[order], xyz)
        for number, box in zip(found.ids, found.boxes, strict=True):
            seen.setdefault(int(number), []).append(box)
    assert sorted(seen) == [1, 2, 3]
    assert all(len(track) == 19 for track in seen.values())
    assert all(np.ptp([box[:3] for box in track], axis=0).max() < 0.02 for track in seen.values())


def test_an_object_is_reported_from_the_given_number_of_sightings_on():
    xyz, boxes = objects((1, 1))
    for births in (1, 2, 4):
        tracker = Tracker(TrackingSettings(births=births))
        counts = [len(tracker.update(boxes, np.array([CUP]), xyz)) for _ in range(5)]
        assert counts == [0] * (births - 1) + [1] * (6 - births)


def test_a_detection_that_comes_once_is_never_reported():
    xyz, boxes = objects((1, 1), (3, 3))
    tracker = Tracker()
    assert len(tracker.update(boxes, np.array([CUP, CUP]), xyz)) == 0
    for _ in range(5):
        assert list(tracker.update(boxes[:1], np.array([CUP]), xyz).ids) == [1]
    assert len(tracker) == 1


def test_an_object_that_the_detector_misses_stays_while_its_points_are_there():
    xyz, boxes = objects((1, 1))
    tracker, none = Tracker(TrackingSettings(patience=4)), np.zeros((0, 6))
    for _ in range(3):
        tracker.update(boxes, np.array([CUP]), xyz)
    for _ in range(3):
        found = tracker.update(none, np.zeros((0, 2)), xyz)
        assert list(found.ids) == [1]
        assert not found.detected.any()
    assert tracker.update(boxes, np.array([CUP]), xyz).detected.all()
    for _ in range(4):
        found = tracker.update(none, np.zeros((0, 2)), xyz)
    assert len(found) == len(tracker) == 0


def test_an_object_that_was_taken_away_disappears_and_its_number_is_not_used_again():
    xyz, boxes = objects((1, 1))
    tracker = Tracker(TrackingSettings(deaths=2))
    for _ in range(3):
        tracker.update(boxes, np.array([CUP]), xyz)
    counts = [len(tracker.update(np.zeros((0, 6)), np.zeros((0, 2)), table())) for _ in range(3)]
    assert counts == [1, 0, 0]
    for _ in range(2):
        found = tracker.update(boxes, np.array([CUP]), xyz)
    assert list(found.ids) == [2]


def test_an_object_out_of_view_is_not_reported_and_comes_back_with_its_number():
    xyz, boxes = objects((1, 1), (3, 3))
    tracker, scores = Tracker(TrackingSettings(deaths=1, patience=2)), np.array([CUP, BOOK])
    for _ in range(3):
        tracker.update(boxes, scores, xyz)
    right = np.concatenate([table(without=["left"]), block(3, 3)[0]])
    for _ in range(10):
        assert list(tracker.update(boxes[1:], scores[1:], right).ids) == [2]
    assert sorted(tracker.update(boxes, scores, xyz).ids) == [1, 2]


def test_names_follow_the_evidence_of_all_clouds():
    xyz, boxes = objects((1, 1))
    tracker = Tracker()
    labels = [
        list(tracker.update(boxes, np.array([scores]), xyz).labels)
        for scores in ([0.5, 0.4], [0.5, 0.4], [0.3, 0.35], [0.5, 0.4], [0.3, 0.4])
    ]
    assert labels == [[], [0], [0], [0], [0]]
    for _ in range(10):
        found = tracker.update(boxes, np.array([BOOK]), xyz)
    assert list(found.labels) == [1]
    assert found.class_scores[0].argmax() == 1
    assert found.class_scores[0, 1] == pytest.approx(found.scores[0])


def test_two_close_objects_keep_their_numbers():
    xyz, boxes = objects((1, 1), (1.11, 1))
    tracker = Tracker()
    rng = np.random.default_rng(2)
    for _ in range(20):
        order = rng.permutation(2)
        found = tracker.update((boxes + rng.normal(0, 0.01, (2, 6)))[order], np.array([CUP, CUP])[order], xyz)
    places = dict(zip(found.ids.tolist(), found.boxes[:, 0], strict=True))
    assert places == {1: pytest.approx(places[1]), 2: pytest.approx(places[2])}
    assert abs(places[1] - places[2]) == pytest.approx(0.11, abs=0.03)


def test_thin_boxes_that_hardly_overlap_are_one_object():
    points, _ = block(1, 1)
    xyz = np.concatenate([table(), points * [1, 1, 0.02] + [0, 0, 0.69]])
    tracker = Tracker()
    for lift in (0.0, 0.004, -0.003, 0.005, 0.0):
        found = tracker.update(np.array([[1, 1, 0.705 + lift, 0.2, 0.1, 0.008]]), np.array([BOOK]), xyz)
    assert list(found.ids) == [1]


def test_a_thinner_cloud_is_no_empty_place():
    xyz, boxes = objects((1, 1))
    tracker = Tracker(TrackingSettings(deaths=1))
    for _ in range(3):
        tracker.update(boxes, np.array([CUP]), xyz)
    for _ in range(3):
        found = tracker.update(np.zeros((0, 6)), np.zeros((0, 2)), xyz[::2])
    assert list(found.ids) == [1]


def test_after_a_reset_objects_get_new_numbers():
    xyz, boxes = objects((1, 1))
    tracker = Tracker(TrackingSettings(births=1))
    assert list(tracker.update(boxes, np.array([CUP]), xyz).ids) == [1]
    tracker.reset()
    assert len(tracker) == 0
    assert list(tracker.update(boxes, np.array([CUP]), xyz).ids) == [2]


def test_no_detections_and_no_points_are_no_error():
    tracker = Tracker()
    found = tracker.update(np.zeros((0, 6)), np.zeros((0, 2)), np.zeros((0, 3)))
    assert len(found) == 0
    assert found.boxes.shape == (0, 6)


@pytest.mark.parametrize(
    ("name", "value"), [("births", 0), ("deaths", 1.5), ("patience", -1), ("smoothing", 2.0), ("memory", "x")]
)
def test_settings_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(InputError, match=f"{name}: expected"):
        TrackingSettings(**{name: value})
