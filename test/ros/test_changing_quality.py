"""A cloud that is published again while the node's subscription changes its quality of service."""

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("torch")

from node_topics import BEST_EFFORT
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from dspdet3d_ros.ros.interface.messages import cloud_message
from dspdet3d_ros.ros.interface.qos import LATCHED
from dspdet3d_ros.ros.interface.topics import STATS

TOPIC = "/dspdet3d/input/points"


@pytest.fixture
def process(launch):
    """An active node that knows no publisher yet."""
    process = launch()
    process.wait_for(f"active: taking clouds from {TOPIC} (best_effort, volatile, as there is no publisher yet)")
    return process


@pytest.fixture
def unheard(process, join):
    """A node of the test that will publish, and a consumer of statistics that the active node knows."""
    mapper, consumer = join(profile=None), join(STATS, profile=None)
    consumer.be_known()
    return mapper, consumer


def answers_of(consumer, message):
    """The number of answers to clouds of so many points."""
    return sum(stats.points_in == message.width for stats in consumer.received[STATS])


def test_a_cloud_that_its_publisher_sends_again_is_answered_again_while_the_quality_changes(process, unheard, points):
    mapper, consumer = unheard
    publisher = mapper.node.create_publisher(PointCloud2, TOPIC, LATCHED)
    mapper.until(publisher.get_subscription_count, "the node's subscription")
    # The first cloud may be lost: the node may not know its publisher yet.
    first, message = (cloud_message(Header(frame_id="map"), points[:number]) for number in (400, 500))
    consumer.send(first, lambda: answers_of(consumer, first), "the first answer", publisher)
    number, more = 0, 20
    while more:
        publisher.publish(message)
        number += 1
        consumer.until(lambda number=number: answers_of(consumer, message) >= number, f"answer {number}")
        consumer.spin_until(lambda: False, 0.1)
        more -= more < 20 or process.has(f"taking clouds from {TOPIC} (reliable, transient_local, as ")
    assert answers_of(consumer, message) == number


def test_a_cloud_that_another_publisher_sends_again_is_answered_after_the_quality_has_changed(process, unheard, points):
    mapper, consumer = unheard
    message = cloud_message(Header(frame_id="map"), points[:500])
    old = mapper.node.create_publisher(PointCloud2, TOPIC, BEST_EFFORT)
    consumer.send(message, lambda: answers_of(consumer, message), "the answer", old)
    mapper.node.destroy_publisher(old)
    # It is latched like the one before, but nothing has been published on it yet.
    new = mapper.node.create_publisher(PointCloud2, TOPIC, LATCHED)
    mapper.until(lambda: process.has(f"taking clouds from {TOPIC} (reliable, transient_local, as "), "the new quality")
    before = answers_of(consumer, message)
    consumer.send(message, lambda: answers_of(consumer, message) > before, "the answer while both subscribe", new)
    mapper.until(lambda: new.get_subscription_count() == 1, "the end of the earlier subscription")
    before = answers_of(consumer, message)
    new.publish(message)
    consumer.until(lambda: answers_of(consumer, message) > before, "the answer after it")
