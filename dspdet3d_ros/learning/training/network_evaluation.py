"""Evaluation of a network that is in training."""

from __future__ import annotations

import copy
from pathlib import Path

from dspdet3d_ros.detector.loaded_model import LoadedModel
from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.learning.datasets.folders import open_scenes
from dspdet3d_ros.learning.datasets.labelled_scene import SceneSet
from dspdet3d_ros.learning.evaluation.accuracy import evaluate_scenes, figures, predictor_of, table
from dspdet3d_ros.learning.training.trainer import Trainer
from dspdet3d_ros.sparse import make_engine


def validate(trainer: Trainer, folder: Path) -> dict[str, float]:
    """Evaluates the network as process 0 has it, and prints the figures there.

    The processes of the run share the scenes.

    Args:
        trainer: its network stays as it is.
        folder: labelled scenes; of a data set with splits, those for validation.

    Returns:
        Values to log, by name, in process 0; none in the others.

    Raises:
        InputError: the scenes cannot be read.
    """
    processes = trainer.processes
    scenes = open_scenes(folder, "val", classes=trainer.model.classes)
    network = copy.deepcopy(trainer.network)
    # Weights are the same everywhere, the running statistics are those of each process's own batches.
    network.load_state_dict(processes.of_first(trainer.weights()["state_dict"]))
    engine = make_engine("auto", trainer.device)
    detector = Detector(LoadedModel(trainer.model, network, "in training"), engine, trainer.device)
    settings = detector.default_settings()
    own = SceneSet(scenes.readers[processes.rank :: processes.count])
    shares = processes.gathered(evaluate_scenes(predictor_of(detector, settings), own))
    if not shares:
        return {}
    evaluations = [shares[i % processes.count][i // processes.count] for i in range(len(scenes))]
    values = figures(evaluations, settings.score_threshold, scenes.groups, detector.class_names)
    print(f"after {trainer.iteration} iterations on {folder}:\n{table(values)}")
    shown = {"ap25": values["agnostic"]["ap25"], "ap50": values["agnostic"]["ap50"]}
    for group, means in values["means"].items():
        shown |= {f"{key}_{group}": means[key] for key in ("map25", "map50")}
    return {f"validation/{key}": value for key, value in shown.items()}
