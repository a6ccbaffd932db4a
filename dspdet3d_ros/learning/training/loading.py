"""Batches, prepared by other processes while the network trains."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.utils.data import DataLoader, Dataset

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.training.crops import CropDataset
from dspdet3d_ros.learning.training.train_sample import TrainSample
from dspdet3d_ros.system import usable_cores

#: One process prepares a batch in about the time in which a GPU makes one or two steps.
_MOST_WORKERS = 8
#: Batches that are prepared beforehand, over all workers.
_AHEAD = 4


def default_workers(device: torch.device, processes: int) -> int:
    """The number of processes that prepare batches: one if the CPU trains, on a GPU as many as the cores allow.

    Args:
        device: that trains.
        processes: that train on this computer.
    """
    if device.type == "cpu":
        return 1
    return max(1, min(_MOST_WORKERS, usable_cores() // processes - 1))


def load_batches(data: CropDataset, iterations: range, workers: int) -> Iterator[list[TrainSample]]:
    """The batches of these iterations, in order; which they are does not depend on the number of workers.

    Raises:
        InputError: a batch cannot be made.
    """
    loader = DataLoader(
        _BatchOrError(data),
        batch_size=None,
        sampler=iterations,
        num_workers=workers,
        prefetch_factor=max(1, _AHEAD // workers),
        # Forked processes share the scenes; others would each get a copy.
        multiprocessing_context="fork" if "fork" in multiprocessing.get_all_start_methods() else None,
    )
    for batch in loader:
        if isinstance(batch, InputError):
            raise batch
        yield batch


@dataclass
class _BatchOrError(Dataset):
    """Batches, or the error of one in its place: a loader would turn an exception into a text with its traceback."""

    batches: CropDataset

    def __getitem__(self, iteration: int) -> list[TrainSample] | InputError:
        try:
            return self.batches[iteration]
        except InputError as error:
            return error
