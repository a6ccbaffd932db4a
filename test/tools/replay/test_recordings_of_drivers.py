"""Bags as drivers and recorders write them: other names, kinds of poses, compressed images, messages out of order."""

import io
import re
import struct
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("mcap")

from PIL import Image as Picture
from replaying import WIDE, lines_of, messages_of, run, write_mcap, write_sqlite

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.geometry import quaternion_of
from dspdet3d_ros.mapping.frame import pose_from_quaternion
from dspdet3d_ros.recordings.bags import Topic
from dspdet3d_ros.recordings.record_demo import (
    BODY_FROM_OPTICAL,
    CAMERA,
    COLOUR,
    COLOUR_INFO,
    DEPTH,
    DEPTH_INFO,
    ODOMETRY,
    OPTICAL,
    TF,
    TF_STATIC,
)
from dspdet3d_ros.recordings.types import make
from dspdet3d_ros.tools.replay.bag_inputs import choose_inputs, unclear_images

FRAMES = 16


def without(messages, *topics):
    return [entry for entry in messages if entry[0] not in topics]


def renamed(messages, names):
    return [(names.get(topic, topic), time_ns, message) for topic, time_ns, message in messages]


def by_tf(messages):
    return without(messages, ODOMETRY)


def by_odometry_and_static_tf(messages):
    return without(messages, TF)


def odometry_of_a_frame_with_a_parent(messages):
    """A visual odometry moves the camera, which sits on a robot whose place nobody knows."""
    (static,) = [message for topic, _, message in messages if topic == TF_STATIC]
    (first,) = static.transforms
    mounted = replace(first, header=replace(first.header, frame_id="base_link"), child_frame_id=CAMERA)
    return [
        (topic, time_ns, replace(message, transforms=[first, mounted]) if topic == TF_STATIC else message)
        for topic, time_ns, message in without(messages, TF)
    ]


def by_poses_of_the_optical_frame(messages):
    """A SLAM gives PoseStamped, and there is no tf at all."""
    changed = []
    for topic, time_ns, message in without(messages, TF, TF_STATIC):
        if topic == ODOMETRY:
            p, q = message.pose.pose.position, message.pose.pose.orientation
            optical = pose_from_quaternion((p.x, p.y, p.z), (q.x, q.y, q.z, q.w)) @ BODY_FROM_OPTICAL
            x, y, z, w = map(float, quaternion_of(optical[:3, :3]))
            pose = make(
                "geometry_msgs/msg/Pose",
                position=make("geometry_msgs/msg/Point", **dict(zip("xyz", map(float, optical[:3, 3]), strict=True))),
                orientation=make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w),
            )
            topic, message = (
                "/orb_slam3/camera_pose",
                make("geometry_msgs/msg/PoseStamped", header=message.header, pose=pose),
            )
        changed.append((topic, time_ns, message))
    return changed


def compressed(messages):
    """Only what image_transport has compressed is recorded."""
    changed = []
    for topic, time_ns, message in without(messages, ODOMETRY):
        if topic in (DEPTH, COLOUR):
            kind, shape = ("<u2", (240, 320)) if topic == DEPTH else ("u1", (240, 320, 3))
            out = io.BytesIO()
            pixels = np.frombuffer(message.data.tobytes(), kind).reshape(shape)
            Picture.fromarray(pixels).save(out, "png" if topic == DEPTH else "jpeg")
            # The header of compressedDepth: format, and two numbers for quantised depth.
            head, part, text = (
                (struct.pack("<iff", 0, 0, 0), "compressedDepth", "16UC1; compressedDepth png")
                if topic == DEPTH
                else (b"", "compressed", "rgb8; jpeg compressed bgr8")
            )
            topic = f"{topic}/{part}"
            message = make(
                "sensor_msgs/msg/CompressedImage", header=message.header, format=text, data=head + out.getvalue()
            )
        changed.append((topic, time_ns, message))
    return changed


def out_of_order(messages):
    """Each message is recorded up to 0.2 s later than another one, and tf_static last."""
    rng = np.random.default_rng(0)
    last = max(time_ns for _, time_ns, _ in messages) + 10**9
    late = [
        (topic, last if topic == TF_STATIC else time_ns + int(rng.integers(2 * 10**8)), message)
        for topic, time_ns, message in by_tf(messages)
    ]
    return sorted(late, key=lambda entry: entry[1])


