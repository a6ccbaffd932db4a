"""A PNG of a cloud and its detections, from above and in perspective."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from dspdet3d_ros.clouds.cloud import LabelledBoxes
from dspdet3d_ros.output_files import new_figure, write_figure
from dspdet3d_ros.tools.viewer.picture.framing import cut_height, extent, near_region
from dspdet3d_ros.tools.viewer.picture.label_placement import place_labels
from dspdet3d_ros.tools.viewer.picture.views import (
    EDGES,
    PerspectiveView,
    PlanView,
    best_azimuth,
    box_corners,
    inside,
    paint,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = 770
HEADER = 70
MARGIN = 20
DPI = 100
FONT_PX = 12
MAX_POINTS = 300_000
BACKGROUND = 24
DETECTION_COLOUR = "#ff4b3e"
TRUTH_COLOUR = "#3fd0ff"


class ScoredBoxes(Protocol):
    """Boxes with class names and scores."""

    @property
    def boxes(self) -> np.ndarray:
        """(K, 6) centre and size, metres."""
        ...

    @property
    def scores(self) -> np.ndarray:
        """(K,) scores; NaN is not shown."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """The class name of each box."""
        ...


class Marked(NamedTuple):
    """Boxes with texts, which are no detections; see `ScoredBoxes`."""

    boxes: np.ndarray
    scores: np.ndarray
    names: Sequence[str]


def draw_detections(
    path: str | Path,
    xyz: np.ndarray,
    rgb: np.ndarray | None,
    detections: ScoredBoxes,
    truth: LabelledBoxes | None = None,
    title: str = "",
    key: tuple[str, str] = ("found (class and score)", "ground truth"),
) -> None:
    """Writes a picture, 1600 pixels wide: the cloud from above and in perspective, with boxes and ground truth.

    The upper part of a room, above all boxes, is hidden, so that the inside is visible.

    Args:
        path: the PNG file; its folder is created.
        xyz: (N, 3) points, metres, z up.
        rgb: (N, 3) uint8, or None to colour by height.
        detections: boxes in the frame of the cloud, with names and scores.
        truth: ground truth in the same frame, or None.
        title: first line of the picture; the default is the number of boxes.
        key: what the boxes and the ground truth are called in the picture.

    Raises:
        InputError: matplotlib is missing or the file cannot be written.
    """
    width, height = 2 * PANEL + 3 * MARGIN, PANEL + HEADER + MARGIN
    figure = new_figure(width / DPI, height / DPI, DPI, facecolor="white")
    boxes = _all_boxes(detections, truth)
    xyz, colours = _displayed(np.asarray(xyz).reshape(-1, 3), rgb, boxes)
    room = extent(xyz, boxes)
    near = near_region(boxes, room)
    azimuth = best_azimuth(xyz, inside(xyz, boxes) if len(boxes) else np.ones(len(xyz), bool), near)
    plan = PlanView.of(room, PANEL, PANEL)
    views: tuple[PlanView | PerspectiveView, ...] = (plan, PerspectiveView.of(near, azimuth, PANEL, PANEL))
    captions = ("from above (x right, y up)", "in perspective")
    for i, (view, caption) in enumerate(zip(views, captions, strict=True)):
        left = MARGIN + i * (PANEL + MARGIN)
        axes = figure.add_axes((left / width, MARGIN / height, PANEL / width, PANEL / height))
        _draw_panel(axes, view, xyz, colours, detections, truth)
        axes.set_title(caption, fontsize=10, loc="left", pad=4)
    _draw_scale(figure.axes[0], plan)
    figure.text(MARGIN / width, 1 - 22 / height, title or _summary(detections, truth), fontsize=13)
    _draw_key(figure, width, height, key if truth is not None else key[:1])
    write_figure(path, figure)


def _summary(detections: ScoredBoxes, truth: LabelledBoxes | None) -> str:
    found = f"{len(detections.scores)} boxes found"
    return found if truth is None else f"{found}, {len(truth.names)} in the ground truth"


def _all_boxes(detections: ScoredBoxes, truth: LabelledBoxes | None) -> np.ndarray:
    parts = [np.asarray(detections.boxes, np.float64).reshape(-1, 6)]
    if truth is not None:
        parts.append(truth.boxes.reshape(-1, 6))
    return np.concatenate(parts)


def _displayed(xyz: np.ndarray, rgb: np.ndarray | None, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points to show and their colours: without the ceiling, at most `MAX_POINTS`."""
    colours = _height_colours(xyz[:, 2]) if rgb is None else np.asarray(rgb, np.uint8)
    if len(xyz) == 0:
        return xyz, colours
    below = xyz[:, 2] < cut_height(xyz[:, 2], boxes)
    xyz, colours = xyz[below], colours[below]
    if len(xyz) > MAX_POINTS:
        some = np.random.default_rng(0).choice(len(xyz), MAX_POINTS, replace=False)
        xyz, colours = xyz[some], colours[some]
    return xyz, colours


