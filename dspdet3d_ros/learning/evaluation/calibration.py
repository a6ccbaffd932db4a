"""Agreement of scores with the share of boxes that are right, and the map of scores that fits best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dspdet3d_ros.detector.score_map import ScoreMap
from dspdet3d_ros.learning.evaluation.metric import SceneResult, matches
from dspdet3d_ros.output_files import new_figure, write_figure

#: Boxes with a lower score do not count: there are many of them, and nobody reads their scores.
_LEAST_SCORE = 0.1
_BINS = 10
_IOU = 0.25
_STEPS = 50


def reliability(results: Sequence[SceneResult]) -> dict[str, Any]:
    """The calibration of all boxes with a score above 0.1, at an IoU of 0.25.

    Returns:
        `error`: the expected calibration error: the mean difference of score and share of right boxes over ten equal
        bins of scores, weighted by their boxes. `bins`: for each bin that has boxes their number, mean score and share
        of right ones. `score_map`: slope and offset of the logistic map from these scores to probabilities.
    """
    scores, right = _pooled(results)
    bins = np.minimum((scores * _BINS).astype(int), _BINS - 1)
    rows = [bins == k for k in range(_BINS) if (bins == k).any()]
    table = [
        {"boxes": int(row.sum()), "score": float(scores[row].mean()), "right": float(right[row].mean())} for row in rows
    ]
    error = sum(part["boxes"] * abs(part["score"] - part["right"]) for part in table) / max(len(scores), 1)
    fit = fit_score_map(scores, right)
    return {"error": float(error), "bins": table, "score_map": [fit.slope, fit.offset]}


def _pooled(results: Sequence[SceneResult]) -> tuple[np.ndarray, np.ndarray]:
    """(N,) scores of the boxes that count, and whether each is right."""
    scores = np.concatenate([np.empty(0), *(result.scores for result in results)])
    right = np.concatenate([np.empty(0, bool), *(matches(result, _IOU) >= 0 for result in results)])
    counts = scores > _LEAST_SCORE
    return scores[counts], right[counts]


def fit_score_map(scores: np.ndarray, right: np.ndarray) -> ScoreMap:
    """Logistic regression (Platt scaling): the map under which what is right is most probable.

    Args:
        scores: (N,) in 0..1.
        right: (N,) bool.

    Returns:
        The map; the identity if there are not right and wrong boxes.
    """
    if not right.any() or right.all():
        return ScoreMap()
    score = np.clip(scores.astype(np.float64), 1e-6, 1 - 1e-6)
    inputs = np.column_stack([np.log(score / (1 - score)), np.ones(len(score))])
    values = np.array([1.0, 0.0])
    for _ in range(_STEPS):
        probability = 1 / (1 + np.exp(-inputs @ values))
        # A little ridge towards the identity keeps the map of few boxes finite.
        gradient = inputs.T @ (probability - right) + 1e-3 * (values - [1, 0])
        curvature = (inputs * (probability * (1 - probability))[:, None]).T @ inputs + 1e-3 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        values = values - np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-9:
            break
    return ScoreMap(max(float(values[0]), 1e-3), float(values[1]))


def plot(path: Path, calibration: Mapping[str, Any], title: str) -> None:
    """Writes the reliability diagram as a PNG: the share of right boxes over the score, with the numbers of boxes.

    Args:
        path: the file.
        calibration: as `reliability` returns it.
        title: of the figure.

    Raises:
        InputError: matplotlib is missing or the file cannot be written.
    """
    figure = new_figure(6, 6, dpi=100)
    axes = figure.subplots()
    bins = calibration["bins"]
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="perfect")
    label = f"error {calibration['error']:.3f}"
    axes.plot([part["score"] for part in bins], [part["right"] for part in bins], marker="o", label=label)
    for part in bins:
        axes.annotate(str(part["boxes"]), (part["score"], part["right"]), (4, -12), textcoords="offset points")
    axes.set(xlabel="score", ylabel="share of right boxes (IoU 0.25)", xlim=(0, 1), ylim=(0, 1), title=title)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    figure.tight_layout()
    write_figure(path, figure)
