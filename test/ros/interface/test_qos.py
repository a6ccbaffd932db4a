"""The policies of the subscription follow those of the publishers, or are fixed."""

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from dspdet3d_ros.ros.interface.qos import AUTO, described, input_qos


def offer(reliability, durability):
    return QoSProfile(
        depth=5,
        reliability=ReliabilityPolicy[reliability.upper()],
        durability=DurabilityPolicy[durability.upper()],
    )


MAP, STREAM = offer("reliable", "transient_local"), offer("reliable", "volatile")
CAMERA, LATCHED_CAMERA = offer("best_effort", "volatile"), offer("best_effort", "transient_local")
UNKNOWN = offer("unknown", "unknown")


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        ([], "best_effort, volatile"),
        ([MAP], "reliable, transient_local"),
        ([MAP, MAP], "reliable, transient_local"),
        ([STREAM], "reliable, volatile"),
        ([MAP, STREAM], "reliable, volatile"),
        ([MAP, CAMERA], "best_effort, volatile"),
        ([MAP, LATCHED_CAMERA], "best_effort, transient_local"),
        ([MAP, UNKNOWN], "best_effort, volatile"),
    ],
)
def test_each_policy_is_the_one_that_all_publishers_offer(offered, expected):
    assert described(input_qos(AUTO, AUTO, offered)) == expected
    assert described(input_qos("reliable", "transient_local", offered)) == "reliable, transient_local"
    assert described(input_qos("best_effort", "volatile", offered)) == "best_effort, volatile"


def test_one_policy_may_be_fixed():
    assert described(input_qos("best_effort", AUTO, [MAP])) == "best_effort, transient_local"
    assert described(input_qos(AUTO, "volatile", [MAP])) == "reliable, volatile"
