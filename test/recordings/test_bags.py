"""Bags are written and read without ROS; what cannot be read of a damaged one is said."""

import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags")

from rosbags.rosbag2 import StoragePlugin, Writer

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.recordings.bags import STORAGES, BagReader, BagWriter
from dspdet3d_ros.recordings.definitions import DEFINITIONS
from dspdet3d_ros.recordings.record_demo import COLOUR, DEPTH, ODOMETRY, TF_STATIC, record_demo
from dspdet3d_ros.recordings.types import MessageTypes, make, typestore

ROOT = Path(__file__).resolve().parents[2]
TOPIC = "/numbers"


def number(value):
    return make("dspdet3d_ros/msg/PruningStats", model=str(value), stage_ms=np.random.default_rng(value).random(2000))


@pytest.fixture(params=STORAGES)
def bag(request, tmp_path):
    with BagWriter(tmp_path / "bag", request.param) as bag:
        for value in range(500):
            bag.write(TOPIC, number(value), value * 10**9)
    return tmp_path / "bag"


def values(path):
    with BagReader(path) as reader:
        found = [int(record.message.model) for record in reader.records([TOPIC])]
        return found, reader.losses


def test_what_is_written_is_read(bag):
    with BagReader(bag) as reader:
        (topic,) = reader.topics
        assert (topic.name, topic.kind, topic.count) == (TOPIC, "dspdet3d_ros/msg/PruningStats", 500)
        record = next(iter(reader.records([TOPIC])))
        assert record.message.stage_ms.tolist() == number(0).stage_ms.tolist()
    assert values(bag) == (list(range(500)), [])


def test_without_metadata_the_files_are_read(bag):
    (bag / "metadata.yaml").unlink()
    found, losses = values(bag)
    assert found == list(range(500))
    assert "one by one" in losses[0]


def test_a_single_file_is_read(bag):
    (file,) = [file for file in bag.iterdir() if file.suffix in (".mcap", ".db3")]
    assert values(file)[0] == list(range(500))


def test_of_a_truncated_bag_the_beginning_is_read_and_the_loss_is_said(bag):
    (file,) = [file for file in bag.iterdir() if file.suffix in (".mcap", ".db3")]
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size * 2 // 3)
    found, losses = values(bag)
    assert any("damaged or truncated" in loss for loss in losses)
    assert "the rest cannot be read" in losses[-1]
    assert found == list(range(len(found)))
    assert len(found) > 250


def test_what_a_killed_recorder_left_in_the_log_of_sqlite_is_read(tmp_path):
    with BagWriter(tmp_path / "bag", "sqlite3") as bag:
        for value in range(5):
            bag.write(TOPIC, number(value), value * 10**9)
    database = sqlite3.connect(tmp_path / "bag" / "bag.db3")
    database.execute("PRAGMA journal_mode = WAL")
    for value in range(5, 8):
        data = bytes(typestore().serialize_cdr(number(value), "dspdet3d_ros/msg/PruningStats"))
        row = (value * 10**9, data)
        database.execute("INSERT INTO messages(topic_id, timestamp, data) SELECT id, ?, ? FROM topics", row)
    database.commit()
    killed = tmp_path / "killed"
    killed.mkdir()
    for name in ("bag.db3", "bag.db3-wal"):
        shutil.copy(tmp_path / "bag" / name, killed)
    database.close()
    for path in (killed, killed / "bag.db3"):
        found, losses = values(path)
        assert found == list(range(8))
        assert all("recorder did not end it" in loss for loss in losses)
    # A damaged log costs its own messages only.
    shutil.copy(tmp_path / "bag" / "bag.db3", killed)
    (killed / "bag.db3-shm").unlink(missing_ok=True)
    (killed / "bag.db3-wal").write_bytes(b"damaged" * 1000)
    assert values(killed)[0][:5] == list(range(5))


def test_messages_that_do_not_fit_their_type_are_counted(tmp_path):
    kind, good = number(1).__msgtype__, {1: number(1), 3: number(3)}
    with Writer(tmp_path / "bag", version=8, storage_plugin=StoragePlugin.MCAP) as bag:
        connection = bag.add_connection(TOPIC, kind, typestore=typestore())
        for time_ns in (1, 2, 3):
            message = good.get(time_ns)
            data = typestore().serialize_cdr(message, kind) if message else b"\0\1\0\0\xff\xff\xff\xff"
            bag.write(connection, time_ns, data)
    found, losses = values(tmp_path / "bag")
    assert found == [1, 3]
    assert len(losses) == 1
    assert losses[0].startswith(TOPIC)
    assert losses[0].endswith(": 1")


