"""Bags to results: what is detected, what is written, what is said about what cannot be used."""

import shutil
import sqlite3
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rosbags")

from replaying import WIDE, lines_of, model, run

from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.defaults import DEMO_CLOUD
from dspdet3d_ros.detector.plausibility import Plausibility
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.message_contents import TYPES, MessageContents
from dspdet3d_ros.recordings.bags import STORAGES, BagReader, BagWriter, Topic
from dspdet3d_ros.recordings.record_demo import COLOUR, DEPTH, DEPTH_INFO, ODOMETRY, TF, TF_STATIC
from dspdet3d_ros.recordings.types import MessageTypes, make
from dspdet3d_ros.tools.replay.bag_inputs import choose_inputs

FRAMES = 16


def changed(bag, path, change, storage="mcap"):
    """A copy of a bag, each of whose messages `change` may change or leave out (None)."""
    with BagReader(bag) as reader, BagWriter(path, storage) as writer:
        for record in reader.records([topic.name for topic in reader.topics]):
            message = change(record)
            if message is not None:
                writer.write(record.topic, message, record.time_ns)
    return path


def test_objects_are_detected_in_the_map_of_the_images(replayed):
    folder, summary = replayed
    assert summary["frames"] == FRAMES
    assert summary["refused"] == {}
    assert summary["clouds"] == len(lines_of(folder)) == 5
    last = lines_of(folder)[-1]
    assert last["frame_id"] == "odom"
    assert last["stamp"] == {"sec": 1_700_000_001, "nanosec": 875_000_000}
    assert last["detections"]
    assert len({item["id"] for item in last["detections"]}) == len(last["detections"])


def test_the_results_are_a_bag_with_the_stamps_and_frames_of_the_input(replayed):
    folder, summary = replayed
    mcap_reader = pytest.importorskip("mcap.reader")
    counts, stamps = {}, []
    with (folder / "results" / "results.mcap").open("rb") as stream:
        for _, channel, message in mcap_reader.make_reader(stream).iter_messages():
            counts[channel.topic] = counts.get(channel.topic, 0) + 1
            if channel.topic == "/dspdet3d/output/detections":
                # CDR: four bytes of the encoding, seconds, nanoseconds.
                stamps.append(tuple(np.frombuffer(message.data, np.int32, 2, 4)))
    clouds = summary["clouds"]
    assert counts == {
        "/dspdet3d/output/detections": clouds,
        "/dspdet3d/output/markers": clouds,
        "/dspdet3d/output/stats": clouds,
        "/dspdet3d/output/label_info": 1,
        "/accumulator/output/points": clouds,
        TF: FRAMES,
        TF_STATIC: 1,
    }
    assert stamps == [(line["stamp"]["sec"], line["stamp"]["nanosec"]) for line in lines_of(folder)]


def test_ros_reads_the_results(replayed):
    pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    from rclpy.serialization import deserialize_message
    from vision_msgs.msg import Detection3DArray

    mcap_reader = pytest.importorskip("mcap.reader")
    with (replayed[0] / "results" / "results.mcap").open("rb") as stream:
        messages = mcap_reader.make_reader(stream).iter_messages(topics=["/dspdet3d/output/detections"])
        arrays = [deserialize_message(message.data, Detection3DArray) for _, _, message in messages]
    last = lines_of(replayed[0])[-1]
    assert arrays[-1].header.frame_id == "odom"
    assert [d.id for d in arrays[-1].detections] == [str(item["id"]) for item in last["detections"]]
    assert arrays[-1].detections[0].results[0].hypothesis.class_id == last["detections"][0]["class"]


def test_a_run_that_was_stopped_continues_with_what_it_has_computed(walk, replayed, tmp_path):
    shutil.copytree(replayed[0], tmp_path / "walk")
    computed = tmp_path / "walk" / "computed.jsonl"
    lines = computed.read_text().splitlines(keepends=True)
    # As after a crash: three clouds are done, and half a line is written.
    computed.write_text("".join(lines[:4]) + lines[4][:40])
    (tmp_path / "walk" / "detections.jsonl").unlink()
    assert run(walk, tmp_path, period_s=0.5, resume=True)["reused"] == 3

    def found(folder):
        return [line["detections"] for line in lines_of(folder)]

    assert found(tmp_path / "walk") == found(replayed[0])
    with pytest.raises(InputError, match=r"computed.jsonl: has detections of other settings"):
        run(walk, tmp_path, period_s=0.25, resume=True)


