"""The content of a model file: the network, its classes, its thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from dspdet3d_ros.defaults import MAX_VIEWS
from dspdet3d_ros.errors import InputError, text_of
from dspdet3d_ros.validation import AT_LEAST_ONE, POSITIVE, SHARE, Range, check_fields, settings_of

MODEL_DIR = Path(__file__).parent.parent / "models"

#: The overlaps of this number of boxes with each other take 100 MB.
MAX_NMS_PRE = 5000

_RANGES = {
    **dict.fromkeys(("voxel_size", "point_spacing", "class_sizes"), POSITIVE),
    **dict.fromkeys(("widths", "blocks", "head_width"), AT_LEAST_ONE),
    "nms_pre": Range(1, MAX_NMS_PRE),
    "views": Range(1, MAX_VIEWS),
    **dict.fromkeys(("pruning_threshold", "score_threshold", "nms_iou_threshold"), SHARE),
}


@dataclass(frozen=True)
class ModelConfig:
    """One model. Defaults are the published network (DSPDet3D, section 3 and released configurations).

    Attributes:
        classes: class names, in the order of the classification outputs.
        voxel_size: edge of an input voxel, metres.
        widths: channels of the four levels, fine to coarse.
        blocks: residual blocks of the four backbone stages.
        head_width: channels of the prediction branch.
        pruning_threshold: default τ.
        score_threshold: default least class score.
        nms_iou_threshold: default overlap above which the lower-scored box is dropped.
        views: default number of turned views of a cloud, whose predictions are fused; see `turned_views.View`.
        nms_overlap: "3d" measures the overlap of boxes in space, "plan_view" as the original does in the x-y plane,
            where one of two equal objects above each other is lost.
        postprocessing: "published" keeps the best candidate of each object; "fused" takes the weighted median of the
            candidates that agree (`fused_boxes`), for models with `nms_across_classes` and 3d overlap.
        score_map: slope (above 0) and offset of the logistic map from the network's scores to the reported ones; see
            `ScoreMap`. None reports the network's scores.
        fit_faces: sides and tops of the reported boxes move to the points nearby, for models whose boxes enclose the
            visible part of an object; see `fitted_faces`.
        nms_across_classes: one box per object, instead of one per object and class.
        nms_pre: number of best-scored cells that become boxes at all; at most `MAX_NMS_PRE`. Fused
            post-processing takes all cells that have a vote instead.
        partial_addition: the head adds the backbone's features where both have a cell; off for ablations only
            (docs/ablations.md).
        relative_xy: the network receives the position of a point in its voxel instead of x and y, so that predictions
            depend on height, but not on the horizontal position; the published network receives x and y.
        recenter: the network receives heights above the ground and, unless `relative_xy`, x and y from the middle of
            the cloud. False: it receives coordinates as they are in the frame.
        weights: file of the weights that come with the package, or None.
        point_spacing: largest distance between the points of a surface, metres, at which the model finds most of the
            objects that it finds in dense clouds; None if not measured. Clouds that are less dense are doubted.
        close_model: model that finds more small objects in the cloud of a table or a bin, and is recommended for it;
            None for no recommendation.
        room_model: model that is recommended for rooms, if this one is for single tables and bins; else None.
        class_sizes: shortest and longest edge, metres, of the objects that the model was trained with, by class. For
            each object the longest of its three edges counts. Boxes of very different sizes are doubted; boxes of
            classes that are not listed are not.
    """

    classes: tuple[str, ...]
    voxel_size: float = 0.01
    widths: tuple[int, int, int, int] = (64, 128, 128, 128)
    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    head_width: int = 128
    pruning_threshold: float = 0.3
    score_threshold: float = 0.01
    nms_iou_threshold: float = 0.5
    views: int = 1
    nms_overlap: str = "3d"
    postprocessing: str = "published"
    score_map: tuple[float, float] | None = None
    fit_faces: bool = False
    nms_across_classes: bool = False
    nms_pre: int = 1000
    partial_addition: bool = True
    relative_xy: bool = False
    recenter: bool = True
    weights: str | None = None
    point_spacing: float | None = None
    close_model: str | None = None
    room_model: str | None = None
    class_sizes: Mapping[str, tuple[float, float]] | None = None

    def __post_init__(self) -> None:
        check_fields(self, _RANGES)
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise InputError(f"classes: expected at least one name and no name twice, got {list(self.classes)[:20]}")
        if self.nms_overlap not in ("3d", "plan_view"):
            raise InputError(f"nms_overlap: expected '3d' or 'plan_view', got {self.nms_overlap!r}")
        if self.postprocessing not in ("published", "fused"):
            raise InputError(f"postprocessing: expected 'published' or 'fused', got {self.postprocessing!r}")
        if self.postprocessing == "fused" and not (self.nms_across_classes and self.nms_overlap == "3d"):
            raise InputError("postprocessing: 'fused' needs nms_across_classes: true and nms_overlap: 3d; set them")
        if self.score_map and self.score_map[0] <= 0:
            raise InputError(f"score_map: expected a slope above 0 first, got {list(self.score_map)}")
        for name, (low, high) in (self.class_sizes or {}).items():
            if low > high:
                raise InputError(f"class_sizes: expected the smaller size of '{name}' first, got [{low:g}, {high:g}]")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Builds and checks a configuration.

        Raises:
            InputError: a key is unknown, `classes` is missing or a value cannot be used.
        """
        return settings_of(cls, values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `from_dict` takes them."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}


def _plain(value: Any) -> Any:
    """The value with lists for tuples, as in yaml and checkpoints."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return list(value) if isinstance(value, tuple) else value


def model_names() -> list[str]:
    """Names of the model files that come with the package."""
    return sorted(path.stem for path in MODEL_DIR.glob("*.yaml"))


def read_model_file(model: str) -> dict[str, Any]:
    """The contents of a model file, given by its name in the package or its path.

    Raises:
        InputError: there is no such file or it is not a mapping.
    """
    path = MODEL_DIR / f"{model}.yaml" if model in model_names() else Path(model)
    try:
        values = yaml.safe_load(path.read_text())
    except OSError:
        raise InputError(f"model {model!r}: no such model; name one of {', '.join(model_names())}, or a file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"model file {path}: not readable as yaml: {text_of(error)}; correct it") from error
    if not isinstance(values, dict) or not isinstance(values.get("model"), dict):
        raise InputError(f"model file {path}: expected a mapping with the key 'model'; docs/own_objects.md shows one")
    return values


def load_model_config(model: str) -> ModelConfig:
    """The model part of a model file.

    Raises:
        InputError: see `read_model_file` and `ModelConfig.from_dict`.
    """
    try:
        return ModelConfig.from_dict(read_model_file(model)["model"])
    except InputError as error:
        raise InputError(f"model {model}: {error}") from None
