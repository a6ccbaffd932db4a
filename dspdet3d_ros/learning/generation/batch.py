"""Many scenes written to a folder by several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from dspdet3d_ros.errors import missing_package
from dspdet3d_ros.learning.datasets.scene_files import save_scene
from dspdet3d_ros.learning.generation.catalogue import Catalogue
from dspdet3d_ros.learning.generation.scene import generate_scene, thinned
from dspdet3d_ros.output_files import make_folder


def write_scenes(
    folder: Path,
    first_seed: int,
    count: int,
    kind: str,
    workers: int,
    most: int | None = None,
    catalogue: Catalogue | None = None,
) -> int:
    """Write the scenes of `count` seeds from `first_seed` on as {seed:06d}.npz; those already there are left alone.

    With `most`, a scene with more points is thinned to that number. Half of the objects come from the `catalogue`.

    `count` and `first_seed` are at least 0, `workers` and `most` at least 1. Returns the number written. Raises
    InputError for a folder that cannot be made, or whatever a scene raises.
    """
    make_folder(folder)
    missing = [seed for seed in range(first_seed, first_seed + count) if not _file(folder, seed).exists()]
    task = partial(_write, folder=folder, kind=kind, most=most, catalogue=catalogue)
    if workers == 1 or len(missing) < 2:
        return _count(map(task, missing), len(missing))
    # "spawn" works alike on every platform and never inherits the threads of a parent.
    with multiprocessing.get_context("spawn").Pool(min(workers, len(missing))) as pool:
        return _count(pool.imap_unordered(task, missing), len(missing))


def _count(done: Iterable[None], total: int) -> int:
    """Run through `done` under a progress bar and count."""
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise missing_package("generating scenes", "tqdm") from error
    return sum(1 for _ in tqdm(done, total=total, unit="scene"))


def _file(folder: Path, seed: int) -> Path:
    return folder / f"{seed:06d}.npz"


def _write(seed: int, folder: Path, kind: str, most: int | None, catalogue: Catalogue | None) -> None:
    scene = generate_scene(seed, kind, catalogue)
    save_scene(_file(folder, seed), scene if most is None else thinned(scene, most, seed))
