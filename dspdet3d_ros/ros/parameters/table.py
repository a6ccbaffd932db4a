"""The detector's parameters as one table; docs/parameters.md and config/detector.yaml follow from it.

This module needs no ROS, so that documents can be made anywhere.
"""

from typing import Any

from dspdet3d_ros import defaults
from dspdet3d_ros.ros.parameters.spec import Spec
from dspdet3d_ros.tracking.tracking_settings import TrackingSettings

NODE_NAME = "dspdet3d"
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
        0.55,
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
        "views",
        "integer",
        1,
        "number of views, each turned by a quarter, in which the network computes a cloud: more find more objects and "
        "take as many times as long",
        live=True,
        low=1,
        high=defaults.MAX_VIEWS,
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


def unknown_classes(wanted: Any, class_names: Any) -> str | None:
    """Why a class filter cannot be used with a model, in one line that lists what can, or None."""
    unknown = [name for name in wanted if name not in class_names]
    if not unknown:
        return None
    listed = ", ".join(f"'{name}'" for name in unknown)
    return f"class_filter has {listed}, which the model does not know; it knows {', '.join(class_names)}"
