"""A node that a soak test takes through settings and lifecycle cycles, and what is measured of it."""

import random
import time
from collections import Counter
from typing import Any

from lifecycle_msgs.msg import Transition

from dspdet3d_ros.ros.tools.endurance.process_sample import ProcessSample, sample_process
from dspdet3d_ros.ros.tools.node_client import ClientError, NodeClient, NodeProcess

CYCLES_A_CONFIGURE = 10


class NodeUnderTest:
    """One node under test.

    Args:
        client: of the node.
        process: of the node.
        seed: of the random choices.

    Attributes:
        samples: of the node's process, one after each cycle.
        latencies: time and milliseconds of each lifecycle transition.
        counts: what was done and what came back.
    """

    def __init__(self, client: NodeClient, process: NodeProcess, seed: int) -> None:
        self.process = process
        self.random = random.Random(seed)
        self.samples: list[ProcessSample] = []
        self.latencies: list[tuple[float, float]] = []
        self.counts: Counter[str] = Counter()
        self._node = client

    def set(self, **values: Any) -> None:
        """Sets parameters.

        Raises:
            ClientError: one is refused.
        """
        for result in self._node.set_parameters(**values):
            if not result.successful:
                raise ClientError(f"a setting was refused: {result.reason}")

    def change_states(self, number: int) -> None:
        """Deactivates and activates the node in cycle `number`; each tenth goes as far as cleanup."""
        self._change(Transition.TRANSITION_DEACTIVATE)
        if number % CYCLES_A_CONFIGURE == CYCLES_A_CONFIGURE - 1:
            self._change(Transition.TRANSITION_CLEANUP)
            self._change(Transition.TRANSITION_CONFIGURE)
            self.counts["configured"] += 1
        self._change(Transition.TRANSITION_ACTIVATE)
        self.counts["activated"] += 1

    def sample(self) -> None:
        """Takes a sample of the process."""
        self.samples.append(sample_process(self.process.pid))

    def _change(self, transition: int) -> None:
        start = time.monotonic()
        self._node.change_state(transition)
        self.latencies.append((start, (time.monotonic() - start) * 1e3))
