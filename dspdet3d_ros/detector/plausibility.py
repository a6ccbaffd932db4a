"""Doubts about a cloud: its unit, its density, its upward axis, and the boxes that were found in it.

A doubtful cloud is used like any other. The doubts say why its boxes may be wrong, and what to set.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dspdet3d_ros.clouds.remarks import Remark
from dspdet3d_ros.clouds.shape import CloudShape, shape_of
from dspdet3d_ros.defaults import UNITS
from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.result import Detections, DetectionStats

#: A cloud of fewer points is not judged.
FEWEST_POINTS = 100
#: Objects stand on tables and shelves, in bins and rooms: such a cloud is larger than this and smaller than a building,
#: metres, and so are the distances between its points.
SMALLEST = 0.1
LARGEST = 150.0
WIDEST_SPACING = 0.15
#: A room is not so high, metres; a hall is, but it is wider than `WIDE`.
HIGH = 7.0
WIDE = 40.0
# Usual figures of a cloud in metres.
_USUAL_EXTENT = (0.2, 60.0)
_USUAL_HEIGHT = 5.0
_USUAL_SPACING = 0.06
_UNIT_NAMES = {"mm": "millimetres", "cm": "centimetres", "ft": "feet"}
#: Shares of flat surfaces are judged from this number of flat patches on.
FEWEST_PATCHES = 50
#: At least this share of the flat surfaces of a scene with tables or a floor is level.
LEAST_LEVEL = 0.12
# More than that, but much less than faces another axis, is doubtful in a cloud that is higher than a room and not so
# wide along that axis: its walls look like floors. The back of a shelf may be larger than its boards.
_ROOM_HEIGHT = 3.2
_WALL_RATIO = 2.0
_MOSTLY = 0.3
#: Boxes are doubtful that are longer or shorter than any object of their class by these factors.
LONGER = 1.3
SHORTER = 0.4
#: As many of them, and as large a share of all boxes, make the cloud doubtful; or one that is longer by `MUCH_LONGER`.
ODD_BOXES = 2
ODD_SHARE = 0.2
MUCH_LONGER = 2.5
#: So many boxes with fewer points each than this, or with larger faces than all surfaces together, are not objects.
MANY_BOXES = 20
FEWEST_POINTS_A_BOX = 50
#: A cloud is one of small objects seen from near if it is not wider than this, its points are not further apart, and at
#: least so many boxes, and so large a share of them, have no edge longer than `SMALL_BOX`, metres.
CLOSE_EXTENT = 2.0
CLOSE_SPACING = 0.008
SMALL_BOX = 0.11
SMALL_BOXES = 2
SMALL_SHARE = 0.4
#: A cloud that is wider than this is one of a room, metres.
ROOM_EXTENT = 3.0
#: The model for rooms takes points that are so many times as far apart.
ROOM_SPACING = 2
_MAPS = "RTAB-Map: Grid/CellSize, octomap: resolution, nvblox: voxel_size"


class Plausibility:
    """Doubts about one cloud, found within milliseconds for any size.

    Args:
        xyz: (N, 3) the cloud, metres, z up.
        config: the model that looks for objects in it.

    Attributes:
        of_cloud: why the cloud may not be what the model expects: at most one remark of each of the kinds "unit",
            "density", "up_axis" and "room".
    """

    def __init__(self, xyz: np.ndarray, config: ModelConfig) -> None:
        self._points, self._config = len(xyz), config
        self._shape = shape_of(xyz) if len(xyz) >= FEWEST_POINTS else None
        self.of_cloud = _remarks(_cloud_texts(self._shape, config) if self._shape else {})

    def of_boxes(self, detections: Detections) -> tuple[Remark, ...]:
        """Why boxes in the cloud may be wrong or missing: remarks of the kinds "box_sizes", "box_count" and "close".

        There are none if the unit of the cloud is doubtful, since wrong boxes follow from it. The sizes and the number
        of boxes are judged if the model file gives the sizes of objects.
        """
        if self._shape is None or any(remark.kind == "unit" for remark in self.of_cloud):
            return ()
        texts = {}
        if self._config.class_sizes:
            texts["box_sizes"] = _sizes(detections, self._config.class_sizes)
            texts["box_count"] = _count(self._shape, self._points, detections)
        return _remarks({**texts, "close": _close(self._shape, detections, self._config.close_model)})


def range_remarks(stats: DetectionStats) -> tuple[Remark, ...]:
    """Remarks on points beyond the range of voxels."""
    if not stats.points_out_of_range:
        return ()
    return (
        Remark(
            "range",
            f"{stats.points_out_of_range} points are left out: they are kilometres away from most others, further than "
            "voxels reach; remove such points in the publisher. points_out_of_range in ~/output/stats counts them",
        ),
    )


def _cloud_texts(shape: CloudShape, config: ModelConfig) -> dict[str, str]:
    wrong_unit = _unit(shape)
    if wrong_unit:
        # Other doubts follow from it.
        return {"unit": wrong_unit}
    return {
        "unit": _height(shape),
        "density": _density(shape, config),
        "up_axis": _up(shape),
        "room": _room(shape, config.room_model),
    }


def _remarks(texts: Mapping[str, str]) -> tuple[Remark, ...]:
    return tuple(Remark(kind, text) for kind, text in texts.items() if text)


def _unit(shape: CloudShape) -> str:
    """Why the coordinates cannot be metres; empty if they can."""
    widest = float(shape.extent.max())
    if widest < SMALLEST:
        return f"the cloud spans only {_spanned(shape.extent)}: its coordinates are not metres; convert them"
    if widest < LARGEST and shape.spacing < WIDEST_SPACING:
        return ""
    seen = f"the cloud spans {_spanned(shape.extent)}, with points about {_length(shape.spacing)} apart"
    units = _units(shape, _USUAL_SPACING)
    if not units and widest > LARGEST:
        units = _units(shape, np.inf)
    if not units:
        return f"{seen}: expected a room or a table in metres, with points some millimetres apart; convert or crop it"
    meant = " or ".join(f"{_UNIT_NAMES[unit]} ({_spanned(shape.extent * UNITS[unit])})" for unit in units)
    return f"{seen}: are its coordinates {meant}? Publish metres, or read the file with --unit {' or '.join(units)}"


def _height(shape: CloudShape) -> str:
    """Why the cloud is too high for a room; empty if it is not."""
    if shape.extent[2] < HIGH or shape.extent[:2].max() > WIDE or not _usual(shape, UNITS["ft"], _USUAL_SPACING):
        return ""
    return (
        f"the cloud spans {_spanned(shape.extent)}, too high for a room: are its coordinates feet "
        f"({_spanned(shape.extent * UNITS['ft'])}), or is z not up? Publish metres with z up, or read the file with "
        "--unit ft or --up"
    )


def _units(shape: CloudShape, widest_spacing: float) -> list[str]:
    """The units in which the cloud would have a usual size."""
    return [unit for unit in _UNIT_NAMES if _usual(shape, UNITS[unit], widest_spacing)]


def _usual(shape: CloudShape, metres: float, widest_spacing: float) -> bool:
    """Whether the cloud would have a usual size in a unit of this many metres."""
    extent, (least, most) = shape.extent * metres, _USUAL_EXTENT
    return bool(
        least <= extent.max() <= most and extent[2] <= _USUAL_HEIGHT and shape.spacing * metres <= widest_spacing
    )


def _density(shape: CloudShape, config: ModelConfig) -> str:
    """Whether the points are close enough for the model."""
    point_spacing = config.point_spacing
    if point_spacing is None or shape.spacing <= point_spacing:
        return ""
    seen = f"the points are about {_length(shape.spacing)} apart"
    if shape.lattice:
        seen = f"the points are the centres of voxels of {_length(shape.lattice)}"
    text = (
        f"{seen}, but the model needs {_length(point_spacing)} or less: it misses small objects and gives wrong "
        f"names. Build the map with voxels of 1 to 2 cm ({_MAPS}), or scan for longer"
    )
    if config.room_model and shape.spacing <= ROOM_SPACING * point_spacing:
        text += f", or set model to {config.room_model}"
    if shape.extent[2] * UNITS["ft"] > 1 and shape.spacing * UNITS["ft"] <= point_spacing:
        text += f". If the coordinates are feet ({_spanned(shape.extent * UNITS['ft'])}), use --unit ft"
    return text


def _room(shape: CloudShape, room_model: str | None) -> str:
    """Whether the cloud is too wide for a model of single tables and bins."""
    if not room_model or shape.extent[:2].max() <= ROOM_EXTENT:
        return ""
    return (
        f"the cloud spans {_spanned(shape.extent)}, a room: this model is for tables and bins. It takes longer and "
        f"reports more false boxes; set model to {room_model}, or crop the cloud"
    )


def _close(shape: CloudShape, detections: Detections, close_model: str | None) -> str:
    """Whether a model of small objects that are seen from near finds more."""
    if not close_model or shape.extent[:2].max() > CLOSE_EXTENT or shape.spacing > CLOSE_SPACING:
        return ""
    small = int((detections.boxes[:, 3:] <= SMALL_BOX).all(1).sum())
    if small < SMALL_BOXES or small < SMALL_SHARE * len(detections):
        return ""
    return (
        f"{small} of {len(detections)} boxes have no edge longer than {_length(SMALL_BOX)}, and the points are only "
        f"about {_length(shape.spacing)} apart: objects are small and near; set model to {close_model}, which finds "
        "more of them, with more false boxes"
    )


def _up(shape: CloudShape) -> str:
    """Whether enough surfaces are level."""
    if shape.flat_patches < FEWEST_PATCHES:
        return ""
    level, other = float(shape.facing[2]), int(shape.facing[:2].argmax())
    facing = float(shape.facing[other])
    lying = shape.extent[2] > _ROOM_HEIGHT > shape.extent[other] and facing > _WALL_RATIO * level
    if level >= LEAST_LEVEL and not lying:
        return ""
    seen = f"only {level:.0%} of the flat surfaces are level"
    remedy = "set target_frame to a frame with z up, such as map, or rotate the cloud"
    if facing > _MOSTLY:
        axis = "xy"[other]
        return (
            f"{seen}, {facing:.0%} face {axis} and not z: is {axis} or -{axis} up? For a message, {remedy}; "
            f"for a file, give --up {axis} or --up -{axis}"
        )
    if shape.oblique[2] > _MOSTLY:
        return f"{seen}, {shape.oblique[2]:.0%} are tilted: is this the frame of a tilted camera? {remedy.capitalize()}"
    return f"{seen}: there is no table or floor for objects to stand on; {remedy}"


def _sizes(detections: Detections, class_sizes: Mapping[str, tuple[float, float]]) -> str:
    """Whether the boxes are as large as the objects of their classes."""
    sized = [(i, name) for i, name in enumerate(detections.names) if name in class_sizes]
    if not sized:
        return ""
    longest = np.array([detections.boxes[i, 3:].max() for i, _ in sized])
    low, high = np.array([class_sizes[name] for _, name in sized]).T
    times = np.maximum(longest / (high * LONGER), low * SHORTER / longest)
    odd = int((times > 1).sum())
    enough = odd >= ODD_BOXES and odd >= ODD_SHARE * len(sized)
    if not enough and (longest / high).max() <= MUCH_LONGER:
        return ""
    worst = int(times.argmax())
    name = sized[worst][1]
    return (
        f"{odd} of {len(sized)} boxes have sizes far from those of their classes, such as a '{name}' of "
        f"{_length(longest[worst])} (it was trained with {_length(low[worst])} to {_length(high[worst])}): is "
        "the cloud in metres, z up? For a file, see --unit and --up"
    )


def _count(shape: CloudShape, points: int, detections: Detections) -> str:
    """Whether the number of boxes is plausible for the cloud."""
    boxes = len(detections)
    if boxes < MANY_BOXES:
        return ""
    edges = np.sort(detections.boxes[:, 3:], axis=1)
    faces = float((edges[:, 1] * edges[:, 2]).sum())
    if points < boxes * FEWEST_POINTS_A_BOX:
        seen = f"{boxes} boxes were found in {points:,} points"
    elif faces > shape.area:
        seen = f"{boxes} boxes, whose largest faces have {faces:.1f} m², were found on {shape.area:.1f} m² of surfaces"
    else:
        return ""
    return f"{seen}: most of them are no objects. Is the cloud in metres, z up? For a file, see --unit and --up"


def _spanned(extent: np.ndarray) -> str:
    """Three lengths with one unit: 4.0 x 4.1 x 1.4 m."""
    widest = float(extent.max())
    if widest < 1e-3:
        return " x ".join(f"{value:.2g}" for value in extent) + " m"
    scale, unit = (1.0, "m") if widest >= SMALLEST else (1000.0, "mm")
    return " x ".join(_number_text(value * scale) for value in extent) + f" {unit}"


def _number_text(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _length(metres: float) -> str:
    if metres >= 1:
        return f"{_number_text(metres)} m"
    if metres >= 0.1:
        return f"{100 * metres:.0f} cm"
    return f"{100 * metres:.2g} cm" if metres >= 0.01 else f"{1000 * metres:.2g} mm"
