"""The views for RViz and Foxglove show topics that the real node and its player have, with QoS and fields that fit."""

import json
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import numpy as np
from std_msgs.msg import Header

from dspdet3d_ros.detector.object_points import ObjectPoints
from dspdet3d_ros.ros.interface import messages, qos
from dspdet3d_ros.ros.interface.outputs import RESULTS
from dspdet3d_ros.ros.interface.topics import INPUT
from dspdet3d_ros.ros.parameters.launch_arguments import demo_arguments
from dspdet3d_ros.ros.tools.cloud_player import PARAMETERS

ROOT = Path(__file__).resolve().parents[3]
RVIZ = yaml.safe_load((ROOT / "config" / "rviz" / "detections.rviz").read_text(encoding="utf-8"))
FOXGLOVE = json.loads((ROOT / "config" / "foxglove" / "detections.json").read_text(encoding="utf-8"))
TYPE_OF = {
    "rviz_default_plugins/PointCloud2": "PointCloud2",
    "rviz_default_plugins/MarkerArray": "MarkerArray",
    "vision_msgs_rviz_plugins/Detection3DArray": "Detection3DArray",
}
TOPICS = {f"~/{INPUT}": "PointCloud2", **{f"~/{name}": kind.__name__ for name, kind in RESULTS.items()}}
TOPICS = {name.replace("~", "/dspdet3d"): kind for name, kind in TOPICS.items()}


def displays():
    """The displays with a topic, by topic."""
    shown = RVIZ["Visualization Manager"]["Displays"]
    return {display["Topic"]["Value"]: display for display in shown if "Topic" in display}


def panel():
    return FOXGLOVE["configById"]["3D!dspdet3d"]


def fields(colours):
    """Names of the fields of the points of objects."""
    points = ObjectPoints(np.zeros((1, 3)), np.zeros((1, 3), np.uint8) if colours else None, np.zeros(1), np.zeros(1))
    return {field.name for field in messages.object_points(Header(), points).fields}


def test_rviz_shows_the_nodes_topics_by_displays_of_their_types():
    assert {topic: TYPE_OF[display["Class"]] for topic, display in displays().items()} == {
        topic: kind for topic, kind in TOPICS.items() if kind != "PruningStats"
    }
    namespaces = displays()["/dspdet3d/output/markers"]["Namespaces"]
    found = messages.marker_array(Header(), one_detection()).markers
    assert set(namespaces) == {marker.ns for marker in found if marker.action == marker.ADD}
    assert all(namespaces.values())


def one_detection():
    from dspdet3d_ros.detector.result import Detections

    return Detections(np.ones((1, 6), np.float32), np.ones(1), np.zeros(1, np.int64), ("cup",), None)


def test_the_qos_of_every_display_fits_what_the_node_and_the_player_offer():
    offered = {topic: qos.LATCHED if topic.endswith(INPUT) else qos.OUTPUT for topic in TOPICS}
    for topic, display in displays().items():
        asked = display["Topic"]
        assert asked["Reliability Policy"].replace(" ", "_").lower() in ("best_effort", "reliable")
        assert offered[topic].reliability.name == "RELIABLE"
        assert asked["Durability Policy"] == "Volatile" or offered[topic].durability.name == "TRANSIENT_LOCAL"


def test_both_views_have_the_frame_of_the_players_cloud():
    frame = next(spec.default for spec in PARAMETERS if spec.name == "frame_id")
    assert frame == next(argument.default for argument in demo_arguments(ROOT) if argument.name == "frame_id")
    assert RVIZ["Visualization Manager"]["Global Options"]["Fixed Frame"] == frame
    assert panel()["followTf"] == frame


def test_points_of_objects_are_coloured_by_object_and_asked_for_only_when_switched_on():
    cloud, things = (displays()[f"/dspdet3d/{name}"] for name in ("input/points", "output/object_points"))
    assert (cloud["Color Transformer"], cloud["Enabled"], cloud["Value"]) == ("RGB8", True, True)
    assert things["Channel Name"] in fields(colours=False) & fields(colours=True)
    assert (things["Enabled"], things["Value"]) == (False, False)
    foxglove = panel()["topics"]["/dspdet3d/output/object_points"]
    assert (foxglove["colorField"], foxglove["visible"]) == (things["Channel Name"], False)


def test_foxglove_shows_what_rviz_shows():
    # Its 3D panel knows no vision_msgs; the markers are the same boxes.
    assert set(panel()["topics"]) == set(displays()) - {"/dspdet3d/output/detections"}
    for topic, settings in panel()["topics"].items():
        assert settings["visible"] == displays()[topic]["Enabled"]
    assert FOXGLOVE["configById"]["RawMessages!dspdet3d"]["topicPath"] in TOPICS
    assert {FOXGLOVE["layout"]["first"], FOXGLOVE["layout"]["second"]} == set(FOXGLOVE["configById"])
