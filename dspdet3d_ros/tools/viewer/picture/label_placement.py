"""Placement of labels so that they do not cover each other."""

from collections.abc import Sequence
from dataclasses import dataclass

CHARACTER_WIDTH = 0.62
LINE_HEIGHT = 1.5
RINGS = 7


@dataclass(frozen=True)
class PlacedLabel:
    """A label and its position.

    Attributes:
        text: the label.
        u: pixel column of its left end.
        v: pixel row of its middle.
        anchor: pixel coordinates of the labelled box.
        moved: whether it is so far from its anchor that a line should join the two.
    """

    text: str
    u: float
    v: float
    anchor: tuple[float, float]
    moved: bool


def place_labels(
    texts: Sequence[str], anchors: Sequence[tuple[float, float]], font_px: float, width: int, height: int
) -> list[PlacedLabel]:
    """Places each label next to its anchor, or as near as earlier labels and the borders allow.

    A label without free space within a few lines of its anchor is dropped.

    Args:
        texts: the labels, the most important first.
        anchors: pixel coordinates of the labelled boxes.
        font_px: height of the letters.
        width: of the picture in pixels.
        height: of the picture in pixels.
    """
    taken: list[tuple[float, float, float, float]] = []
    placed = []
    for text, anchor in zip(texts, anchors, strict=True):
        size = (len(text) * font_px * CHARACTER_WIDTH, font_px * LINE_HEIGHT)
        for ring, left, top in _candidates(anchor, size):
            area = (left, top, left + size[0], top + size[1])
            if area[0] < 0 or area[1] < 0 or area[2] > width or area[3] > height:
                continue
            if not any(_overlap(area, other) for other in taken):
                taken.append(area)
                placed.append(PlacedLabel(text, left, top + size[1] / 2, anchor, moved=ring > 0))
                break
    return placed


def _candidates(anchor: tuple[float, float], size: tuple[float, float]) -> list[tuple[int, float, float]]:
    """(ring, left, top) of the positions to try, near ones first."""
    (u, v), (width, height) = anchor, size
    positions = []
    for ring in range(RINGS):
        gap = 3 + ring * height
        for left, top in (
            (u - width / 2, v - gap - height),
            (u + gap, v - height / 2),
            (u - gap - width, v - height / 2),
            (u - width / 2, v + gap),
            (u + gap, v - gap - height),
            (u - gap - width, v - gap - height),
            (u + gap, v + gap),
            (u - gap - width, v + gap),
        ):
            positions.append((ring, left, top))
    return positions


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
