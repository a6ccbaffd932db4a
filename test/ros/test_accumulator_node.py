"""The accumulator in a process of its own, with a camera that moves around a known scene."""

import importlib.util
import itertools

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("nav_msgs", reason="nav_msgs and std_srvs are not installed")

from box_scene import BOX, surface_distance
from camera_topics import OPTICAL, CameraTopics, header_of, info, millimetres, raw
from node_process import ACCUMULATOR, Process, Remote
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_srvs.srv import Trigger

from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.mapping.frame import Camera
from dspdet3d_ros.ros.interface import topics
from dspdet3d_ros.ros.interface.qos import LATCHED

# A busy machine may take the pose of a frame long after its image.
PARAMETERS = {
    "pose_source": "odometry",
    "voxel_size": 0.02,
    "publish_rate_hz": 20.0,
    "refine": False,
    "tf_timeout_s": 2.0,
}


def started(namespace="/", **parameters):
    return Process(None, ACCUMULATOR, namespace=namespace, **{**PARAMETERS, **parameters})


#: The camera of the module's node must not reach nodes of single tests.
OTHER, OTHER_NODE = "/other", "/other/accumulator"


@pytest.fixture(scope="module")
def node():
    with started() as process:
        process.wait_for("active: taking depth images")
        yield process


@pytest.fixture(scope="module")
def remote(node):
    with Remote("/accumulator", outputs=(), profile=None) as remote:
        yield remote


@pytest.fixture(scope="module")
def camera(remote):
    return CameraTopics(remote)


@pytest.fixture
def mapped(camera, remote):
    """The camera, after the node has published a cloud of the whole scene."""
    camera.stream(lambda: shows_scene(camera), "a cloud")
    return camera


def shows_scene(camera):
    """Whether the latest cloud has the whole scene, each point with a colour if there is a colour camera."""
    if not camera.clouds or camera.clouds[-1].width <= 2000:
        return False
    # The node does not wait for colour images before it knows their publisher.
    rgb = camera.points[1]
    return camera.colour is None or (rgb is not None and bool(rgb.any(1).all()))


def check_scene(camera):
    xyz, rgb = camera.points
    assert np.quantile(surface_distance(xyz), 0.95) < 0.006
    lid = (np.abs(xyz[:, :2]).max(1) < 0.1) & (np.abs(xyz[:, 2] - 0.25) < 0.006)
    # A single view measures 50 voxels of the lid.
    assert lid.sum() > 30
    np.testing.assert_allclose(rgb[lid].mean(0), BOX, atol=10)
    assert camera.clouds[-1].header.frame_id == "odom"
    assert camera.clouds[-1].header.stamp.sec >= 100


def test_images_and_odometry_become_the_cloud_of_the_scene(mapped):
    check_scene(mapped)
    values = mapped.settled()
    assert values["state"] == "active"
    assert int(values["frames_processed"]) > 2
    assert int(values["voxels"]) > 2000
    assert values["world_frame"] == "odom"


def test_somebody_who_comes_later_gets_the_last_cloud(mapped, node):
    with Remote("/accumulator", outputs=(), profile=None) as late:
        clouds = []
        late.node.create_subscription(PointCloud2, f"{late.name}/{topics.CLOUD}", clouds.append, LATCHED)
        late.until(lambda: clouds, "the latched cloud")
        assert clouds[-1].width > 2000


def test_compressed_images_and_poses_do_as_well():
    with started(OTHER, pose_source="pose") as process, Remote(OTHER_NODE, outputs=(), profile=None) as remote:
        process.wait_for("active: taking depth images")
        camera = CameraTopics(remote, pose="pose", compressed=True)
        camera.stream(lambda: shows_scene(camera), "a cloud")
        check_scene(camera)


def test_compressed_images_are_taken_only_while_there_are_no_raw_ones():
    with started(OTHER) as process, Remote(OTHER_NODE, outputs=(), profile=None) as remote:
        process.wait_for("active: taking depth images")
        # A driver with the plugins of image_transport offers both; it compresses for subscribers only.
        compressed = CameraTopics(remote, compressed=True)
        both = (compressed.depth, compressed.colour)
        camera = CameraTopics(remote)
        remote.until(lambda: not any(one.get_subscription_count() for one in both), "the end of both subscriptions")
        camera.stream(lambda: shows_scene(camera), "a cloud")
        for publisher in (camera.depth, camera.colour):
            remote.node.destroy_publisher(publisher)
        remote.until(lambda: all(one.get_subscription_count() for one in both), "both subscriptions")
        compressed.stamp_s, compressed.place, clouds = camera.stamp_s, camera.place, len(compressed.clouds)
        compressed.stream(lambda: len(compressed.clouds) > clouds + 3, "clouds")


def with_(**fields):
    """Changes the fields of a message."""

    def change(message):
        for name, value in fields.items():
            setattr(message, name, value)
        return message

    return change