def _height_colours(z: np.ndarray) -> np.ndarray:
    from matplotlib import colormaps

    if len(z) == 0:
        return np.empty((0, 3), np.uint8)
    low, high = np.percentile(z, (1, 99))
    shade = np.clip((z - low) / max(high - low, 1e-6), 0, 1)
    return (colormaps["viridis"](shade)[:, :3] * 255).astype(np.uint8)


def _dot_size(view: PlanView | PerspectiveView, xyz: np.ndarray) -> int:
    """Pixels per point that make a surface of points look closed."""
    uv, _ = view.project(xyz)
    shown = uv[(np.isfinite(uv) & (uv >= 0) & (uv < PANEL)).all(axis=1)]
    if len(shown) == 0:
        return 1
    coarse = 8
    cells = len(np.unique((shown // coarse).astype(np.int64) @ (1, PANEL)))
    return int(np.clip(np.ceil(1.4 * np.sqrt(cells * coarse**2 / len(shown))), 2, 9))


def _draw_panel(
    axes: "Axes",
    view: PlanView | PerspectiveView,
    xyz: np.ndarray,
    colours: np.ndarray,
    detections: ScoredBoxes,
    truth: LabelledBoxes | None,
) -> None:
    uv, depth = view.project(xyz)
    picture = paint(uv, depth, colours, PANEL, PANEL, _dot_size(view, xyz), BACKGROUND)
    axes.imshow(picture, extent=(0, PANEL, PANEL, 0), interpolation="nearest")
    if truth is not None:
        _draw_boxes(axes, view, truth.boxes, TRUTH_COLOUR, line_width=1.0)
    _draw_boxes(axes, view, _shown(detections), DETECTION_COLOUR, line_width=1.4)
    _draw_labels(axes, view, detections)
    axes.set_xlim(0, PANEL)
    axes.set_ylim(PANEL, 0)
    axes.set_xticks([])
    axes.set_yticks([])


def _shown(detections: ScoredBoxes) -> np.ndarray:
    """(K, 6) boxes, or (K, 7) turned ones."""
    return np.asarray(getattr(detections, "shown", detections.boxes))


def _draw_boxes(
    axes: "Axes", view: PlanView | PerspectiveView, boxes: np.ndarray, colour: str, line_width: float
) -> None:
    from matplotlib.collections import LineCollection

    lines = [view.project(box_corners(box))[0][EDGES] for box in boxes]
    if lines:
        segments = np.concatenate(lines)
        segments = segments[np.isfinite(segments).all(axis=(1, 2))]
        axes.add_collection(LineCollection(segments, colors=colour, linewidths=line_width))


def _draw_labels(axes: "Axes", view: PlanView | PerspectiveView, detections: ScoredBoxes) -> None:
    """Draws class and score above each box; boxes with high scores come first."""
    order = np.argsort(-np.asarray(detections.scores), kind="stable")
    texts, anchors = [], []
    for i in order:
        corners = view.project(box_corners(np.asarray(_shown(detections)[i])))[0]
        if np.isfinite(corners).all():
            score = detections.scores[i]
            texts.append(detections.names[i] if np.isnan(score) else f"{detections.names[i]} {score:.2f}")
            anchors.append((float(corners[:, 0].mean()), float(corners[:, 1].min())))
    labels = place_labels(texts, anchors, FONT_PX, PANEL, PANEL)
    for label in labels:
        if label.moved:
            middle = label.u + len(label.text) * FONT_PX * 0.3
            axes.plot([label.anchor[0], middle], [label.anchor[1], label.v], color=DETECTION_COLOUR, linewidth=0.6)
    for label in labels:
        axes.text(
            label.u,
            label.v,
            label.text,
            fontsize=FONT_PX * 72 / DPI,
            family="DejaVu Sans",
            color="white",
            va="center_baseline",
            bbox={"facecolor": "#000000", "alpha": 0.6, "edgecolor": "none", "pad": 1.2},
        )


def _draw_scale(axes: "Axes", view: PlanView) -> None:
    """Draws a bar of 1 m, or of 0.1 m if 1 m is too long."""
    metres = 1.0 if view.pixels_per_metre < 0.4 * PANEL else 0.1
    start, end = 16, 16 + metres * view.pixels_per_metre
    axes.plot([start, end], [PANEL - 14] * 2, color="white", linewidth=3, solid_capstyle="butt")
    axes.text(start, PANEL - 20, f"{metres:g} m", color="white", fontsize=9, va="bottom")


def _draw_key(figure: "Figure", width: int, height: int, key: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    colours = (DETECTION_COLOUR, TRUTH_COLOUR)
    handles = [Line2D([], [], color=colours[k], linewidth=2, label=label) for k, label in enumerate(key)]
    figure.legend(
        handles=handles,
        loc="upper right",
        bbox_to_anchor=(1 - MARGIN / width, 1 - 6 / height),
        ncols=len(handles),
        frameon=False,
        fontsize=11,
    )
