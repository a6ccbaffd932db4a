"""Bad clouds are reported at once, then rarely, and again after a good one."""

import pytest

from dspdet3d_ros.clouds.remarks import Remark
from dspdet3d_ros.ros.faults import REMARK_FORGOTTEN_S, REPEAT_S, Fault, FaultLog, Level


class Recorder:
    """Takes log lines as a node's logger does, and is a clock that stands until it is moved."""

    def __init__(self):
        self.warnings, self.infos, self.now = [], [], 100.0
        self.warning, self.info = self.warnings.append, self.infos.append
        self.errors = []
        self.error = self.errors.append

    def __call__(self):
        return self.now


def test_a_kind_is_reported_once_until_some_time_has_passed():
    recorder = Recorder()
    log = FaultLog(recorder, recorder)
    for _ in range(10):
        log.report(Fault("sizes", "data has 3 bytes"))
    assert len(recorder.warnings) == 1
    assert "data has 3 bytes" in recorder.warnings[0]
    log.report(Fault("fields", "no field 'x'"))
    assert len(recorder.warnings) == 2
    recorder.now += REPEAT_S
    log.report(Fault("sizes", "data has 3 bytes"))
    assert "sizes, 11 so far" in recorder.warnings[2]
    assert log.counts == {"sizes": 11, "fields": 1}


def test_a_good_cloud_ends_the_silence_and_is_reported_only_after_bad_ones():
    recorder = Recorder()
    log = FaultLog(recorder, recorder)
    log.good()
    assert recorder.infos == []
    log.report(Fault("sizes", "a"))
    log.report(Fault("sizes", "a"))
    log.good()
    log.good()
    assert len(recorder.infos) == 1
    assert "after 2" in recorder.infos[0]
    log.report(Fault("sizes", "a"))
    assert len(recorder.warnings) == 2


ROWS, FRAME = Remark("row_step", "row_step is 0"), Remark("frame_id", "header.frame_id is empty")


def test_a_remark_is_logged_once_and_counted_and_is_no_fault():
    recorder = Recorder()
    log = FaultLog(recorder, recorder)
    for _ in range(20):
        recorder.now += REPEAT_S
        log.remark([ROWS])
        log.good()
    assert recorder.warnings == ["doubtful cloud (row_step, 1 so far): row_step is 0"]
    assert recorder.infos == []
    assert log.present is None
    log.remark([ROWS, FRAME])
    assert len(recorder.warnings) == 2
    assert log.counts == {"row_step": 21, "frame_id": 1}
    assert [(str(remark), remark.level) for remark in log.remarks] == [
        ("doubtful cloud: row_step is 0", Level.WARN),
        ("doubtful cloud: header.frame_id is empty", Level.WARN),
    ]


def test_remarks_on_a_cloud_and_on_its_boxes_come_and_go_apart():
    recorder = Recorder()
    log = FaultLog(recorder, recorder)
    log.remark([FRAME], "message")
    log.remark([Remark("density", "sparse")], "cloud")
    log.remark([Remark("box_sizes", "large")], "boxes")
    assert [remark.kind for remark in log.remarks] == ["frame_id", "density", "box_sizes"]
    recorder.now += 2 * REMARK_FORGOTTEN_S
    log.remark([], "message")
    log.remark([Remark("density", "sparse")], "cloud")
    assert [remark.kind for remark in log.remarks] == ["density", "box_sizes"]
    log.remark([Remark("box_sizes", "large")], "boxes")
    assert len(recorder.warnings) == 3, "what lasts is no news, however far apart the clouds are"
    log.remark([], "cloud")
    log.remark([], "boxes")
    assert log.remarks == ()


def test_a_remark_goes_with_the_next_cloud_without_it_and_is_logged_again_only_after_a_while():
    recorder = Recorder()
    log = FaultLog(recorder, recorder)
    for _ in range(3):
        log.remark([ROWS])
        log.remark([])
        assert log.remarks == ()
    assert len(recorder.warnings) == 1
    recorder.now += REMARK_FORGOTTEN_S
    log.remark([ROWS])
    assert len(recorder.warnings) == 1, "a slow publisher that always sends it"
    log.remark([])
    recorder.now += REMARK_FORGOTTEN_S
    log.remark([])
    log.remark([ROWS])
    assert len(recorder.warnings) == 2
    log.restart()
    assert (log.remarks, log.counts) == ((), {})
    log.remark([ROWS])
    assert len(recorder.warnings) == 3


def test_faults_of_both_severities_are_reported_by_a_real_logger():
    rclpy_logging = pytest.importorskip("rclpy.logging", reason="ROS 2 is not installed")
    log = FaultLog(rclpy_logging.get_logger("faults"))
    for kind in ("sizes", "memory", "fields", "boxes"):
        log.report(Fault(kind, "a"))
    assert log.counts == {"sizes": 1, "memory": 1, "fields": 1, "boxes": 1}
