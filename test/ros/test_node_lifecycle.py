"""The real node's transitions, with and without a cloud at work, and configurations that fail."""

import threading

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from lifecycle_msgs.msg import Transition
from node_topics import HEADER, Topics
from std_msgs.msg import Header

from dspdet3d_ros.ros import detector_node
from dspdet3d_ros.ros.interface.messages import cloud_message
from dspdet3d_ros.ros.interface.topics import DETECTIONS
from dspdet3d_ros.ros.pipeline.worker import THREAD_NAME


def workers():
    """The number of threads that work on clouds."""
    return sum(thread.name == THREAD_NAME for thread in threading.enumerate())


def test_nothing_is_published_after_deactivation_and_new_clouds_are_after_activation(start, points, gate):
    topics = Topics(bench := start())
    topics.input.publish(cloud_message(Header(frame_id="before"), points))
    gate.wait()
    assert bench.change("deactivate")
    gate.open()
    bench.spin_for(0.3)
    assert topics.received[DETECTIONS] == []
    assert bench.change("activate")
    assert bench.spin_until(topics.input.get_subscription_count)
    gate.open()
    array, _, stats = topics.ask(cloud_message(HEADER, points))
    assert array.header == HEADER
    assert len(topics.received[DETECTIONS]) == 1
    assert (stats.clouds_received, stats.clouds_processed) == (1, 1)


def test_deactivation_waits_for_no_cloud_but_cleanup_frees_everything(start, points, gate):
    topics = Topics(bench := start())
    topics.input.publish(cloud_message(HEADER, points))
    gate.wait()
    assert bench.change("deactivate")
    gate.open()
    assert workers() == 1
    assert bench.change("cleanup")
    assert bench.spin_until(lambda: workers() == 0)
    assert bench.figures()["model"] == "none"
    assert bench.node.subscribers == {}
    assert bench.state() == "unconfigured"


def test_many_cycles_leave_no_thread_behind(start, points):
    topics = Topics(bench := start())
    topics.ask(cloud_message(HEADER, points))
    for _ in range(10):
        for label in ("deactivate", "cleanup", "configure", "activate"):
            assert bench.change(label), label
    assert workers() == 1
    topics = Topics(bench)
    topics.ask(cloud_message(HEADER, points))


def test_shutdown_ends_in_the_final_state(start, points, gate):
    topics = Topics(bench := start())
    topics.input.publish(cloud_message(HEADER, points))
    gate.wait()
    gate.open()
    assert bench.change(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert bench.state() == "finalized"
    assert bench.spin_until(lambda: workers() == 0)


@pytest.mark.parametrize(
    ("parameter", "value", "text"),
    [
        ("model", "no_such_model", "no_such_model"),
        ("checkpoint", "/no/such/file.pth", "/no/such/file.pth"),
        ("device", "cuda:77", "cuda:77"),
        ("device", "abacus", "abacus"),
        ("backend", "abacus", "abacus"),
    ],
)
def test_a_configuration_that_fails_is_explained_and_can_be_repeated(bench, tiny, capfd, parameter, value, text):
    good = {"model": tiny.model, "checkpoint": tiny.checkpoint, "device": "cpu", "backend": "torch"}
    bench.start(**{**good, parameter: value})
    assert not bench.change("configure")
    assert bench.state() == "unconfigured"
    log = capfd.readouterr().err
    assert "cannot be configured" in log
    assert text in log
    assert "Traceback" not in log
    assert bench.set(**{parameter: good[parameter]}).successful
    assert bench.change("configure")
    assert bench.change("activate")


def test_a_class_filter_that_does_not_fit_the_model_fails_the_configuration(bench, tiny, capfd):
    bench.start(model=tiny.model, checkpoint=tiny.checkpoint, device="cpu", class_filter=["teapot"])
    assert bench.state() == "unconfigured"
    assert "it knows cup, book, plant" in capfd.readouterr().err


def test_without_autostart_the_node_waits(bench, tiny):
    bench.start(model=tiny.model, checkpoint=tiny.checkpoint, device="cpu", autostart=False)
    assert bench.state() == "unconfigured"
    assert bench.change("configure")
    assert bench.state() == "inactive"
    assert bench.change("activate")
    assert bench.state() == "active"


def test_an_activation_that_fails_is_explained_and_can_be_repeated(bench, tiny, monkeypatch, capfd):
    bench.start(model=tiny.model, checkpoint=tiny.checkpoint, device="cpu", autostart=False)
    assert bench.change("configure")

    def failing(*_):
        raise RuntimeError("no room for a subscription")

    with monkeypatch.context() as patched:
        patched.setattr(detector_node, "InputSubscription", failing)
        assert not bench.change("activate")
    assert bench.state() == "inactive"
    assert "cannot be activated: RuntimeError: no room for a subscription" in capfd.readouterr().err
    assert bench.change("activate")
    assert "cannot be activated" not in bench.node.status.message
