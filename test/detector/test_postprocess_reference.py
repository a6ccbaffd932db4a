"""Post-processing against a plain reference: box by box, in float64, as the documents describe it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.postprocess import select_boxes
from dspdet3d_ros.detector.result import DetectionSettings

CONFIG = ModelConfig(classes=tuple("abcdefg"))
SETTINGS = DetectionSettings(0.3, 0.05, 0.3, max_detections=1000)


def candidates(seed, count=400):
    """Groups of boxes that overlap, best first, and their scores."""
    random = np.random.default_rng(seed)
    objects = np.concatenate([random.uniform(0, 4, (30, 3)), random.uniform(0.2, 0.6, (30, 3))], 1)
    boxes = objects[random.integers(0, 30, count)] + random.normal(0, 0.04, (count, 6))
    boxes[:, 3:] = np.abs(boxes[:, 3:]) + 0.05
    scores = 1 / (1 + np.exp(3 - 1.5 * random.normal(size=(count, len(CONFIG.classes)))))
    order = np.argsort(-scores.max(1))
    return torch.from_numpy(boxes[order]).float(), torch.from_numpy(scores[order]).float()


def iou(a, b, axes=3):
    shared = volume_a = volume_b = 1.0
    for k in range(axes):
        low, high = max(a[k] - a[k + 3] / 2, b[k] - b[k + 3] / 2), min(a[k] + a[k + 3] / 2, b[k] + b[k + 3] / 2)
        shared *= max(high - low, 0.0)
        volume_a, volume_b = volume_a * a[k + 3], volume_b * b[k + 3]
    return shared / (volume_a + volume_b - shared)


def greedy(boxes, order, threshold, axes=3):
    kept = []
    for i in order:
        if all(iou(boxes[j], boxes[i], axes) <= threshold for j in kept):
            kept.append(i)
    return kept


def published(boxes, scores, settings, config):
    """(box, label, score) of each report."""
    found, axes = [], 3 if config.nms_overlap == "3d" else 2
    names = {name: k for k, name in enumerate(config.classes)}
    wanted = {names[name] for name in settings.class_filter or config.classes}
    if config.nms_across_classes:
        rows = [i for i, row in enumerate(scores) if row.argmax() in wanted and row.max() > settings.score_threshold]
        rows.sort(key=lambda i: -scores[i].max())
        kept = greedy(boxes, rows, settings.nms_iou_threshold, axes)
        return [(boxes[i], scores[i].argmax(), scores[i].max()) for i in kept]
    for k in wanted:
        rows = [i for i in range(len(boxes)) if scores[i, k] > settings.score_threshold]
        rows.sort(key=lambda i: -scores[i, k])
        found += [(boxes[i], k, scores[i, k]) for i in greedy(boxes, rows, settings.nms_iou_threshold, axes)]
    return sorted(found, key=lambda report: -report[2])


def fused(boxes, scores, settings):
    best = scores.max(1)
    strong = [i for i in range(len(boxes)) if best[i] > 0.05]
    leaders = [i for i in range(len(boxes)) if best[i] > settings.score_threshold]
    found, chosen = [], greedy(boxes, leaders, settings.nms_iou_threshold)
    for number, i in enumerate(chosen):
        # The numbers of candidates grow as their scores fall.
        voters = sorted({*strong, i})
        overlap = {j: iou(boxes[i], boxes[j]) for j in voters}
        near = [j for j in voters if overlap[j] > 0.1]
        agreement = sum(best[j] * overlap[j] for j in near) / sum(best[j] for j in near)
        votes = {j: best[j] ** 2 for j in voters if overlap[j] > 0.4}
        names = sum(vote * scores[j] for j, vote in votes.items())
        faces = []
        for sign in (-1, 1):
            for k in range(3):
                faces.append(weighted_median([(boxes[j][k] + sign * boxes[j][k + 3] / 2, votes[j]) for j in votes]))
        low, high = np.array(faces[:3]), np.array(faces[3:])
        rivals = sum(iou(boxes[i], boxes[j]) ** 2 for j in chosen[:number])
        support = 1 - math.exp(-len(votes) / 8)
        values = names / names.max() * best[i] * math.exp(-rivals / 0.3) * agreement**0.5 * support
        if values.max() > settings.score_threshold:
            found.append((np.concatenate([(low + high) / 2, high - low]), values.argmax(), values.max()))
    return sorted(found, key=lambda report: -report[2])


def weighted_median(pairs):
    pairs, total = sorted(pairs), sum(weight for _, weight in pairs)
    below = 0.0
    for value, weight in pairs:
        below += weight
        if below >= total / 2:
            return value
    raise AssertionError


def assert_equal(selection, expected):
    assert 10 < len(expected) == len(selection.boxes)
    for part, index in ((selection.boxes, 0), (selection.labels, 1), (selection.scores, 2)):
        wanted = np.stack([np.asarray(report[index], np.float64) for report in expected])
        np.testing.assert_allclose(part.numpy(), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("names", [(), ("b", "e")])
@pytest.mark.parametrize("overlap", ["3d", "plan_view"])
@pytest.mark.parametrize("across", [True, False])
def test_published(across, overlap, names):
    config = replace(CONFIG, nms_across_classes=across, nms_overlap=overlap)
    settings = replace(SETTINGS, class_filter=names)
    boxes, scores = candidates(seed=1)
    expected = published(boxes.double().numpy(), scores.double().numpy(), settings, config)
    assert_equal(select_boxes(boxes, scores, settings, config), expected)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("score", [0.05, 0.02, 0.2])
def test_fused(seed, score):
    config, settings = (
        replace(CONFIG, postprocessing="fused", nms_across_classes=True),
        replace(SETTINGS, score_threshold=score),
    )
    boxes, scores = candidates(seed)
    expected = fused(boxes.double().numpy(), scores.double().numpy(), settings)
    assert_equal(select_boxes(boxes, scores, settings, config), expected)


def test_a_lower_score_threshold_adds_fused_boxes_and_changes_no_other():
    config = replace(CONFIG, postprocessing="fused", nms_across_classes=True)
    boxes, scores = candidates(3)
    some, more = (
        select_boxes(boxes, scores, replace(SETTINGS, score_threshold=score), config) for score in (0.3, 0.01)
    )
    count = len(some.boxes)
    assert 5 < count < len(more.boxes)
    torch.testing.assert_close(more.boxes[:count], some.boxes, rtol=0, atol=0)
    torch.testing.assert_close(more.scores[:count], some.scores, rtol=0, atol=0)
