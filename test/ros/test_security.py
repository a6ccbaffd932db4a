"""The policy file allows what the real node has in the ROS graph, and nothing more."""

import os
import xml.etree.ElementTree as ElementTree
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

POLICY = Path(__file__).resolve().parents[2] / "config" / "sros2_policy.xml"


def allowed(node, kind, verb):
    """Full names of the topics or services that the profile of a node allows."""
    (profile,) = (one for one in ElementTree.parse(POLICY).getroot().iter("profile") if one.get("node") == node)
    assert profile.get("ns") == "/"
    names = [entry.text for group in profile.findall(f"{kind}s[@{verb}='ALLOW']") for entry in group.findall(kind)]
    assert len(names) == len(set(names))
    return {name.replace("~/", f"/{node}/") if name.startswith("~") else f"/{name}" for name in names}


def names(names_and_types):
    return {name for name, _ in names_and_types}


def test_each_node_has_an_enclave_of_its_own():
    enclaves = ElementTree.parse(POLICY).getroot().iter("enclave")
    assert {enclave.get("path"): [one.get("node") for one in enclave.iter("profile")] for enclave in enclaves} == {
        "/dspdet3d": ["dspdet3d"],
        "/accumulator": ["accumulator"],
    }


def test_29_the_policy_names_every_topic_and_service_of_the_node_and_no_other(monkeypatch, request):
    # A domain of its own: what is left of nodes of the same name that earlier tests had in this process is not asked.
    monkeypatch.setenv("ROS_DOMAIN_ID", str(1 + (int(os.environ.get("ROS_DOMAIN_ID", "0")) + 50) % 100))
    bench = request.getfixturevalue("start")()
    graph = bench.peer

    node = ("dspdet3d", "/")
    published = allowed(node[0], "topic", "publish")
    if not find_spec("moveit_msgs"):
        published.remove("/dspdet3d/output/collision_objects")
    # The graph becomes known piece by piece.
    for ask, expected in (
        (graph.get_publisher_names_and_types_by_node, published),
        (graph.get_subscriber_names_and_types_by_node, allowed(node[0], "topic", "subscribe")),
        (graph.get_service_names_and_types_by_node, allowed(node[0], "service", "reply")),
    ):
        bench.spin_until(lambda ask=ask, expected=expected: names(ask(*node)) == expected)
        assert names(ask(*node)) == expected
    assert names(graph.get_client_names_and_types_by_node(*node)) == set()


@pytest.mark.parametrize("source", ["odometry", "tf"])
def test_29_the_policy_names_every_topic_and_service_of_the_accumulator_and_no_other(source):
    pytest.importorskip("nav_msgs", reason="nav_msgs and std_srvs are not installed")
    from node_process import ACCUMULATOR, Process, Remote

    of_tf = {"/tf", "/tf_static"}
    subscribed = allowed("accumulator", "topic", "subscribe")
    assert of_tf < subscribed
    if source == "tf":
        pytest.importorskip("tf2_ros", reason="tf2 is not installed")
        subscribed.remove("/accumulator/input/pose")
    elif not find_spec("tf2_ros"):
        subscribed -= of_tf
    with (
        Process(None, ACCUMULATOR, pose_source=source) as process,
        Remote("/accumulator", outputs=(), profile=None) as remote,
    ):
        process.wait_for("active: taking depth images")
        graph, node = remote.node, ("accumulator", "/")

        def services():
            return names(graph.get_service_names_and_types_by_node(*node))

        def complete():
            # A node that is not known yet may not be asked about.
            if node not in graph.get_node_names_and_namespaces():
                return False
            published = names(graph.get_publisher_names_and_types_by_node(*node))
            known = names(graph.get_subscriber_names_and_types_by_node(*node))
            expected = allowed(node[0], "topic", "publish"), subscribed, allowed(node[0], "service", "reply")
            return (published, known, services()) == expected

        remote.until(complete, "exactly the topics and services of the policy")
        assert names(graph.get_client_names_and_types_by_node(*node)) == set()
