"""Results as JSON and tables: one schema everywhere, correct overlaps and counts."""

import json

import numpy as np
import pytest

from dspdet3d_ros.clouds.cloud import LabelledBoxes
from dspdet3d_ros.detector.result import Detections, DetectionStats, LevelCells
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.output_files import write_json
from dspdet3d_ros.tools.viewer.summary import as_json, boxes_table, match_line, overlaps, pruning_table

STATS = DetectionStats(
    pruning_threshold=0.3,
    points_in=100,
    points_used=98,
    voxels=70,
    levels=tuple(LevelCells(level, 50 - 10 * level, 40 - 10 * level, level) for level in (3, 2, 1, 0)),
    stage_ms={"voxelise": 1.5, "backbone": 2.5},
    total_ms=4.0,
    device="cpu",
    backend="torch",
)
BOXES = np.array([[0, 0, 0, 1, 1, 1], [5, 0, 0, 1, 1, 1], [0.5, 0, 0, 1, 1, 1]], np.float32)
FOUND = Detections(BOXES, np.float32([0.9, 0.5, 0.25]), np.int64([0, 1, 1]), ("cup", "book"), STATS)
NOTHING = Detections(BOXES[:0], np.empty(0, np.float32), np.empty(0, np.int64), ("cup", "book"), STATS)
TRUTH = LabelledBoxes(np.float32([[0, 0, 0, 1, 1, 1], [5, 0.2, 0, 1, 1, 1], [9, 9, 9, 1, 1, 1]]), ("cup", "jar", "cap"))


def test_json_has_the_promised_schema():
    values = json.loads(json.dumps(as_json(FOUND, "map", (12, 34))))
    assert list(values) == ["frame_id", "stamp", "pruning_threshold", "doubts", "detections", "stats"]
    assert values["frame_id"] == "map"
    assert values["stamp"] == {"sec": 12, "nanosec": 34}
    assert values["detections"][0] == {
        "class": "cup",
        "score": pytest.approx(0.9),
        "center": [0, 0, 0],
        "size": [1, 1, 1],
    }
    assert values["stats"]["levels"][0] == {"level": 3, "before": 20, "kept": 10, "dropped": 3}
    assert values["stats"]["points_out_of_range"] == 0
    assert values["stats"]["stage_ms"] == {"voxelise": 1.5, "backbone": 2.5}
    assert as_json(NOTHING)["stamp"] is None


def test_json_is_written_with_its_folder_or_refused(tmp_path):
    write_json(tmp_path / "a" / "b.json", as_json(FOUND))
    assert len(json.loads((tmp_path / "a/b.json").read_text())["detections"]) == 3
    with pytest.raises(InputError, match="cannot be written"):
        write_json(tmp_path / "a/b.json/c.json", {})


def test_overlaps_are_those_of_the_volumes():
    np.testing.assert_allclose(overlaps(FOUND, TRUTH), [[1, 0, 0], [0, 0.8 / 1.2, 0], [0.5 / 1.5, 0, 0]], atol=1e-6)


def test_the_table_has_a_row_for_each_box_with_its_best_overlap():
    head, *rows = boxes_table(FOUND, TRUTH).splitlines()
    assert head.split()[:2] == ["class", "score"]
    assert [row.split()[0] for row in rows] == ["cup", "book", "book"]
    assert [row.split()[-2:] for row in rows] == [["1.00", "cup"], ["0.67", "jar"], ["0.33", "cup"]]
    assert "IoU" not in boxes_table(FOUND)
    assert len(boxes_table(NOTHING, TRUTH).splitlines()) == 1


def test_an_object_is_found_once():
    text = match_line(FOUND, TRUTH)
    assert "3 boxes: 2 of 3 objects found at IoU 0.25 (1 of them with the right class), 1 false boxes" in text
    assert match_line(FOUND) == "3 boxes"
    assert match_line(NOTHING, TRUTH).startswith("0 boxes: 0 of 3 objects")
    nothing_there = LabelledBoxes(np.empty((0, 6), np.float32), ())
    assert "0 of 0 objects" in match_line(FOUND, nothing_there)
    assert boxes_table(FOUND, nothing_there).splitlines()[1].endswith("0.00  -")


def test_the_pruning_table_has_the_kept_cells_of_every_level():
    lines = pruning_table([FOUND, NOTHING]).splitlines()
    assert lines[1].split() == ["tau", "level", "3", "level", "2", "level", "1", "level", "0", "ms", "boxes"]
    assert lines[2].split() == ["0.30", "10", "20", "30", "40", "4", "3"]
    assert lines[3].split()[-1] == "0"
