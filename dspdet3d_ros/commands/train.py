"""`dspdet3d train`: weights from labelled scenes."""

from __future__ import annotations

import argparse
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from dspdet3d_ros import defaults
from dspdet3d_ros.commands.arguments import add_threads_argument
from dspdet3d_ros.errors import InputError

if TYPE_CHECKING:
    from dspdet3d_ros.learning.training.trainer import Trainer

HELP = "train a model on labelled scenes (in several processes: torchrun --nproc-per-node N -m dspdet3d_ros train ...)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("--config", default=defaults.MODEL, help="model file or the name of one (default: %(default)s)")
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="DIR", help="folders of labelled scenes")
    parser.add_argument("--validate", type=Path, metavar="DIR", help="labelled scenes to evaluate on after each epoch")
    parser.add_argument("--out", type=Path, default=Path("runs/train"), help="folder for checkpoints and logs")
    parser.add_argument("--resume", action="store_true", help="go on from the folder's last checkpoint")
    parser.add_argument("--init", type=Path, help="checkpoint whose weights are the start")
    parser.add_argument("--iterations", type=int, help="optimiser steps, instead of what the model file says")
    parser.add_argument("--batch-size", type=int, help="scenes a step and process, instead of the model file's")
    parser.add_argument("--learning-rate", type=float, help="instead of the model file's")
    parser.add_argument(
        "--freeze-norm", action="store_true", default=None, help="keep the normalisation of --init as it is"
    )
    parser.add_argument("--precision", choices=("fp32", "bf16"), help="instead of the model file's")
    parser.add_argument("--stop-at", type=int, help="pause after this iteration; --resume goes on later")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:n (default: %(default)s)")
    add_threads_argument(parser)
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and data (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Trains, then writes `last.pth` (to resume from) and `weights.pth` (float16, for the node)."""
    from tqdm import tqdm

    from dspdet3d_ros.detector.checkpoint import save_checkpoint
    from dspdet3d_ros.detector.config import load_model_config
    from dspdet3d_ros.detector.predictor import choose_device
    from dspdet3d_ros.learning.datasets.folders import open_scenes
    from dspdet3d_ros.learning.training import parallel
    from dspdet3d_ros.learning.training.config import load_training_config
    from dspdet3d_ros.learning.training.scenes import training_scene
    from dspdet3d_ros.learning.training.trainer import Trainer

    model = load_model_config(args.config)
    overrides = ("iterations", "batch_size", "learning_rate", "freeze_norm", "precision")
    config = load_training_config(args.config, **{key: getattr(args, key) for key in overrides})
    if config.freeze_norm and not (args.init or args.resume):
        raise InputError("--freeze-norm: needs a normalisation to keep; give weights to start from with --init")
    sets = [open_scenes(folder, "train", classes=model.classes) for folder in args.data]
    rank, processes, device = parallel.start(choose_device(args.device))
    bar = tqdm(chain.from_iterable(sets), total=sum(map(len, sets)), desc="reading scenes", disable=rank > 0)
    scenes = [training_scene(scene, model.classes) for scene in bar]
    trainer = Trainer(model, config.with_iterations(len(scenes), processes), args.out, device, args.seed, rank)
    if args.resume:
        trainer.resume()
    elif args.init:
        trainer.start_from(args.init)
    trainer.run(scenes, args.stop_at, (lambda: _evaluate(trainer, args.validate)) if args.validate else None)
    parallel.finish()
    if rank == 0:
        save_checkpoint(args.out / "weights.pth", trainer.weights(half=True))
        print(f"{args.out / 'weights.pth'}: {trainer.iteration} of {trainer.config.iterations} iterations")
    return 0


def _evaluate(trainer: Trainer, folder: Path) -> dict[str, float]:
    from dspdet3d_ros.detector.predictor import Detector
    from dspdet3d_ros.learning.datasets.folders import open_scenes
    from dspdet3d_ros.learning.evaluation import report
    from dspdet3d_ros.sparse import TorchEngine

    scenes = open_scenes(folder, "val", classes=trainer.model.classes)
    detector = Detector(trainer.model, trainer.network, TorchEngine(), trainer.device, "in training", "")
    settings = detector.default_settings()
    judged = report.judge(report.finder(detector, settings), scenes)
    values = report.figures(judged, settings.score_threshold, scenes.groups, detector.class_names)
    print(f"after {trainer.iteration} iterations on {folder}:\n{report.table(values)}")
    shown = {"ap25": values["agnostic"]["ap25"], "ap50": values["agnostic"]["ap50"]}
    for group, means in values["means"].items():
        shown |= {f"{key}_{group}": means[key] for key in ("map25", "map50")}
    return {f"validation/{key}": value for key, value in shown.items()}
