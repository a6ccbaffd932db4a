"""The real node with levers: lines on its standard input make the detector fail in ways that no message can cause.

The errors are real ones of Python and torch, raised where the network would raise them; everything else is the node's.
"""

import resource
import sys
import threading
import time
from pathlib import Path

import torch

from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.ros.detector_node import main

pending = []
gate = threading.Event()
real = Detector.__call__


def out_of_memory():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def illegal_access():
    raise getattr(torch, "AcceleratorError", RuntimeError)("CUDA error: an illegal memory access was encountered")


def leave():
    raise SystemExit(3)


def hang():
    time.sleep(120)


def overflown(detector, xyz, settings):
    """With finite weights for which the boxes' sizes are too large for float32."""
    bias = detector.network.head.bbox_conv.bias
    with torch.no_grad():
        kept = bias.clone()
        bias.fill_(100)
        found = real(detector, xyz, settings)
        bias.copy_(kept)
    return found


def spoiled(detector, xyz, settings):
    """With three predictions of the coarsest level that no box can be made of."""

    def spoil(layer, _, out):
        handle.remove()
        out.features[0, 1], out.features[1, 3], out.features[2, 3:] = float("nan"), -200, 30

    handle = detector.network.head.bbox_conv.register_forward_hook(spoil)
    return real(detector, xyz, settings)


def wait():
    print("waits", file=sys.stderr, flush=True)
    gate.wait()


LEVERS = {
    "wait": wait,
    "out_of_memory": out_of_memory,
    "illegal_access": illegal_access,
    "leave": leave,
    "hang": hang,
}


def faulty(detector, xyz, settings):
    name = pending.pop() if pending else ""
    if name in LEVERS:
        LEVERS[name]()
    if name == "overflow":
        return overflown(detector, xyz, settings)
    if name == "spoil":
        return spoiled(detector, xyz, settings)
    return real(detector, xyz, settings)


def read():
    for line in sys.stdin:
        lever = line.strip()
        if lever.startswith("memory "):
            limit = resource.RLIM_INFINITY
            if lever != "memory free":
                pages = int(Path("/proc/self/statm").read_text().split()[0])
                limit = pages * resource.getpagesize() + int(lever.split()[1]) * 1_000_000
            resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        elif lever == "go":
            gate.set()
        else:
            pending.append(lever)
        print(f"pulled {lever}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    Detector.__call__ = faulty
    threading.Thread(target=read, daemon=True).start()
    sys.exit(main())