@pytest.mark.parametrize("storage", STORAGES)
def test_objects_are_detected_in_recorded_clouds(tmp_path, storage):
    cloud = read_cloud(DEMO_CLOUD)
    contents = MessageContents(MessageTypes(*TYPES))
    with BagWriter(tmp_path / "clouds", storage) as bag:
        for second in (1, 2, 3):
            stamp = make("builtin_interfaces/msg/Time", sec=second)
            header = make("std_msgs/msg/Header", stamp=stamp, frame_id="map")
            bag.write("/map", contents.cloud(header, cloud.xyz), second * 10**9)
    summary = run(tmp_path / "clouds", tmp_path / "out", storage=storage)
    assert (summary["clouds"], summary["frames"]) == (3, 0)
    lines = lines_of(tmp_path / "out" / "clouds")
    # An object is reported once it was seen twice.
    assert [bool(line["detections"]) for line in lines] == [False, True, True]
    assert [item["id"] for item in lines[1]["detections"]] == [item["id"] for item in lines[2]["detections"]]
    assert run(tmp_path / "clouds", tmp_path / "out", storage=storage, tracking=None)["objects"] is None
    assert "id" not in lines_of(tmp_path / "out" / "clouds")[0]["detections"][0]
    (file,) = (tmp_path / "out" / "clouds" / "results").glob(f"*.{'db3' if storage == 'sqlite3' else 'mcap'}")
    if storage == "sqlite3":
        database = sqlite3.connect(file)
        topics = [name for (name,) in database.execute("SELECT name FROM topics")]
        database.close()
        assert "/dspdet3d/output/detections" in topics


def frames_refused(walk, tmp_path, change):
    return run(changed(walk, tmp_path / "changed", change), tmp_path / "out", period_s=100)


def test_a_pose_that_is_not_a_number_costs_its_frames_only(walk, tmp_path):
    times = []

    def change(record):
        if record.topic != TF:
            return record.message
        times.append(record.time_ns)
        if len(times) in (3, 4):
            record.message.transforms[0].transform.translation.x = float("nan")
        return record.message

    summary = frames_refused(walk, tmp_path, change)
    assert summary["refused"]["transform"] == 2
    assert "camera_link" in summary["refusals"][0]
    # Between the neighbours of the poses that are left out the pose is interpolated.
    assert summary["frames"] == FRAMES


def test_images_without_calibration_are_refused_by_name(walk, tmp_path):
    changed(walk, tmp_path / "bag", lambda record: None if "camera_info" in record.topic else record.message)
    with pytest.raises(InputError, match="no calibration of /camera/"):
        run(tmp_path / "bag", tmp_path / "out")


def test_a_calibration_of_zeros_is_refused(walk, tmp_path):
    def change(record):
        if "camera_info" in record.topic:
            record.message.k = np.zeros(9)
        return record.message

    summary = frames_refused(walk, tmp_path, change)
    assert (summary["frames"], summary["refused"]) == (0, {"camera": FRAMES})
    assert "camera_info" in summary["refusals"][0]


def test_depth_of_zeros_is_refused(walk, tmp_path):
    def change(record):
        if record.topic == DEPTH:
            record.message.data = np.zeros_like(record.message.data)
        return record.message

    assert frames_refused(walk, tmp_path, change)["refused"] == {"depth": FRAMES}


def test_images_of_another_size_than_their_calibration_are_refused(walk, tmp_path):
    def change(record):
        if record.topic == DEPTH:
            record.message.height //= 2
        return record.message

    assert frames_refused(walk, tmp_path, change)["refused"] == {"sizes": FRAMES}


def test_a_map_that_starts_again_is_remarked_on(walk, tmp_path):
    def change(record):
        if record.topic == TF and record.time_ns > 1_700_000_000_600_000_000:
            record.message.transforms[0].transform.translation.x += 50
        return record.message

    bag = changed(walk, tmp_path / "changed", change)
    summary = run(bag, tmp_path / "out", period_s=100, map=replace(WIDE, max_jump_m=20))
    assert summary["refused"] == {"pose": 4}
    assert any("the map starts again at 1700000001" in remark for remark in summary["remarks"])


def test_without_tf_the_odometry_is_the_pose_of_the_camera(walk, tmp_path):
    def change(record):
        if record.topic == ODOMETRY:
            # Odometry of the optical frame itself.
            record.message.child_frame_id = ""
        return None if record.topic in (TF, TF_STATIC) else record.message

    summary = frames_refused(walk, tmp_path, change)
    assert summary["frames"] > 0
    assert ODOMETRY in summary["topics"]
    assert any("/odom has no child_frame_id: its pose is taken for" in remark for remark in summary["remarks"])


