"""`dspdet3d train`: trains a model on labelled scenes."""

from __future__ import annotations

import argparse
from itertools import chain
from pathlib import Path

from dspdet3d_ros import defaults
from dspdet3d_ros.commands.arguments import add_threads_argument, check_number
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.validation import AT_LEAST_ONE

HELP = "train a model on labelled scenes (in several processes: torchrun --nproc-per-node N -m dspdet3d_ros train ...)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("--config", default=defaults.MODEL, help="name of a model or model file (default: %(default)s)")
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="DIR", help="folders of labelled scenes")
    parser.add_argument("--validate", type=Path, metavar="DIR", help="labelled scenes to evaluate on after each epoch")
    parser.add_argument("--out", type=Path, default=Path("runs/train"), help="folder for checkpoints and logs")
    parser.add_argument("--resume", action="store_true", help="continue from the last checkpoint in the folder")
    parser.add_argument("--init", type=Path, help="checkpoint with the initial weights")
    parser.add_argument("--iterations", type=int, help="optimiser steps (default: from the model file)")
    parser.add_argument("--batch-size", type=int, help="scenes per step and process (default: from the model file)")
    parser.add_argument("--learning-rate", type=float, help="default: from the model file")
    parser.add_argument(
        "--freeze-norm", action="store_true", default=None, help="do not change the normalisation of --init"
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16"),
        help="auto measures which is faster here (default: from the model file)",
    )
    parser.add_argument("--stop-at", type=int, help="pause after this iteration; continue later with --resume")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    add_threads_argument(parser)
    parser.add_argument(
        "--workers", type=int, help="processes that prepare batches (default: 1 on a CPU, up to 8 on a GPU)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed for weights and data (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Trains, and writes `last.pth` (for --resume) and `weights.pth` (float16, for the node)."""
    check_number("--workers", args.workers, AT_LEAST_ONE)

    from tqdm import tqdm

    from dspdet3d_ros.detector.checkpoint import save_checkpoint
    from dspdet3d_ros.detector.config import load_model_config
    from dspdet3d_ros.detector.loaded_model import choose_device
    from dspdet3d_ros.learning.datasets.folders import open_scenes
    from dspdet3d_ros.learning.training.network_evaluation import validate
    from dspdet3d_ros.learning.training.processes import join_run, leave_run
    from dspdet3d_ros.learning.training.scenes import training_scene
    from dspdet3d_ros.learning.training.trainer import Trainer
    from dspdet3d_ros.learning.training.training_config import load_training_config

    model = load_model_config(args.config)
    overrides = ("iterations", "batch_size", "learning_rate", "freeze_norm", "precision")
    config = load_training_config(args.config, **{key: getattr(args, key) for key in overrides})
    if config.freeze_norm and not (args.init or args.resume):
        raise InputError("--freeze-norm: needs a normalisation to keep; give weights to start from with --init")
    sets = [open_scenes(folder, "train", classes=model.classes) for folder in args.data]
    processes, device = join_run(choose_device(args.device))
    first = processes.rank == 0
    bar = tqdm(chain.from_iterable(sets), total=sum(map(len, sets)), desc="reading scenes", disable=not first)
    scenes = [training_scene(scene, model.classes) for scene in bar]
    recipe = config.with_iterations(len(scenes), processes.count)
    trainer = Trainer(model, recipe, args.out, device, args.seed, processes, args.workers)
    if args.resume:
        trainer.resume()
    elif args.init:
        trainer.start_from(args.init)
    if trainer.precision.note and first:
        print(trainer.precision.note)
    trainer.run(scenes, args.stop_at, (lambda: validate(trainer, args.validate)) if args.validate else None)
    leave_run()
    if first:
        save_checkpoint(args.out / "weights.pth", trainer.weights(half=True))
        print(f"{args.out / 'weights.pth'}: {trainer.iteration} of {trainer.config.iterations} iterations")
    return 0
