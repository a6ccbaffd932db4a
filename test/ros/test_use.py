"""Daily use of the real node: maps that are published once, consumers and publishers that come, change and go."""

import os
import threading

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("torch")

import numpy as np
from builtin_interfaces.msg import Time
from node_process import Process
from node_topics import BEST_EFFORT
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header

from dspdet3d_ros.ros.interface.messages import cloud_message
from dspdet3d_ros.ros.interface.outputs import RESULTS
from dspdet3d_ros.ros.interface.qos import LATCHED
from dspdet3d_ros.ros.interface.topics import DETECTIONS, MARKERS, OBJECT_POINTS, STATS
from dspdet3d_ros.system import process_status

TOPIC = "/dspdet3d/input/points"
RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
PROFILES = {"latched": LATCHED, "reliable": RELIABLE, "best effort": BEST_EFFORT}
# Longer than the node needs to notice a consumer.
QUIET_S = 1.5


def cloud(points, seconds=1):
    return cloud_message(Header(stamp=Time(sec=seconds), frame_id="map"), points)


def stamps(messages):
    return [message.header.stamp.sec for message in messages]


def until_counts(remote, **expected):
    """Waits until the diagnostics have these numbers of clouds."""

    def come():
        return all(remote.values().get(f"clouds_{name}") == str(number) for name, number in expected.items())

    remote.health.clear()
    remote.until(come, f"{expected} in the diagnostics")


def spin(remote, seconds):
    """Gives messages that should not come the time to come."""
    remote.spin_until(lambda: False, seconds)


def until_answered(consumer, publisher, message, seconds):
    """Publishes a cloud with another node's publisher, and waits until the consumer has the answer."""
    (received,) = consumer.received.values()
    consumer.send(message, lambda: seconds in stamps(received), f"answer {seconds}", publisher.input)


@pytest.fixture(scope="module")
def process(tiny):
    with Process(tiny) as process:
        process.wait_for("active: taking clouds")
        yield process


@pytest.fixture
def mapper(process, join, points):
    """Has published one latched map, which the node holds; nobody listens to an output."""
    mapper = join(profile=LATCHED)
    assert mapper.change("deactivate")
    mapper.input.publish(cloud(points))
    assert mapper.change("activate")
    until_counts(mapper, received=1, processed=0, waiting=1)
    return mapper


def test_a_map_that_was_latched_before_the_node_started_is_answered_without_any_setting(tiny, join, points):
    mapper, consumer = join(profile=LATCHED), join(DETECTIONS)
    mapper.input.publish(cloud(points))
    with Process(tiny) as process:
        consumer.until(lambda: consumer.received[DETECTIONS], "the answer to the map")
        line = process.wait_for(f"taking clouds from {TOPIC} (reliable, transient_local, as ")
        assert "offers reliable, transient_local" in line
    assert stamps(consumer.received[DETECTIONS]) == [1]


@pytest.mark.parametrize("output", RESULTS)
def test_a_map_that_was_published_once_waits_for_a_subscriber_of_any_output(mapper, join, output):
    consumer = join(output)
    consumer.until(lambda: consumer.received[output], "the answer to the map")
    message = consumer.received[output][0]
    assert (message.markers[0] if output == MARKERS else message).header.stamp.sec == 1
    until_counts(mapper, received=1, processed=1, waiting=0)
    assert mapper.values()["input_qos"] == "reliable, transient_local"


def test_of_several_maps_the_latest_waits(mapper, join, points):
    for seconds in (2, 3):
        mapper.input.publish(cloud(points, seconds))
        until_counts(mapper, received=seconds)
    until_counts(mapper, received=3, ignored=2, waiting=1)
    consumer = join(STATS)
    consumer.until(lambda: consumer.received[STATS], "the answer to the latest map")
    spin(consumer, QUIET_S)
    assert stamps(consumer.received[STATS]) == [3]
    stats = consumer.received[STATS][0]
    assert (stats.clouds_received, stats.clouds_processed, stats.clouds_dropped) == (3, 1, 0)


def test_a_consumer_that_comes_after_the_answer_gets_the_same_answer_again(mapper, join):
    first = join(DETECTIONS, MARKERS, STATS)
    first.until(lambda: all(first.received.values()), "the answer to the map")
    assert first.received[DETECTIONS][0].detections
    # The node may have known one of its subscriptions later than another one.
    spin(first, QUIET_S)
    before = {name: len(messages) for name, messages in first.received.items()}
    second = join(DETECTIONS, STATS)
    second.until(lambda: all(second.received.values()), "the answer again")
    assert second.received[DETECTIONS][0] == first.received[DETECTIONS][0]
    assert second.received[STATS][0] == first.received[STATS][0]
    spin(first, QUIET_S)
    # ROS cannot publish to one subscriber only, but an output without a new one is left alone.
    more = {name: len(messages) - before[name] for name, messages in first.received.items()}
    assert more == {DETECTIONS: 1, MARKERS: 0, STATS: 1}
    until_counts(mapper, received=1, processed=1)


def test_a_consumer_that_starts_again_gets_the_answer_again(mapper, join):
    for _ in range(3):
        consumer = join(DETECTIONS)
        consumer.until(lambda consumer=consumer: consumer.received[DETECTIONS], "the answer to the map")
        assert stamps(consumer.received[DETECTIONS]) == [1]
        consumer.close()


