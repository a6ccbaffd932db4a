import pytest

from dspdet3d_ros.detector.config import ModelConfig, load_model_config, model_names, read_model_file
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.generated_classes import CLASS_NAMES
from dspdet3d_ros.learning.training.training_config import load_training_config


def test_the_released_models_are_as_published():
    counts = {name: len(load_model_config(name).classes) for name in model_names()}
    own = dict.fromkeys(("small", "close"), len(CLASS_NAMES))
    assert counts == {"scannet_md40": 22, "toscene_down": 70, "class_agnostic": 1, **own}
    for name in ("scannet_md40", "toscene_down", "class_agnostic"):
        config = load_model_config(name)
        assert (config.widths, config.blocks, config.head_width) == ((64, 128, 128, 128), (3, 4, 6, 3), 128)
        assert config.voxel_size == 0.01
    assert load_model_config("toscene_down").pruning_threshold == 0.5
    assert load_model_config("scannet_md40").classes[6] == "cup"
    assert load_model_config("toscene_down").classes[18] == "bag"


def test_the_models_with_weights_know_the_generated_classes_and_name_each_other():
    small, close = load_model_config("small"), load_model_config("close")
    assert set(small.classes) == set(CLASS_NAMES)
    assert close.classes == small.classes
    assert close.class_sizes == small.class_sizes
    assert (small.close_model, small.room_model) == ("close", None)
    assert (close.close_model, close.room_model) == (None, "small")


def test_a_copy_with_other_classes_may_keep_the_sizes():
    values = load_model_config("small").to_dict() | {"classes": ["cup", "spanner"]}
    assert ModelConfig.from_dict(values).class_sizes["cup"] == load_model_config("small").class_sizes["cup"]


@pytest.mark.parametrize("name", model_names())
def test_every_model_file_has_a_usable_recipe(name):
    assert load_training_config(name).with_iterations(100, 2).iterations > 0


def test_a_config_survives_the_round_trip_through_plain_values():
    config = load_model_config("small")
    assert ModelConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({}, "classes"),
        ({"classes": []}, "classes"),
        ({"classes": ["cup", "cup"]}, "classes"),
        ({"classes": ["cup"], "voxel_size": 0}, "voxel_size"),
        ({"classes": ["cup"], "widths": [1, 2]}, "widths"),
        ({"classes": ["cup"], "widths": 64}, "widths"),
        ({"classes": ["cup"], "widths": [64.0, 128, 128, 128]}, "widths"),
        ({"classes": ["cup"], "widths": [0, 128, 128, 128]}, "widths"),
        ({"classes": ["cup"], "blocks": [1.5, 1, 1, 1]}, "blocks"),
        ({"classes": ["cup"], "head_width": True}, "head_width"),
        ({"classes": "chair"}, "classes"),
        ({"classes": [1, 2]}, "classes"),
        ({"classes": ["cup", ""]}, "classes"),
        ({"classes": None}, "classes"),
        ({"classes": ["cup"], "nms_pre": 0}, "nms_pre"),
        ({"classes": ["cup"], "nms_pre": 10.5}, "nms_pre"),
        ({"classes": ["cup"], "nms_pre": 5001}, "nms_pre"),
        ({"classes": ["cup"], "nms_pre": 10**12}, "nms_pre"),
        ({"classes": ["cup"], "voxel_size": float("inf")}, "voxel_size"),
        ({"classes": ["cup"], "voxel_size": "1e-2"}, "voxel_size"),
        ({"classes": ["cup"], "pruning_threshold": 7}, "pruning_threshold"),
        ({"classes": ["cup"], "score_threshold": "high"}, "score_threshold"),
        ({"classes": ["cup"], "nms_iou_threshold": -0.1}, "nms_iou_threshold"),
        ({"classes": ["cup"], "recenter": "no"}, "recenter"),
        ({"classes": ["cup"], "relative_xy": 1}, "relative_xy"),
        ({"classes": ["cup"], "weights": 3}, "weights"),
        ({"classes": ["cup"], 3: 4}, "3"),
        ({"classes": ["cup"], "nms_overlap": "2d"}, "nms_overlap"),
        ({"classes": ["cup"], "color": True}, "color"),
        ({"classes": ["cup"], "point_spacing": 0}, "point_spacing"),
        ({"classes": ["cup"], "point_spacing": [0.02]}, "point_spacing"),
        ({"classes": ["cup"], "class_sizes": 3}, "class_sizes"),
        ({"classes": ["cup"], "class_sizes": {"cup": 0.1}}, "class_sizes"),
        ({"classes": ["cup"], "class_sizes": {"cup": [0.1]}}, "class_sizes"),
        ({"classes": ["cup"], "class_sizes": {"cup": [0, 0.1]}}, "class_sizes"),
        ({"classes": ["cup"], "class_sizes": {"cup": [0.2, 0.1]}}, "class_sizes"),
        ({"classes": ["cup"], "class_sizes": {"": [0.1, 0.2]}}, "class_sizes"),
        ({"classes": ["cup"], "class_sizes": {3: [0.1, 0.2]}}, "class_sizes"),
    ],
)
def test_unusable_values_are_named(values, word):
    with pytest.raises(InputError, match=f"^{word}: "):
        ModelConfig.from_dict(values)


def test_whole_numbers_do_where_fractions_are_expected():
    assert ModelConfig.from_dict({"classes": ["cup"], "voxel_size": 1, "score_threshold": 0}).voxel_size == 1


@pytest.mark.parametrize("content", ["[1, 2", "just text", "model: 3", None])
def test_an_unusable_model_file_is_named(tmp_path, content):
    path = tmp_path / "mine.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=r"mine\.yaml"):
        read_model_file(str(path))
