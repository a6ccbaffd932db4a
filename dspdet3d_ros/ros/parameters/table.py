"""The node's parameters as one table; descriptors, checks, docs/parameters.md and config/detector.yaml follow from it.

This module needs no ROS, so that documents can be made anywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dspdet3d_ros import defaults
from dspdet3d_ros.tracking.tracking_settings import TrackingSettings
from dspdet3d_ros.validation import Range, mismatch

NODE_NAME = "dspdet3d"
# kind -> code in rcl_interfaces/msg/ParameterType
KINDS = {"bool": 1, "integer": 2, "double": 3, "string": 4, "double[]": 8, "string[]": 9}
TYPES = {
    "bool": bool,
    "integer": int,
    "double": float,
    "string": str,
    "double[]": tuple[float, ...],
    "string[]": tuple[str, ...],
}
UNSAFE_PLAIN = ("", "true", "false", "yes", "no", "on", "off", "null", "~")


@dataclass(frozen=True)
class Spec:
    """One parameter.

    Attributes:
        name: as in `ros2 param get`.
        kind: one of `KINDS`.
        default: its value if it is not set; for one that is `from_model`, until a model is loaded.
        description: one sentence.
        live: may change at any time; otherwise only while the node is unconfigured.
        low: least value of a number.
        high: greatest value of a number.
        choices: the only strings allowed; empty: any.
        lengths: the lengths of a list that are allowed; empty: any.
        from_model: it takes the value of the loaded model if it is not set.
    """

    name: str
    kind: str
    default: Any
    description: str
    live: bool = False
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()
    from_model: bool = False

    @property
    def range(self) -> Range | None:
        """The allowed range of a number, or None."""
        return None if self.low is None or self.high is None else Range(self.low, self.high)

    @property
    def allowed(self) -> str:
        """The allowed values as text; empty if every value of the kind is allowed."""
        if self.choices:
            return ", ".join(self.choices)
        if self.lengths:
            return f"{' or '.join(map(str, self.lengths))} numbers"
        return self.range.interval if self.range else ""


PARAMETERS = (
    Spec(
        "model",
        "string",
        defaults.MODEL,
        "name of a model that comes with the package, or path of a model file (yaml)",
    ),
    Spec("checkpoint", "string", "", "path of the weights; empty: those that belong to the model"),
    Spec("device", "string", "auto", "device of the network: auto (CUDA if there is one), cpu, cuda or cuda:N"),
    Spec(
        "backend",
        "string",
        "auto",
        "the engine of the sparse convolutions: auto (native on the CPU, triton on CUDA, torch where these cannot "
        "run), or one by name",
        choices=defaults.BACKENDS,
    ),
    Spec(
        "precision",
        "string",
        "auto",
        "type of the features between convolutions: fp16 (backend triton only) or fp32; auto: fp16 with triton",
        choices=defaults.PRECISIONS,
    ),
    Spec(
        "threads",
        "integer",
        0,
        "number of CPU threads of the network; 0: torch's choice, usually one for each core",
        low=0,
        high=1024,
    ),
    Spec(
        "max_points",
        "integer",
        defaults.MAX_POINTS,
        "a cloud with more points is thinned to this number",
        low=1,
        high=2**31 - 1,
    ),
    Spec(
        "max_voxels",
        "integer",
        defaults.MAX_VOXELS,
        "a cloud that fills more voxels has them thinned to this number",
        low=1,
        high=2**31 - 1,
    ),
    Spec(
        "recenter",
        "bool",
        True,
        "give the network heights above the ground, and positions relative to the middle of the cloud, as in training",
        from_model=True,
    ),
    Spec("autostart", "bool", True, "the node configures and activates itself when it starts"),
    Spec(
        "input_reliability",
        "string",
        "auto",
        "reliability of the subscription; auto: reliable if all publishers of the topic are, else best_effort",
        choices=("auto", "best_effort", "reliable"),
    ),
    Spec(
        "input_durability",
        "string",
        "auto",
        "durability of the subscription; auto: transient_local (takes a latched cloud that was published earlier) if "
        "all publishers of the topic are, else volatile",
        choices=("auto", "volatile", "transient_local"),
    ),
    Spec(
        "target_frame",
        "string",
        "",
        "gravity-aligned frame, such as map, to which clouds are brought (needs tf2); empty: each cloud's own",
    ),
    Spec(
        "tf_timeout_s",
        "double",
        0.2,
        "how long a cloud waits for the transform to target_frame at its stamp",
        low=0,
        high=60,
    ),
    Spec(
        "watchdog_timeout_s",
        "double",
        300.0,
        "the node stops with an error if one cloud takes longer than this; 0: never",
        low=0,
        high=86_400,
    ),
    Spec(
        "pruning_threshold",
        "double",
        0.4,
        "tau: cells less likely than this to hold an object are not refined; more is faster, 0 prunes nothing",
        live=True,
        low=0,
        high=1,
        from_model=True,
    ),
    Spec(
        "score_threshold",
        "double",
        0.35,
        "boxes with a lower class score are dropped",
        live=True,
        low=0,
        high=1,
        from_model=True,
    ),
    Spec(
        "nms_iou_threshold",
        "double",
        0.25,
        "of two boxes that overlap more than this the one with the lower score is dropped",
        live=True,
        low=0,
        high=1,
        from_model=True,
    ),
    Spec(
        "max_detections",
        "integer",
        defaults.MAX_DETECTIONS,
        "only this many best boxes are published",
        live=True,
        low=1,
        high=100_000,
    ),
    Spec(
        "max_cells_per_level",
        "integer",
        defaults.MAX_CELLS_PER_LEVEL,
        "limit of the cells of a level, for every tau; the best cells stay, and ~/output/stats counts the others",
        live=True,
        low=1,
        high=2**31 - 1,
    ),
    Spec(
        "class_filter",
        "string[]",
        (),
        "classes to publish, by the best name of each box; empty: all of the model",
        live=True,
    ),
    Spec(
        "roi_min",
        "double[]",
        (),
        "least x, y and z of the region of interest in the frame of the boxes, metres: points outside are as if they "
        "were not there; empty: no bound",
        live=True,
        lengths=(0, 3),
    ),
    Spec(
        "roi_max",
        "double[]",
        (),
        "greatest x, y and z of the region of interest in the frame of the boxes, metres; empty: no bound",
        live=True,
        lengths=(0, 3),
    ),
    Spec(
        "box_orientation",
        "string",
        "axes",
        "axes: boxes parallel to the axes of their frame; fitted: turned about the vertical as the points of their "
        "objects are",
        live=True,
        choices=defaults.ORIENTATIONS,
    ),
    Spec(
        "tracking",
        "bool",
        False,
        "objects keep their number and name over successive clouds of one fixed frame (docs/tracking.md)",
        live=True,
    ),
    Spec(
        "tracking_births",
        "integer",
        TrackingSettings.births,
        "tracking: an object is published once it was detected in so many clouds",
        live=True,
        low=1,
        high=1000,
    ),
    Spec(
        "tracking_patience",
        "integer",
        TrackingSettings.patience,
        "tracking: an object is forgotten once it was not detected in so many clouds in a row that show its place",
        live=True,
        low=1,
        high=100_000,
    ),
)
BY_NAME = {spec.name: spec for spec in PARAMETERS}


def coerce(spec: Spec, value: Any) -> Any:
    """The value in the type of the parameter if it means the same: 1 for 1.0, "cup" for ["cup"], [""] for [].

    `ros2 param set` and yaml files send a number without a fraction as an integer, and have no way to write an empty
    list of strings: they send an empty list of another type, or a list of one empty string. A plain `y` reaches a node
    as true.
    """
    if spec.kind == "string" and value is True and "y" in spec.choices:
        return "y"
    if spec.kind == "double":
        return coerce_number(value)
    if spec.kind == "double[]" and not isinstance(value, (str, bytes)) and hasattr(value, "__len__"):
        # An empty list comes as one of any type.
        if len(value) == 0 or list(value) == [""]:
            return []
        return [coerce_number(number) for number in value]
    if spec.kind == "string[]":
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, bytes) and hasattr(value, "__len__"):
            return [] if len(value) == 0 or list(value) == [""] else list(value)
    return value


def coerce_number(value: Any) -> Any:
    """An integer as a float; anything else as it is."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def fault(spec: Spec, value: Any) -> str | None:
    """One line that says why a coerced value is not accepted, or None."""
    plain = tuple(value) if isinstance(value, list) else value
    text = mismatch(plain, TYPES[spec.kind], spec.range, spec.choices)
    if not text and spec.lengths and len(plain) not in spec.lengths:
        text = f"expected {spec.allowed}, got {len(plain)}"
    return f"{spec.name}: {text}" if text else None