@pytest.mark.parametrize("mode", ["FILE", "MESSAGE"])
def test_compressed_bags_are_read(tmp_path, mode):
    from rosbags.rosbag2 import CompressionFormat, CompressionMode

    bag = Writer(tmp_path / "bag", version=8, storage_plugin=StoragePlugin.SQLITE3)
    bag.set_compression(CompressionMode[mode], CompressionFormat.ZSTD)
    with bag:
        connection = bag.add_connection(TOPIC, number(1).__msgtype__, typestore=typestore())
        for value in range(5):
            message = number(value)
            bag.write(connection, value, typestore().serialize_cdr(message, message.__msgtype__))
    assert values(tmp_path / "bag") == (list(range(5)), [])


def test_a_bag_appears_only_when_it_is_complete(tmp_path):
    def fail():
        with BagWriter(tmp_path / "bag") as bag:
            bag.write(TOPIC, number(1), 1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert os.listdir(tmp_path) == []


def test_an_earlier_bag_is_replaced_and_anything_else_is_not(tmp_path):
    for value in (1, 2):
        with BagWriter(tmp_path / "bag") as bag:
            bag.write(TOPIC, number(value), 1)
    assert values(tmp_path / "bag") == ([2], [])
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match="photos: exists and is no bag"):
        BagWriter(tmp_path / "photos")


@pytest.mark.parametrize("make_it", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_text("x")])
def test_what_is_no_bag_is_refused_by_name(tmp_path, make_it):
    path = tmp_path / "walk.db3"
    make_it(path)
    with pytest.raises(InputError, match=r"walk\.db3"):
        BagReader(path)


def test_messages_have_defaults_for_fields_that_are_not_given():
    types = MessageTypes("vision_msgs/msg/Detection3D")
    message = types.Detection3D(id="7")
    assert (message.id, message.results, message.bbox.size.x) == ("7", [], 0.0)
    with pytest.raises(TypeError, match="no field colour"):
        types.Detection3D(colour=1)
    with pytest.raises(AttributeError):
        types.Detection2D()


def test_the_definitions_are_those_that_ros_builds():
    def fields(text):
        lines = (" ".join(line.split("#")[0].split()) for line in text.splitlines())
        return [line for line in lines if line]

    for name, text in DEFINITIONS.items():
        package, _, short = name.split("/")
        folder = ROOT if package == "dspdet3d_ros" else ROOT / "interfaces" / package
        file = folder / "msg" / f"{short}.msg"
        if not file.is_file():
            pytest.skip("the .msg files are not installed")
        assert fields(text) == fields(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("storage", STORAGES)
def test_the_demo_is_recorded_as_a_robot_would_see_it(tmp_path, storage):
    rng = np.random.default_rng(0)
    floor = np.column_stack([rng.uniform(-3, 3, (40000, 2)), np.zeros(40000)])
    record_demo(tmp_path / "demo", floor, np.full((40000, 3), 200, np.uint8), 4, 10.0, storage)
    with BagReader(tmp_path / "demo") as reader:
        assert {topic.name: topic.count for topic in reader.topics} == {
            "/camera/aligned_depth_to_color/camera_info": 4,
            DEPTH: 4,
            "/camera/color/camera_info": 4,
            COLOUR: 4,
            ODOMETRY: 4,
            "/tf": 4,
            TF_STATIC: 1,
        }
        depth = [record.message for record in reader.records([DEPTH])]
    assert [(m.header.stamp.nanosec, m.encoding) for m in depth] == [(n * 10**8, "16UC1") for n in range(4)]
    pixels = depth[0].data.view(np.uint16).reshape(depth[0].height, depth[0].width)
    # The camera is 1.45 m above the floor and looks down by 30 degrees.
    assert pixels[pixels.shape[0] // 2, pixels.shape[1] // 2] == pytest.approx(2900, abs=40)
