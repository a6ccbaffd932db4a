"""The messages are built, complete, explained, and the minimal vision_msgs is the real one on the wire."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = [ROOT / "msg" / "AccumulatorStats.msg", ROOT / "msg" / "PruningStats.msg", ROOT / "srv" / "Detect.srv"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_field_is_explained(path: Path):
    lines = path.read_text(encoding="utf-8").splitlines()
    fields = [line for line in lines if line and not line.startswith(("#", "---"))]
    assert fields
    assert [line for line in fields if len(line.partition("#")[2].strip()) < 10] == []


def test_pruning_stats_survives_the_wire():
    serialization = pytest.importorskip("rclpy.serialization", reason="needs ROS 2")
    from dspdet3d_ros.msg import PruningStats

    sent = PruningStats(
        model="small",
        device="cuda:0",
        backend="torch",
        pruning_threshold=0.3,
        points_in=2**32 - 1,
        points_out_of_range=4,
        not_finite=5,
        level=[3, 2, 1, 0],
        cells_before=[10, 20, 30, 40],
        cells_kept=[9, 8, 7, 40],
        cells_dropped=[0, 1, 2, 0],
        stage_names=["voxels", "backbone"],
        stage_ms=[1.5, 20.25],
        clouds_received=2**40,
    )
    sent.header.frame_id = "map"
    assert serialization.deserialize_message(serialization.serialize_message(sent), PruningStats) == sent


def test_accumulator_stats_survives_the_wire():
    serialization = pytest.importorskip("rclpy.serialization", reason="needs ROS 2")
    from dspdet3d_ros.msg import AccumulatorStats

    sent = AccumulatorStats(
        device="cuda:0",
        map_bytes=2**40,
        points=2**32 - 1,
        correction_m=0.01,
        restarted="the stamps went back by 3 s",
        stage_names=["read", "map"],
        stage_ms=[1.5, 20.25],
        frames_received=2**40,
        refused_kinds=["frame_pose", "frame_depth"],
        refused_counts=[3, 2**40],
    )
    sent.header.frame_id = "odom"
    assert serialization.deserialize_message(serialization.serialize_message(sent), AccumulatorStats) == sent


@pytest.mark.parametrize(
    ("name", "type_hash"),
    [
        ("BoundingBox3D", "RIHS01_bbb73a65c163d7f9bb29009c7bde9f7faa576bd2d23299c4511d19230dab4698"),
        ("Detection3D", "RIHS01_ddd703be132ab0b69d33121f1bb034132bfbb3b0ac5f9fb1516005ba1c8a265b"),
        ("Detection3DArray", "RIHS01_793f5eab9595ac1c0da07873cc859db42eae51f0ee76056db8562515d830e018"),
        ("LabelInfo", "RIHS01_3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783"),
        ("ObjectHypothesis", "RIHS01_51da43cec11c01957a64d1e05a24acd18aae7745ec30b74348ad5f6d634f7f90"),
        ("ObjectHypothesisWithPose", "RIHS01_41c12344c0396c48b81df12467c192d99b2a0eb1463c5c37194e4223251c80bc"),
        ("VisionClass", "RIHS01_1e4a11f0fed50b5623cb8ff26ca0e37952a48a9c074d16f804b44e9164c2037a"),
        ("VisionInfo", "RIHS01_95d3116a17484ad91c9a2686e1d54890bbfc3ff6c6a2de137738c4950d45d284"),
    ],
)
def test_vision_msgs_has_the_type_hashes_of_release_4_1_1(name: str, type_hash: str):
    assert hash_of("vision_msgs", "msg", name) == type_hash


@pytest.mark.parametrize(
    ("package", "kind", "name", "type_hash"),
    [
        ("nav_msgs", "msg", "Odometry", "RIHS01_3cc97dc7fb7502f8714462c526d369e35b603cfc34d946e3f2eda2766dfec6e0"),
        ("std_srvs", "srv", "Trigger", "RIHS01_eeff2cd6fa5ad9d27cdf4dec64818317839b62f212a91e6b5304b634b2062c5f"),
    ],
)
def test_the_types_of_the_accumulator_have_the_hashes_of_kilted(package: str, kind: str, name: str, type_hash: str):
    assert hash_of(package, kind, name) == type_hash


def hash_of(package: str, kind: str, name: str) -> str:
    packages = pytest.importorskip("ament_index_python.packages", reason="needs ROS 2")
    description = Path(packages.get_package_share_directory(package)) / kind / f"{name}.json"
    if not description.is_file():
        pytest.skip("this ROS 2 distribution is older than type hashes")
    hashes = json.loads(description.read_text(encoding="utf-8"))["type_hashes"]
    return {entry["type_name"]: entry["hash_string"] for entry in hashes}[f"{package}/{kind}/{name}"]
