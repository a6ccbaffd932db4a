"""The no-output diagnosis finds the reason from a snapshot and reports it once; needs no ROS."""

from dataclasses import replace

import pytest

from dspdet3d_ros.detector.result import DetectionSettings, DetectionStats, LevelCells, Shortlist
from dspdet3d_ros.ros.health.no_output import (
    FORGET_S,
    HOLD_S,
    PATIENCE_S,
    PERIOD_S,
    REPEAT_S,
    InputTopic,
    NodeSnapshot,
    NoOutputDiagnosis,
    explain,
)
from dspdet3d_ros.ros.results import Counts, LastResult

TOPIC = InputTopic("/map/cloud", publishers=("/mapper",), asks="best_effort, volatile")
CELLS = (LevelCells(3, 40, 30), LevelCells(2, 90, 50), LevelCells(1, 200, 100), LevelCells(0, 400, 400))
STATS = DetectionStats(0.4, 1000, 900, 500, CELLS, {}, 10.0, "cpu", "torch")
SETTINGS = DetectionSettings(0.4, 0.25, 0.5, class_filter=("cup", "book"))
WAITING = NodeSnapshot("/dspdet3d", "active", input=TOPIC, waited_s=PATIENCE_S)
FED = NodeSnapshot("/dspdet3d", "active", input=TOPIC, wanted=True, counts=Counts(received=3, processed=3))


def answered(boxes=0, **changes):
    return replace(FED, last_result=LastResult(boxes, replace(STATS, **changes), SETTINGS))


@pytest.mark.parametrize(
    ("seen", "kind", "texts"),
    [
        (
            NodeSnapshot("/a/det", "unconfigured"),
            "unconfigured",
            ["unconfigured", "set /a/det configure", "set /a/det activate"],
        ),
        (NodeSnapshot("/a/det", "inactive"), "inactive", ["is inactive: run `ros2 lifecycle set /a/det activate`"]),
        (
            replace(WAITING, input=InputTopic("/map/cloud", others=("/x", "/y"))),
            "publisher",
            ["nobody publishes /map/cloud;", "input:=/x", "/x, /y"],
        ),
        (
            replace(WAITING, input=InputTopic("/map/cloud", others=tuple("abcdefgh"))),
            "publisher",
            ["a, b, c, d, e and 3 more"],
        ),
        (replace(WAITING, input=InputTopic("/map/cloud")), "publisher", ["no other topic has clouds"]),
        (
            replace(FED, waited_s=9, input=InputTopic("/map/cloud")),
            "publisher",
            ["nobody publishes /map/cloud any more"],
        ),
        (
            replace(WAITING, input=InputTopic("/map/cloud", incompatible="I ask, it offers")),
            "qos",
            ["I ask, it offers"],
        ),
        (replace(WAITING, lost=7, input=replace(TOPIC, remedy="fix it")), "lost", ["/mapper", "7 so far: fix it"]),
        (replace(FED, waited_s=9, lost=7), "lost", ["publish reliably, with input_reliability auto or reliable"]),
        (replace(FED, waited_s=9, lost=7, input=replace(TOPIC, reliable=True)), "lost", ["7 so far: the connection"]),
        (WAITING, "quiet", ["/mapper is connected to /map/cloud (best_effort, volatile)", "ros2 topic hz /map/cloud"]),
        (replace(FED, wanted=False), "subscriber", ["nobody subscribes to an output of /dspdet3d"]),
        (
            replace(FED, counts=Counts(received=1), busy_s=9, device="cpu"),
            "slow",
            ["on cpu", "pruning_threshold"],
        ),
        (answered(points_in=0, points_used=0), "empty", ["no points"]),
        (answered(points_used=0), "infinite", ["none of the 1000 points", "finite"]),
        (
            answered(shortlist=Shortlist(50, 0.5, "plant", over_threshold=4)),
            "class",
            ["4 predictions exceed score_threshold 0.25", "class_filter (cup, book)", "'plant'"],
        ),
        (
            answered(levels=(LevelCells(3, 40, 0), *CELLS[1:]), shortlist=Shortlist(50, 0.1, "cup")),
            "pruned",
            ["pruning_threshold 0.4 leaves no cell of level 3", "0.1", "lower pruning_threshold"],
        ),
        (
            answered(shortlist=Shortlist(50, 0.18, "cup")),
            "score",
            ["'cup' with a score of 0.18", "score_threshold is 0.25; lower"],
        ),
        (answered(shortlist=Shortlist(50, 0.01, "cup")), "nothing", ["0.01", "metres", "z up"]),
    ],
)
def test_each_reason_is_named_with_what_to_do(seen, kind, texts):
    reason = explain(seen)
    assert reason.kind == kind
    for text in texts:
        assert text in reason.text
    assert explain(replace(seen, faulty=True)) is None, "a fault is reported elsewhere"


