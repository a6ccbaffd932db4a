"""The policy file allows what the real node has in the ROS graph, and nothing more."""

import os
import xml.etree.ElementTree as ElementTree
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

POLICY = Path(__file__).resolve().parents[2] / "config" / "sros2_policy.xml"


def allowed(kind, verb):
    (profile,) = ElementTree.parse(POLICY).getroot().iter("profile")
    assert (profile.get("ns"), profile.get("node")) == ("/", "dspdet3d")
    names = [entry.text for group in profile.findall(f"{kind}s[@{verb}='ALLOW']") for entry in group.findall(kind)]
    assert len(names) == len(set(names))
    return {name.replace("~/", "/dspdet3d/") if name.startswith("~") else f"/{name}" for name in names}


def test_29_the_policy_names_every_topic_and_service_of_the_node_and_no_other(monkeypatch, request):
    # A domain of its own: what is left of nodes of the same name that earlier tests had in this process is not asked.
    monkeypatch.setenv("ROS_DOMAIN_ID", str(1 + (int(os.environ.get("ROS_DOMAIN_ID", "0")) + 50) % 100))
    bench = request.getfixturevalue("start")()
    graph = bench.peer

    def has(names_and_types):
        return {name for name, _ in names_and_types}

    node = ("dspdet3d", "/")
    published = allowed("topic", "publish")
    if not find_spec("moveit_msgs"):
        published.remove("/dspdet3d/output/collision_objects")
    # The graph becomes known piece by piece.
    bench.spin_until(lambda: has(graph.get_publisher_names_and_types_by_node(*node)) == published)
    assert has(graph.get_publisher_names_and_types_by_node(*node)) == published
    assert has(graph.get_subscriber_names_and_types_by_node(*node)) == allowed("topic", "subscribe")
    assert has(graph.get_service_names_and_types_by_node(*node)) == allowed("service", "reply")
    assert has(graph.get_client_names_and_types_by_node(*node)) == set()
