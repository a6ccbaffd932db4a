"""Remarks on clouds that are faulty or doubtful, but used."""

from dataclasses import dataclass

from dspdet3d_ros.errors import printable


@dataclass(frozen=True)
class Remark:
    """A faulty or doubtful detail of a cloud.

    The node counts remarks by kind, logs each kind once, and shows them in its diagnostics.

    Attributes:
        kind: key of the node's table of faults, for example "row_step".
        text: one line: what was found, how the cloud is used, what to correct.
    """

    kind: str
    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", printable(self.text))
