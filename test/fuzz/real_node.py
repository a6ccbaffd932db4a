"""The parameter service of the real node, in a process of its own, compared with what docs/parameters.md allows."""

import os
from contextlib import contextmanager
from pathlib import Path

from hypothesis import strategies as st
from outcome import Tally, judge
from parameters import VALUES, allowed
from targets import Target

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.ros.parameters.table import BY_NAME
from dspdet3d_ros.ros.tools.client import Client
from dspdet3d_ros.ros.tools.node_client import NodeProcess, isolate

SHARE = 0.05


def _is_text(value) -> bool:
    """False for texts that DDS cannot carry: with a zero in it."""
    texts = value if isinstance(value, list) else [value]
    return not any(isinstance(text, str) and "\0" in text for text in texts)


# The page allows them, but what is absent or of no type cannot be sent as a parameter.
SENDABLE = VALUES.filter(lambda value: value not in (None, []) and not isinstance(value, bytes) and _is_text(value))
CASES = st.tuples(st.sampled_from(sorted(BY_NAME)), SENDABLE)


@contextmanager
def node_target(folder: Path):
    """A node that is not configured, so that every parameter may change, and what to do with a case."""
    isolate()
    namespace = f"/fuzz_{os.getpid()}"
    process = NodeProcess(namespace, ["autostart:=false"], Path(folder) / "node.log")
    try:
        client = Client(process, namespace, 180.0)
        try:
            assert client.state() == "unconfigured"
            yield Target(CASES, lambda tally, case: run(client, tally, case), SHARE)
            assert client.state() == "unconfigured"
        finally:
            client.close()
    finally:
        status = process.stop()
    assert status == 0
    assert "Traceback" not in (Path(folder) / "node.log").read_text(errors="replace")


def run(client: Client, tally: Tally, case) -> None:
    """One value for one parameter of the node: taken exactly where docs/parameters.md allows it."""
    name, value = case

    def use():
        (result,) = client.set_parameters(**{name: value})
        if not result.successful:
            raise InputError(result.reason)
        return (value,)

    taken = judge(tally, use)
    assert (taken is not None) == allowed(name, value), f"{name} {value!r}"
