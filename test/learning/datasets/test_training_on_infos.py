"""Training on a data set in mmdet3d's format."""

import numpy as np
import pytest

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.classes import scannet_md40
from dspdet3d_ros.learning.datasets.folders import open_scenes
from dspdet3d_ros.learning.training.crops import CropDataset
from dspdet3d_ros.learning.training.scenes import training_scene
from dspdet3d_ros.learning.training.training_config import load_training_config


def test_the_published_recipe_trains_on_it(infos):
    infos.write("scannet_infos_train.pkl")
    classes = scannet_md40().classes
    scenes = [training_scene(scene, classes) for scene in open_scenes(infos.folder, "train", classes=classes)]
    assert all(scene.inst is None for scene in scenes)
    config = load_training_config("scannet_md40").with_iterations(len(scenes), 1)
    batch = CropDataset(scenes, classes, config, seed=0, recenter=True)[0]
    assert len(batch) == config.batch_size
    for sample in batch:
        xyz, boxes, labels = (part.numpy() for part in (sample.points, sample.boxes, sample.labels))
        assert labels.tolist() == [classes.index("chair"), classes.index("cup")]
        for box in boxes:
            # The published turns are small, and boxes keep their size.
            assert (np.abs(xyz - box[:3]) <= box[3:] / 2 + 0.03).all(1).sum() >= 190


def test_classes_of_another_model_are_named(infos):
    infos.write()
    (first, *_) = open_scenes(infos.folder)
    with pytest.raises(InputError, match=r"scene0000_00: class 'chair' is not among the model's 2 classes"):
        training_scene(first, ("cup", "bowl"))
