"""The arguments of rgbd.launch.py, and those that follow for the two nodes. Imports no `launch`."""

from __future__ import annotations

from collections.abc import Mapping

from dspdet3d_ros.ros.interface import topics
from dspdet3d_ros.ros.parameters import accumulator_table, table
from dspdet3d_ros.ros.parameters.launch_arguments import BOOLEANS, Argument

#: Topics of the drivers' launch files with their default names. Depth of realsense must be aligned to colour there:
#: `align_depth.enable:=true`.
CAMERAS = {
    "realsense": {
        "depth": "/camera/camera/aligned_depth_to_color/image_raw",
        "camera_info": "/camera/camera/aligned_depth_to_color/camera_info",
        "colour": "/camera/camera/color/image_raw",
        "colour_camera_info": "",
    },
    "orbbec": {
        "depth": "/camera/depth/image_raw",
        "camera_info": "/camera/depth/camera_info",
        "colour": "/camera/color/image_raw",
        "colour_camera_info": "/camera/color/camera_info",
    },
    "zed": {
        "depth": "/zed/zed_node/depth/depth_registered",
        "camera_info": "/zed/zed_node/depth/camera_info",
        "colour": "/zed/zed_node/rgb/color/rect/image",
        "colour_camera_info": "",
    },
}
_LEFT_OUT = "(empty: that of the camera)"
ARGUMENTS = (
    Argument("camera", "realsense", "whose topics are taken", tuple(CAMERAS)),
    Argument("depth", "", f"topic of the depth images {_LEFT_OUT}"),
    Argument("camera_info", "", f"topic of the calibration of the depth camera {_LEFT_OUT}"),
    Argument("colour", "", f"topic of the colour images {_LEFT_OUT}"),
    Argument("colour_camera_info", "", f"topic of the calibration of a colour camera of its own {_LEFT_OUT}"),
    Argument("pose_source", "tf", "where the pose of the camera comes from", ("tf", "odometry", "pose")),
    Argument("pose", "", "topic of the poses, for pose_source odometry or pose"),
    Argument("world_frame", "odom", "gravity-aligned frame of map and objects"),
    Argument("namespace", "", "namespace of both nodes"),
    Argument("tracking", "true", "objects keep their number and name", BOOLEANS),
    Argument("use_sim_time", "", "take the time from /clock, as when a bag is played", ("", *BOOLEANS)),
)


def accumulator_values(values: Mapping[str, str]) -> dict[str, str]:
    """Arguments of accumulator.launch.py."""
    camera = CAMERAS[values["camera"]]
    chosen = {name: values[name] or topic for name, topic in camera.items()}
    passed = ("pose_source", "pose", "world_frame", "namespace", "use_sim_time")
    return {"name": accumulator_table.NODE_NAME, **chosen, **{name: values[name] for name in passed}}


def detector_values(values: Mapping[str, str]) -> dict[str, str]:
    """Arguments of detector.launch.py."""
    space = values["namespace"].strip("/")
    prefix = f"/{space}" if space else ""
    return {
        "name": table.NODE_NAME,
        "input": f"{prefix}/{accumulator_table.NODE_NAME}/{topics.CLOUD}",
        "namespace": values["namespace"],
        "tracking": values["tracking"],
        "use_sim_time": values["use_sim_time"],
    }
