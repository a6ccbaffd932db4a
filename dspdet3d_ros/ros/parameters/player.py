"""The cloud player's parameters as a table; the player and demo.launch.py follow from it. It needs no ROS."""

from dspdet3d_ros.defaults import BIN_COLUMNS, COLUMNS_HELP, UNIT_HELP, UNITS, UP_HELP, UPS
from dspdet3d_ros.ros.parameters.spec import Spec

PARAMETERS = (
    Spec("cloud", "string", "", "cloud file (docs/bringup.md lists the kinds); empty: the demo scene"),
    Spec("columns", "integer", 0, f"{COLUMNS_HELP}; 0: {BIN_COLUMNS}", low=0, high=1000),
    Spec("up", "string", "z", UP_HELP, choices=UPS),
    Spec("unit", "string", "m", UNIT_HELP, choices=tuple(UNITS)),
    Spec("frame_id", "string", "map", "frame of the cloud, gravity aligned"),
    Spec("period_s", "double", 5.0, "seconds from one cloud to the next", low=0.01, high=86_400),
)