def test_images_in_a_gap_of_the_odometry_are_refused(walk, tmp_path):
    def change(record):
        in_gap = 0.5 < (record.time_ns - 1_700_000_000 * 10**9) / 1e9 < 1.3
        if record.topic == ODOMETRY:
            record.message.child_frame_id = ""
            return None if in_gap else record.message
        return None if record.topic in (TF, TF_STATIC) else record.message

    summary = frames_refused(walk, tmp_path, change)
    # At 8 Hz, and none of these is within 0.1 s of a pose.
    assert summary["refused"] == {"transform": 6}
    assert summary["frames"] == FRAMES - 6
    assert "there is none from 1700000000.500 s to 1700000001.375 s" in summary["refusals"][0]


def test_a_cloud_in_millimetres_is_doubtful_in_the_words_of_the_node(tmp_path):
    cloud = read_cloud(DEMO_CLOUD)
    with BagWriter(tmp_path / "clouds") as bag:
        header = make("std_msgs/msg/Header", stamp=make("builtin_interfaces/msg/Time", sec=1), frame_id="map")
        bag.write("/map", MessageContents(MessageTypes(*TYPES)).cloud(header, cloud.xyz * 1000), 10**9)
    doubt = run(tmp_path / "clouds", tmp_path / "out")["doubts"]["unit"]
    assert doubt["clouds"] == 1
    assert doubt["text"] == Plausibility(cloud.xyz * 1000, model().detector.config).of_cloud[0].text
    (line,) = lines_of(tmp_path / "out" / "clouds")
    assert {"kind": "unit", "text": doubt["text"]} in line["doubts"]


CLOUDS = Topic("/map", "sensor_msgs/msg/PointCloud2", 3)
IMAGE, INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"
CAMERA = [
    Topic("/camera/depth/image_raw", IMAGE, 9),
    Topic("/camera/depth/image_raw/compressedDepth", "sensor_msgs/msg/CompressedImage", 9),
    Topic("/camera/depth/camera_info", INFO, 9),
    Topic("/camera/infra1/image_raw", IMAGE, 9),
    Topic("/camera/color/image_raw/compressed", "sensor_msgs/msg/CompressedImage", 9),
    Topic("/camera/color/camera_info", INFO, 9),
]
TRANSFORMS = Topic("/tf", "tf2_msgs/msg/TFMessage", 9)


def test_inputs_are_chosen_by_type_and_name():
    inputs = choose_inputs([*CAMERA, TRANSFORMS])
    assert inputs.depth == "/camera/depth/image_raw"
    assert inputs.depth_info == "/camera/depth/camera_info"
    assert inputs.colour == "/camera/color/image_raw/compressed"
    assert inputs.colour_info == "/camera/color/camera_info"
    assert choose_inputs([CLOUDS, TRANSFORMS]).cloud == "/map"
    assert choose_inputs([CLOUDS, *CAMERA, TRANSFORMS], ["/map"]).cloud == "/map"
    assert choose_inputs([*CAMERA, TRANSFORMS], use_colour=False).colour == ""


@pytest.mark.parametrize(
    ("topics", "wanted", "said"),
    [
        ([], [], "no clouds and no depth images"),
        ([CLOUDS, replace(CLOUDS, name="/other")], [], "several topics of clouds: /map, /other"),
        ([CLOUDS], ["/maps"], "no topic /maps; it has /map"),
        ([CLOUDS, *CAMERA, TRANSFORMS], [], "has clouds .* and depth images"),
        (CAMERA, [], "neither tf nor odometry"),
        ([CAMERA[0], TRANSFORMS], [], "no calibration of /camera/"),
        ([*CAMERA, TRANSFORMS], ["/camera/infra1/image_raw"], r"/camera/infra1/image_raw \(Image\) would not be read"),
        ([*CAMERA, TRANSFORMS], ["/camera/color/camera_info", "/map"], "no topic /map"),
    ],
)
def test_inputs_that_are_missing_or_ambiguous_are_named(topics, wanted, said):
    with pytest.raises(InputError, match=said):
        choose_inputs(topics, wanted)


def test_the_topics_of_the_recorded_demo_are_found(walk):
    with BagReader(walk) as bag:
        inputs = choose_inputs(bag.topics)
    assert (inputs.depth, inputs.depth_info, inputs.colour) == (DEPTH, DEPTH_INFO, COLOUR)
