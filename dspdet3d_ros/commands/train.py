"""`dspdet3d train`: weights from labelled scenes."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "train a model on labelled scenes (in several processes: torchrun --nproc-per-node N -m dspdet3d_ros train ...)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("data", type=Path, nargs="+", help="folders of .npz scenes, as `dspdet3d generate` makes them")
    parser.add_argument("--model", default="small", help="model file or the name of one (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/train"), help="folder for checkpoints and logs")
    parser.add_argument("--resume", action="store_true", help="go on from the folder's last checkpoint")
    parser.add_argument("--init", type=Path, help="checkpoint whose weights are the start")
    parser.add_argument("--iterations", type=int, help="optimiser steps, instead of the model file's")
    parser.add_argument("--batch-size", type=int, help="scenes a step, instead of the model file's")
    parser.add_argument("--precision", choices=("fp32", "bf16"), help="instead of the model file's")
    parser.add_argument("--stop-at", type=int, help="pause after this iteration; --resume goes on later")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:n (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: torch's own choice)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and data (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Trains, then writes `last.pth` (to resume from) and `weights.pth` (float16, for the node)."""
    import torch
    from tqdm import tqdm

    from dspdet3d_ros.detector.checkpoint import save_checkpoint
    from dspdet3d_ros.detector.config import load_model_config
    from dspdet3d_ros.detector.predictor import choose_device
    from dspdet3d_ros.training import parallel
    from dspdet3d_ros.training.config import load_training_config
    from dspdet3d_ros.training.scenes import read_training_scene, scene_files
    from dspdet3d_ros.training.trainer import Trainer

    if args.threads:
        torch.set_num_threads(args.threads)
    model = load_model_config(args.model)
    config = load_training_config(
        args.model, iterations=args.iterations, batch_size=args.batch_size, precision=args.precision
    )
    rank, _, device = parallel.start(choose_device(args.device))
    trainer = Trainer(model, config, args.out, device, args.seed, rank)
    if args.resume:
        trainer.resume()
    elif args.init:
        trainer.start_from(args.init)
    files = [path for folder in args.data for path in scene_files(folder)]
    scenes = [read_training_scene(path, model.classes) for path in tqdm(files, desc="reading scenes", disable=rank > 0)]
    trainer.run(scenes, args.stop_at)
    parallel.finish()
    if rank == 0:
        save_checkpoint(args.out / "weights.pth", trainer.weights(half=True))
        print(f"{args.out / 'weights.pth'}: {trainer.iteration} of {config.iterations} iterations")
    return 0