@pytest.mark.parametrize(
    "seen",
    [
        replace(WAITING, waited_s=PATIENCE_S / 2),
        replace(WAITING, state="finalized"),
        replace(FED, waited_s=1000),
        replace(FED, counts=Counts(received=1), busy_s=PATIENCE_S / 2),
        FED,
        answered(boxes=1),
        answered(shortlist=Shortlist(50, 0.5, "cup", over_threshold=2, of_wanted_classes=1)),
    ],
)
def test_where_all_is_well_or_it_is_too_early_there_is_no_reason(seen):
    assert explain(seen) is None


class Recorder:
    """A logger, and a clock that moves by one period at each look."""

    def __init__(self):
        self.lines, self.now = [], 100.0
        self.info = self.warning = self.error = self.lines.append
        self.diagnosis = NoOutputDiagnosis(self, lambda: self.now)

    def look(self, reason, seconds):
        end = self.now + seconds
        while self.now < end:
            self.diagnosis.update(reason)
            self.now += PERIOD_S


def test_a_reason_is_reported_within_five_seconds_and_again_only_after_a_long_while():
    recorder, reason = Recorder(), explain(WAITING)
    recorder.look(reason, 5.0 - PATIENCE_S - PERIOD_S)
    assert recorder.diagnosis.present == reason
    assert len(recorder.lines) == 1
    assert recorder.lines[0].startswith("nothing is published: /mapper")
    recorder.look(reason, REPEAT_S - 5)
    assert len(recorder.lines) == 1
    recorder.look(reason, 10)
    assert len(recorder.lines) == 2


def test_another_reason_is_reported_at_once_and_one_that_comes_and_goes_is_not_reported_each_time():
    recorder, quiet, inactive = Recorder(), explain(WAITING), explain(replace(WAITING, state="inactive"))
    recorder.look(quiet, 3)
    recorder.look(inactive, 3)
    assert len(recorder.lines) == 2
    for _ in range(5):
        recorder.look(None, FORGET_S / 2)
        assert recorder.diagnosis.present is None
        recorder.look(inactive, 3)
    assert len(recorder.lines) == 2
    recorder.look(None, FORGET_S + HOLD_S)
    recorder.look(inactive, 3)
    assert len(recorder.lines) == 3


def test_reasons_that_take_turns_are_reported_once_each():
    recorder = Recorder()
    score, nothing = (explain(answered(shortlist=Shortlist(50, best, "cup"))) for best in (0.06, 0.04))
    assert score.kind != nothing.kind
    for _ in range(5):
        recorder.look(score, 3)
        recorder.look(nothing, 3)
    assert len(recorder.lines) == 2
    for _ in range(int(REPEAT_S / 6)):
        recorder.look(score, 3)
        recorder.look(nothing, 3)
    assert len(recorder.lines) == 4


def test_what_holds_for_a_moment_only_is_not_reported():
    recorder = Recorder()
    for _ in range(5):
        recorder.look(explain(WAITING), HOLD_S)
        recorder.look(None, PERIOD_S)
    assert recorder.lines == []