def from_another_driver(messages):
    """The camera offers depth twice, and infrared."""
    place = "/camera/camera"
    names = {
        DEPTH: f"{place}/aligned_depth_to_color/image_raw",
        DEPTH_INFO: f"{place}/depth/camera_info",
        COLOUR: f"{place}/color/image_raw",
        COLOUR_INFO: f"{place}/color/camera_info",
    }
    found = renamed(by_tf(messages), names)
    depths = [entry for entry in found if entry[0] == names[DEPTH]]
    for other in ("depth/image_rect_raw", "infra1/image_rect_raw"):
        found += [(f"{place}/{other}", time_ns, message) for _, time_ns, message in depths]
    return sorted(found, key=lambda entry: entry[1])


def without_words_in_the_names(messages):
    return renamed(
        by_tf(messages), {DEPTH: "/kinect/range", COLOUR: "/kinect/picture", DEPTH_INFO: "/kinect/camera_info"}
    )


@pytest.mark.parametrize(
    ("change", "write"),
    [
        (by_tf, "LZ4"),
        (by_odometry_and_static_tf, "ZSTD"),
        (odometry_of_a_frame_with_a_parent, "db3"),
        (by_poses_of_the_optical_frame, "db3"),
        (compressed, "ZSTD"),
        (out_of_order, "NONE"),
        (from_another_driver, "LZ4"),
        (without_words_in_the_names, "db3"),
    ],
)
def test_a_recording_of_another_kind_has_the_same_results(walk, replayed, tmp_path, change, write):
    messages = change(messages_of(walk))
    if write == "db3":
        bag = write_sqlite(tmp_path / "bag.db3", messages)
    else:
        bag = write_mcap(tmp_path / "bag.mcap", messages, write)
    summary = run(bag, tmp_path / "out", period_s=0.5)
    assert (summary["frames"], summary["refusals"], summary["losses"]) == (FRAMES, [], [])
    last, expected = lines_of(tmp_path / "out" / "bag")[-1], lines_of(replayed[0])[-1]
    assert [item["class"] for item in last["detections"]] == [item["class"] for item in expected["detections"]]
    for item, other in zip(last["detections"], expected["detections"], strict=True):
        np.testing.assert_allclose(item["center"], other["center"], atol=0.02)


def test_odometry_of_a_frame_that_no_tf_connects_is_said(walk, tmp_path):
    bag = write_sqlite(tmp_path / "bag.db3", without(messages_of(walk), TF, TF_STATIC))
    (text,) = run(bag, tmp_path / "out", period_s=100)["remarks"][-1:]
    assert f"{ODOMETRY} has the pose of '{CAMERA}', and no tf leads from there to '{OPTICAL}'" in text
    assert "--camera-mount" in text


def test_the_mount_of_the_camera_takes_the_place_of_tf(walk, replayed, tmp_path):
    bag = write_sqlite(tmp_path / "bag.db3", without(messages_of(walk), TF, TF_STATIC))
    mount = (0.0, 0.0, 0.0, *map(float, quaternion_of(BODY_FROM_OPTICAL[:3, :3])))
    run(bag, tmp_path / "out", period_s=0.5, camera_mount=mount)
    last, expected = lines_of(tmp_path / "out" / "bag")[-1], lines_of(replayed[0])[-1]
    assert [item["class"] for item in last["detections"]] == [item["class"] for item in expected["detections"]]


def test_colour_whose_camera_has_no_place_is_left_out(walk, tmp_path):
    messages = by_tf(messages_of(walk))
    for topic, _, message in messages:
        if topic in (COLOUR, COLOUR_INFO):
            message.header.frame_id = "elsewhere"
    summary = run(write_sqlite(tmp_path / "bag.db3", messages), tmp_path / "out", period_s=100)
    assert (summary["frames"], summary["refused"]) == (FRAMES, {})
    assert any("colour is not used: no tf leads" in text for text in summary["remarks"])


def test_a_recording_of_one_cloud_has_its_objects(walk, tmp_path):
    """An object is reported from its second detection on, which a short recording cannot have."""
    # The cloud of the first image alone has no points then.
    summary = run(walk, tmp_path, period_s=100, map=replace(WIDE, min_observations=2))
    assert summary["clouds"] == 1
    assert summary["boxes"] == summary["objects"] == len(lines_of(tmp_path / "walk")[0]["detections"]) > 0
    assert any(text.startswith("few clouds (1)") for text in summary["remarks"])


IMAGE, COMPRESSED, INFO = (f"sensor_msgs/msg/{name}" for name in ("Image", "CompressedImage", "CameraInfo"))


