"""Several processes that train one network, started by torchrun."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

#: How long processes wait for each other where one of them may have more to do; one that ends is noticed at once.
PATIENCE = timedelta(days=30)


@dataclass(frozen=True)
class Processes:
    """The processes of a run, seen from one of them; without torchrun it is the only one.

    Attributes:
        rank: number of this process. Process 0 writes the files.
        count: number of processes.
        patient: group for what may take one process much longer than another, where a collective operation of the
            default group would time out; None for a single process.
    """

    rank: int = 0
    count: int = 1
    patient: distributed.ProcessGroup | None = None

    def average_gradients(self, network: nn.Module, usable: Tensor) -> bool:
        """Replaces every gradient by its mean over the processes, in one exchange.

        A level that no cell reached leaves no gradient in one process and does in another: it counts as zero.

        Args:
            network: all processes have the same.
            usable: () bool on the network's device, whether this process's gradients are to be used.

        Returns:
            True if those of all processes are to be used.
        """
        if self.count == 1:
            return bool(usable)
        parameters = list(network.parameters())
        parts = [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in parameters]
        flat = torch.cat([*parts, (~usable).to(parts[0].dtype)[None]])
        distributed.all_reduce(flat)
        flat, unusable = flat[:-1], flat[-1]
        flat /= self.count
        for parameter, gradient in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            parameter.grad = gradient.view_as(parameter)
        return not bool(unusable)

    def of_first(self, value: Any) -> Any:
        """Process 0's value, in every process."""
        if self.count == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, src=0, group=self.patient)
        return values[0]

    def gathered(self, value: Any) -> list[Any]:
        """The value of each process, in process 0; an empty list in the others. Waits for all, however long."""
        if self.count == 1:
            return [value]
        values: list[Any] | None = [None] * self.count if self.rank == 0 else None
        distributed.gather_object(value, values, dst=0, group=self.patient)
        return values or []

    def wait(self) -> None:
        """Waits until all processes are here, however long that takes."""
        if self.count > 1:
            distributed.barrier(group=self.patient)


def join_run(device: torch.device, timeout: timedelta | None = None) -> tuple[Processes, torch.device]:
    """Joins the other processes if torchrun started this one.

    Args:
        device: where to train; with CUDA each process takes the GPU of its number on this computer.
        timeout: of an exchange of gradients; torch's own if not given.

    Returns:
        The processes and the device that this process is to use.
    """
    if "WORLD_SIZE" not in os.environ:
        return Processes(), device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timeout)
    patient = distributed.new_group(backend="gloo", timeout=PATIENCE)
    return Processes(distributed.get_rank(), distributed.get_world_size(), patient), device


def leave_run() -> None:
    """Leaves the other processes."""
    if distributed.is_initialized():
        distributed.destroy_process_group()
