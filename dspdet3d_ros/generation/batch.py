"""Many scenes written to a folder by several processes."""

from __future__ import annotations

import multiprocessing
from functools import partial
from pathlib import Path

from tqdm import tqdm

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.generation.files import save_scene
from dspdet3d_ros.generation.scene import generate_scene


def write_scenes(folder: Path, first_seed: int, count: int, kind: str, workers: int) -> int:
    """Write the scenes of `count` seeds from `first_seed` on as {seed:06d}.npz; those already there are left alone.

    Returns the number written. Raises InputError for a count below 0, a seed below 0, fewer than one worker, a folder
    that cannot be made, or whatever a scene raises.
    """
    for name, value, least in (("scenes", count, 0), ("seed", first_seed, 0), ("workers", workers, 1)):
        if value < least:
            raise InputError(f"--{name}: expected {least} or more, got {value}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot make the folder: {error.strerror}") from error
    missing = [seed for seed in range(first_seed, first_seed + count) if not _file(folder, seed).exists()]
    task = partial(_write, folder=folder, kind=kind)
    workers = min(workers, max(len(missing), 1))
    if workers == 1:
        for seed in tqdm(missing, unit="scene"):
            task(seed)
        return len(missing)
    # "spawn" works alike on every platform and never inherits the threads of a parent.
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for _ in tqdm(pool.imap_unordered(task, missing), total=len(missing), unit="scene"):
            pass
    return len(missing)


def _file(folder: Path, seed: int) -> Path:
    return folder / f"{seed:06d}.npz"


def _write(seed: int, folder: Path, kind: str) -> None:
    save_scene(_file(folder, seed), generate_scene(seed, kind))