def pose_of(**orientation):
    def change(message):
        for name, value in orientation.items():
            setattr(message.pose.pose.orientation, name, value)
        return message

    return change


def jumped(message):
    message.pose.pose.position.x += 5.0
    return message


def metres_as_millimetres(message):
    depth = np.frombuffer(message.data, np.uint16).reshape(message.height, message.width)
    return raw(depth.astype(np.float32), "32FC1", message.header)


def all_zero(message):
    return raw(np.zeros((message.height, message.width), np.uint16), "16UC1", message.header)


def stamped_elsewhere(message):
    message.header = header_of(50.0)
    return message


def stamped_zero(message):
    message.header = header_of(0.0)
    return message


BAD = {
    "sizes": ("frame_sizes", {"depth": with_(height=60)}, "expected 160 x 120 pixels"),
    "short data": ("frame_sizes", {"depth": with_(data=b"\0" * 100)}, "100 bytes in all"),
    "colour of another size": (
        "frame_sizes",
        {"colour": with_(width=80, step=240)},
        "colour image: expected 160 x 120",
    ),
    "camera_info of zeros": ("frame_camera", {"info": lambda m: with_(k=[0.0] * 9)(m)}, "fx 0"),
    "no depth encoding": ("frame_encoding", {"depth": with_(encoding="bgr8")}, "'bgr8' is no depth"),
    "no colour encoding": ("frame_encoding", {"colour": with_(encoding="bayer_rggb8")}, "'bayer_rggb8' is not read"),
    "wrong unit": ("frame_depth", {"depth": metres_as_millimetres}, "the unit is wrong"),
    "all zero": ("frame_depth", {"depth": all_zero}, "no pixel has a depth"),
    "NaN pose": ("frame_pose", {"pose": pose_of(x=float("nan"))}, "not finite"),
    "quaternion of zeros": ("frame_pose", {"pose": pose_of(x=0.0, y=0.0, z=0.0, w=0.0)}, "unit quaternion"),
    "quaternion too long": ("frame_pose", {"pose": pose_of(w=3.0)}, "unit quaternion"),
    "frame without a transform": (
        "frame_transform",
        {"pose": with_(child_frame_id="nowhere")},
        f"'{OPTICAL}' to 'nowhere'",
    ),
    "pose that jumps": ("frame_pose", {"pose": jumped}, "m since the last frame, expected at most 0.5 m"),
    "no pose": ("frame_pose", {"pose": stamped_elsewhere}, "the nearest one is"),
    "stamp of zero": ("frame_stamp", {"depth": stamped_zero}, "stamp: is zero"),
    "one wrong stamp": ("frame_stamp", {"depth": stamped_elsewhere, "colour": stamped_elsewhere}, "ms older than"),
    "colour of another time": ("frame_sync", {"colour": stamped_elsewhere}, "sync_tolerance_s = 0.02"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_frame_is_refused_by_name_and_the_map_stays(name, mapped, remote):
    kind, changes, says = BAD[name]
    key = f"faults of kind {kind}"
    before, values = mapped.refused(says, **changes)
    assert int(values[key]) == int(before.get(key, 0)) + 1
    assert values["voxels"] == before["voxels"]
    # The next good frame is used.
    assert int(mapped.settled()["frames_processed"]) > int(values["frames_processed"])


def test_stamps_that_go_backwards_are_refused(mapped):
    # A little back, with everything of that time.
    before, values = mapped.refused("ms older than that of an earlier frame", older_s=0.15)
    key = "faults of kind frame_stamp"
    assert int(values[key]) == int(before.get(key, 0)) + 1
    assert values["voxels"] == before["voxels"]


def test_the_map_is_saved_and_reset(mapped, remote, tmp_path):
    path = tmp_path / "new" / "map.ply"
    assert remote.set(save_path=str(path)).successful
    answer = remote.call(Trigger, "save", Trigger.Request())
    assert answer.success, answer.message
    assert str(path) in answer.message
    assert np.quantile(surface_distance(read_cloud(path).xyz), 0.95) < 0.006
    for path, says in (
        ("/proc/none/map.ply", "cannot be written"),
        ("~nobody-of-this-name/map.ply", "there is no such user"),
        ("map.txt", "expected a cloud file with the suffix .ply"),
        ("", "expected a cloud file with the suffix .ply"),
    ):
        assert remote.set(save_path=path).successful
        answer = remote.call(Trigger, "save", Trigger.Request())
        assert not answer.success
        assert says in answer.message
    answer = remote.call(Trigger, "reset", Trigger.Request())
    assert answer.success
    assert "emptied" in answer.message
    remote.until(lambda: mapped.clouds[-1].width == 0, "an empty cloud")


def test_parameters_are_checked_with_reasons_and_apply_at_once(mapped, remote):
    for values, says in (
        ({"voxel_size": 0.0}, "voxel_size: expected a number in 0.002..0.2, got 0"),
        ({"min_distance": 9.0}, "min_distance: expected less than max_distance"),
        ({"pose_source": "tf"}, "pose_source can only change while the node is unconfigured"),
        ({"voxelsize": 0.1}, "there is no parameter 'voxelsize'"),
    ):
        result = remote.set(**values)
        assert not result.successful
        assert says in result.reason
    assert remote.set(min_observations=1000).successful
    try:
        mapped.stream(lambda: mapped.clouds[-1].width == 0, "an empty cloud")
        mapped.settled("no voxel was measured by min_observations = 1000 frames")
    finally:
        assert remote.set(min_observations=3).successful


def test_it_pauses_and_goes_on_with_its_map(mapped, remote):
    assert remote.change("deactivate")
    voxels = int(remote.healthy(0, "inactive")["voxels"])
    assert voxels > 2000
    assert remote.change("activate")
    remote.until(mapped.depth.get_subscription_count, "the subscription")
    frames = len(mapped.stats)
    mapped.stream(lambda: len(mapped.stats) > frames, "a frame")
    values = mapped.settled()
    assert int(values["frames_processed"]) >= 1
    assert int(values["voxels"]) >= voxels - 100


def test_missing_images_and_calibration_are_named():
    with started(OTHER) as process:
        line = process.wait_for("nothing is published: nobody publishes depth images")
        assert "/accumulator/input/depth" in line
        with Remote(OTHER_NODE, outputs=(), profile=None) as remote:
            camera = CameraTopics(remote, colour=False)
            for says, changes in (
                ("frame refused (frame_camera, 1 so far): camera_info: none has come", {"info": None}),
                ("input/pose has no child_frame_id: its pose is taken for", {"pose": with_(child_frame_id="")}),
            ):
                camera.repeat(lambda says=says: process.has(says), says, **changes)
            # A depth image without a colour publisher is used without colour.
            camera.stream(lambda: shows_scene(camera), "a cloud")
            assert [field.name for field in camera.clouds[-1].fields] == ["x", "y", "z"]


def test_a_calibration_that_was_published_once_before_the_node_started_is_used():
    with Remote("/latched/accumulator", outputs=(), profile=None) as remote:
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        calibration = remote.node.create_publisher(CameraInfo, "/latched/accumulator/input/camera_info", latched)
        calibration.publish(info(header_of(1.0)))
        with started("/latched") as process:
            process.wait_for("active: taking depth images")
            camera = CameraTopics(remote, colour=False, info=False)
            camera.stream(lambda: shows_scene(camera), "a cloud")


@pytest.mark.skipif(importlib.util.find_spec("tf2_ros") is not None, reason="tf2 is installed")
def test_without_tf2_frames_are_refused_by_name():
    with started(OTHER, pose_source="tf") as process, Remote(OTHER_NODE, outputs=(), profile=None) as remote:
        process.wait_for("active: taking depth images")
        depth = remote.node.create_publisher(Image, f"{OTHER_NODE}/input/depth", 10)
        calibration = remote.node.create_publisher(CameraInfo, f"{OTHER_NODE}/input/camera_info", 10)
        for publisher in (depth, calibration):
            remote.until(publisher.get_subscription_count, publisher.topic_name)
        stamps = itertools.count(1.0)

        def refused():
            # The first ones may go to a node of another test that is ending.
            header = header_of(next(stamps))
            calibration.publish(info(header))
            depth.publish(raw(millimetres(np.ones((120, 160))), "16UC1", header))
            return process.has("frame refused (frame_transform, 1 so far): no transform from")

        remote.until(refused, "a refused frame")


def test_a_bad_mount_or_value_keeps_it_unconfigured():
    with started(OTHER, camera_mount="1 2 3") as process:
        process.wait_for("cannot be configured: camera_mount: expected 'x y z qx qy qz qw', got '1 2 3'")
    with started(OTHER, min_distance=9.0) as process:
        process.wait_for("cannot be configured: parameter min_distance: expected less than max_distance")
    with started(OTHER, device="cuda:99") as process:
        process.wait_for("cannot be configured: device: 'cuda:99' is not there")


def test_a_projected_colour_camera_needs_no_tf_in_the_same_frame():
    # Twice the resolution, same frame: points are projected with its own camera_info.
    double = Camera(320, 240, 280.0, 280.0, 159.5, 119.5)
    with started(OTHER) as process, Remote(OTHER_NODE, outputs=(), profile=None) as remote:
        process.wait_for("active: taking depth images")
        camera = CameraTopics(remote)
        publisher = remote.node.create_publisher(CameraInfo, f"{OTHER_NODE}/input/colour_camera_info", 10)
        remote.until(publisher.get_subscription_count, "the subscription of colour_camera_info")

        def doubled(message):
            publisher.publish(info(message.header, double))
            small = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
            return raw(small.repeat(2, 0).repeat(2, 1), "bgr8", message.header)

        camera.stream(lambda: shows_scene(camera), "a cloud with projected colours", colour=doubled)
        check_scene(camera)
