"""Figures that matplotlib draws, without a display, into PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dspdet3d_ros.errors import missing_package
from dspdet3d_ros.output import writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width_in: float, height_in: float, dpi: float, **options: Any) -> Figure:
    """An empty figure of that size; `options` go to matplotlib's Figure.

    Raises:
        InputError: matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_package("drawing", "matplotlib") from None
    return Figure(figsize=(width_in, height_in), dpi=dpi, **options)


def write_figure(path: str | Path, figure: Figure) -> None:
    """Writes a PNG; its folder is made.

    Raises:
        InputError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with writing(path):
        FigureCanvasAgg(figure).print_png(str(path))