def unknown_classes(wanted: Any, class_names: Any) -> str | None:
    """Why a class filter cannot be used with a model, in one line that lists what can, or None."""
    unknown = [name for name in wanted if name not in class_names]
    if not unknown:
        return None
    listed = ", ".join(f"'{name}'" for name in unknown)
    return f"class_filter has {listed}, which the model does not know; it knows {', '.join(class_names)}"


def default_text(spec: Spec) -> str:
    """The default as the documents show it."""
    if spec.from_model:
        return "the model's"
    return f"`{_yaml(spec.default, _empty(spec))}`"


def markdown_table(parameters: Sequence[Spec] = PARAMETERS) -> str:
    """The parameters as a Markdown table."""
    rows = ["| Parameter | Type | Default | Allowed | When | Meaning |", "|---|---|---|---|---|---|"]
    for spec in parameters:
        when = "any time" if spec.live else "start-up"
        cells = (f"`{spec.name}`", spec.kind, default_text(spec), spec.allowed, when, spec.description)
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def config_yaml(parameters: Sequence[Spec] = PARAMETERS, node: str = "detector", module: str = "table") -> str:
    """The text of a node's file in config/: every parameter with its default; those of the model are commented out."""
    lines = [
        f"# Parameters of the {node} node; made from dspdet3d_ros/ros/parameters/{module}.py.",
        "/**:",
        "  ros__parameters:",
    ]
    for live, title in ((False, "Start-up: read when the node is configured."), (True, "Live: changes at any time.")):
        lines.append(f"    # {title}")
        for spec in (spec for spec in parameters if spec.live == live):
            allowed = f" ({spec.allowed})" if spec.allowed else ""
            lines.append(f"    # {spec.description}{allowed}")
            if spec.from_model:
                lines.append(f"    # {spec.name}: {_yaml(spec.default)}    # left out: as the model has it")
            else:
                lines.append(f"    {spec.name}: {_yaml(spec.default, _empty(spec))}")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _empty(spec: Spec) -> str:
    """An empty list of the kind of a parameter."""
    return "[]" if spec.kind == "double[]" else '[""]'


def _yaml(value: Any, empty: str = '[""]') -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        # ROS reads `[]` as no value at all, which the node takes as empty too; this form is clear to both.
        return empty if not value else "[" + ", ".join(value) + "]"
    if isinstance(value, str):
        return f'"{value}"' if value in UNSAFE_PLAIN else value
    return str(value)