def topics(*names, **others):
    """Topics of images, their calibrations and tf."""
    kinds = {name: COMPRESSED if "ompressed" in name.rpartition("/")[2] else IMAGE for name in names}
    infos = {f"{re.sub('/c[^/]*ompressed.*', '', name).rpartition('/')[0]}/camera_info": INFO for name in names}
    return [
        Topic(name, kind, 9) for name, kind in {**kinds, **infos, "/tf": "tf2_msgs/msg/TFMessage", **others}.items()
    ]


@pytest.mark.parametrize(
    ("names", "depth", "colour"),
    [
        (
            ["/camera/depth/image_rect_raw", "/camera/color/image_raw", "/camera/infra2/image_rect_raw"],
            "/camera/depth/image_rect_raw",
            "/camera/color/image_raw",
        ),
        (
            ["/zed/zed_node/depth/depth_registered", "/zed/zed_node/rgb/color/rect/image"]
            + ["/zed/zed_node/left/image_rect_color", "/zed/zed_node/confidence/confidence_map"],
            "/zed/zed_node/depth/depth_registered",
            "/zed/zed_node/rgb/color/rect/image",
        ),
        (
            ["/depth/image_raw", "/rgb/image_raw", "/rgb_to_depth/image_raw"],
            "/depth/image_raw",
            "/rgb_to_depth/image_raw",
        ),
        (["/depth_to_rgb/image_raw", "/rgb/image_raw"], "/depth_to_rgb/image_raw", "/rgb/image_raw"),
        (
            ["/camera/depth_registered/image_raw", "/camera/depth/image_raw", "/camera/rgb/image_raw"]
            + ["/camera/rgb/image_rect_color", "/camera/ir/image"],
            "/camera/depth_registered/image_raw",
            "/camera/rgb/image_rect_color",
        ),
        (
            ["/head/depth/image_raw/compressedDepth", "/head/depth/image_raw/compressed"]
            + ["/head/color/image_raw/compressed", "/gripper/image_raw"],
            "/head/depth/image_raw/compressedDepth",
            "/head/color/image_raw/compressed",
        ),
    ],
)
def test_the_topics_of_drivers_are_found(names, depth, colour):
    inputs = choose_inputs(topics(*names))
    assert (inputs.depth, inputs.colour) == (depth, colour)


def test_topics_without_messages_are_no_inputs():
    """image_transport offers colour as compressedDepth, where nothing comes."""
    offered = Topic("/camera/color/image_raw/compressedDepth", COMPRESSED, 0)
    other = Topic("/other/depth/image_raw", IMAGE, 0)
    found = choose_inputs([*topics("/camera/depth/image_raw", "/camera/color/image_raw"), offered, other])
    assert (found.depth, found.colour) == ("/camera/depth/image_raw", "/camera/color/image_raw")


TWO = topics("/front/depth/image_raw", "/front/color/image_raw", "/rear/depth/image_raw", "/rear/color/image_raw")


def test_of_two_cameras_one_topic_names_all():
    with pytest.raises(InputError, match=r"several topics of depth images: .*; name the one to use with --topics"):
        choose_inputs(TWO)
    inputs = choose_inputs(TWO, ["/rear/depth/image_raw"])
    assert (inputs.depth_info, inputs.colour) == ("/rear/depth/camera_info", "/rear/color/image_raw")


def test_poses_are_chosen_if_tf_does_not_move():
    odometry, goal = "nav_msgs/msg/Odometry", "geometry_msgs/msg/PoseStamped"
    still = [topic for topic in topics("/camera/depth/image_raw") if topic.name != "/tf"]
    still += [Topic("/tf_static", "tf2_msgs/msg/TFMessage", 1), Topic("/odom", odometry, 9), Topic("/goal", goal, 1)]
    assert (choose_inputs(still).poses, choose_inputs(still).by_poses) == ("/odom", True)
    assert choose_inputs(still, ["/goal"]).poses == "/goal"
    with pytest.raises(InputError, match=r"several topics of poses: .*/filtered"):
        choose_inputs([*still, Topic("/filtered", odometry, 9)])
    moving = [*topics("/camera/depth/image_raw"), Topic("/odom", odometry, 9), Topic("/filtered", odometry, 9)]
    assert choose_inputs(moving).poses == ""
    assert choose_inputs(moving, ["/filtered"]).by_poses


def test_encodings_decide_where_names_do_not():
    listed = topics("/kinect/range", "/kinect/picture")
    assert unclear_images(listed) == ["/kinect/range", "/kinect/picture"]
    found = choose_inputs(listed, encodings={"/kinect/range": "16UC1", "/kinect/picture": "rgb8"})
    assert (found.depth, found.colour) == ("/kinect/range", "/kinect/picture")