def test_points_of_objects_are_made_for_a_late_consumer_from_the_cloud_of_the_answer(mapper, join, points):
    first = join(DETECTIONS)
    first.until(lambda: first.received[DETECTIONS], "the answer to the map")
    # Later thresholds do not change an earlier answer.
    assert mapper.set(max_detections=1).successful
    late = join(OBJECT_POINTS)
    late.until(lambda: late.received[OBJECT_POINTS], "the points of its objects")
    assert stamps(late.received[OBJECT_POINTS]) == [1]
    assert mapper.set(max_detections=300).successful
    mapper.input.publish(cloud(points, 2))
    late.until(lambda: len(late.received[OBJECT_POINTS]) == 2, "the points of a new cloud's objects")
    old, new = late.received[OBJECT_POINTS]
    assert old.width > 0
    assert (old.fields, old.data) == (new.fields, new.data)


def test_a_consumer_that_joins_a_stream_gets_no_older_answer_after_a_newer_one(mapper, join, points):
    first = join(STATS)
    first.until(lambda: first.received[STATS], "the answer to the map")
    consumers = []
    for seconds in range(2, 60):
        if seconds % 20 == 0:
            consumers.append(join(STATS))
        mapper.input.publish(cloud(points, seconds))
        first.until(lambda seconds=seconds: stamps(first.received[STATS])[-1] == seconds, f"answer {seconds}")
        for consumer in consumers:
            spin(consumer, 0.0)
    for consumer in (first, *consumers):
        consumer.until(lambda consumer=consumer: stamps(consumer.received[STATS])[-1:] == [59], "the last answer")
        assert stamps(consumer.received[STATS]) == sorted(stamps(consumer.received[STATS]))
    assert sorted(set(stamps(first.received[STATS]))) == list(range(1, 60))


def test_after_deactivation_no_answer_is_published_again_and_no_cloud_waits(mapper, join):
    first = join(DETECTIONS)
    first.until(lambda: first.received[DETECTIONS], "the answer to the map")
    assert mapper.change("deactivate")
    late = join(DETECTIONS)
    spin(late, QUIET_S)
    assert late.received[DETECTIONS] == []
    # The publisher goes: what is answered from now on would be the node's memory.
    mapper.node.destroy_publisher(mapper.input)
    late.until(lambda: late.node.count_publishers(TOPIC) == 0, "the publisher to go")
    assert mapper.change("activate")
    spin(late, QUIET_S)
    assert late.received[DETECTIONS] == []
    until_counts(mapper, received=0, waiting=0)


def test_publishers_of_another_quality_join_and_leave_and_each_cloud_is_answered_once(process, mapper, join, points):
    consumer = join(STATS)
    consumer.until(lambda: consumer.received[STATS], "the answer to the map")
    number = 1

    def ask(publisher):
        """Publishes the next cloud."""
        nonlocal number
        number += 1
        until_answered(consumer, publisher, cloud(points[:500], number), number)

    def ask_until(publisher, text):
        """Publishes clouds, each once, while the node has not written a line, and some more."""
        found = False
        while not found:
            ask(publisher)
            found = process.has(text)
        for _ in range(20):
            ask(publisher)
            spin(consumer, 0.1)

    other = join(profile=BEST_EFFORT)
    ask_until(mapper, f"taking clouds from {TOPIC} (best_effort, volatile, as ")
    ask(other)
    ask(mapper)
    other.close()
    ask_until(mapper, f"taking clouds from {TOPIC} (reliable, transient_local, as ")
    assert stamps(consumer.received[STATS]) == list(range(1, number + 1))
    last = consumer.received[STATS][-1]
    assert (last.clouds_received, last.clouds_processed) == (number, number)


@pytest.mark.parametrize("new", PROFILES)
@pytest.mark.parametrize("old", PROFILES)
def test_a_publisher_that_is_replaced_by_one_of_any_quality_is_heard(process, join, points, old, new):
    consumer, first = join(DETECTIONS), join(profile=PROFILES[old])
    first.connect()
    until_answered(consumer, first, cloud(points, 1), 1)
    first.close()
    second = join(profile=PROFILES[new])
    second.until(second.input.get_subscription_count, "the node's subscription")
    until_answered(consumer, second, cloud(points, 100), 100)


@pytest.mark.parametrize("threads", [1, 16])
def test_the_network_uses_as_many_threads_as_the_parameter_says(launch, join, points, threads):
    # Without the parameter there would be 16 on any machine.
    process = launch(threads=threads, environment={**os.environ, "OMP_NUM_THREADS": "16"})
    process.wait_for(f", {threads} CPU thread")
    asker = join(*RESULTS, profile=RELIABLE)
    asker.connect()
    message = cloud(np.concatenate([points + shift for shift in np.ndindex(8, 8, 1)]).astype(np.float32))
    with Threads(process) as seen:
        # Those of the network exist only while a cloud is computed: several clouds, until all were seen at one time.
        for _ in range(10 if threads == 1 else 1000):
            asker.ask(message)
            if seen.more >= 15:
                break
    # A pool has 15 besides the caller's. The middleware may start a few, too.
    assert (seen.more >= 15) == (threads == 16), seen.more


class Threads:
    """The most threads that a process has at one time, beyond those that it has at the start."""

    def __init__(self, process):
        self._pid, self.more, self._ended = process.process.pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(self._count(),), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    def _count(self):
        return int(process_status(self._pid)["Threads"])

    def _watch(self, idle):
        while not self._ended.wait(0.001):
            self.more = max(self.more, self._count() - idle)
