"""Several processes that train one network, started by torchrun."""

from __future__ import annotations

import os

import torch
from torch import distributed, nn


def start(device: torch.device) -> tuple[int, int, torch.device]:
    """Joins the other processes where torchrun started this one.

    Returns:
        This process's rank, the number of processes, and the device that this process is to use.
    """
    if "WORLD_SIZE" not in os.environ:
        return 0, 1, device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return distributed.get_rank(), distributed.get_world_size(), device


def average_gradients(network: nn.Module) -> None:
    """Replaces every gradient by its mean over the processes, in one exchange.

    A level that no cell reached leaves no gradient in one process and does in another: it counts as zero.
    """
    if not distributed.is_initialized():
        return
    parameters = list(network.parameters())
    flat = torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in parameters])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for parameter, gradient in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = gradient.view_as(parameter)


def finish() -> None:
    """Leaves the other processes."""
    if distributed.is_initialized():
        distributed.destroy_process_group()
