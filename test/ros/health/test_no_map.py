"""Why the accumulator publishes nothing: one reason for each state."""

import pytest

from dspdet3d_ros.ros.health.no_map import AccumulatorSnapshot, explain
from dspdet3d_ros.ros.health.no_output import PATIENCE_S, InputTopic

DEPTH = InputTopic("/accumulator/input/depth")


def seen(**changes):
    values = {"node": "/accumulator", "state": "active", "waited_s": PATIENCE_S, "input": DEPTH, **changes}
    return AccumulatorSnapshot(**values)


@pytest.mark.parametrize(
    ("snapshot", "kind", "says"),
    [
        (seen(state="unconfigured"), "unconfigured", "`ros2 lifecycle set /accumulator configure`"),
        (seen(state="inactive"), "inactive", "`ros2 lifecycle set /accumulator activate`"),
        (seen(), "publisher", "nobody publishes depth images on /accumulator/input/depth; no other topic"),
        (seen(received=3), "publisher", "any more"),
        (seen(input=InputTopic("/d", others=("/camera/depth",))), "publisher", "images: /camera/depth"),
        (seen(input=InputTopic("/d", incompatible="/cam offers best_effort")), "qos", "/cam offers best_effort"),
        (seen(input=InputTopic("/d", publishers=("/cam",), asks="reliable")), "quiet", "/cam is connected to /d"),
        (seen(waited_s=0, processed=2, points=0, min_observations=3), "slow", "min_observations = 3 frames"),
        (seen(input=InputTopic("/d", publishers=("/cam",)), received=9, processed=9, points=0), "slow", "of 9"),
    ],
)
def test_the_reason_is_named(snapshot, kind, says):
    fault = explain(snapshot)
    assert fault.kind == kind
    assert says in fault.text


@pytest.mark.parametrize(
    "snapshot",
    [
        seen(faulty=True),
        seen(state="activating"),
        seen(waited_s=0.1),
        seen(waited_s=0.1, processed=9, points=100),
        seen(input=InputTopic("/d", publishers=("/cam",)), received=9),
    ],
)
def test_otherwise_there_is_no_reason(snapshot):
    assert explain(snapshot) is None
