"""Poses of frames over time, as tf2 keeps them, without ROS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.mapping.trajectory import Trajectory


class TransformError(InputError):
    """There is no transform between two frames at that time."""


@dataclass
class _Link:
    """The poses of a frame in its parent, by time; one for all times if it does not move."""

    parent: str
    poses: Trajectory
    fixed: np.ndarray | None = None


class Transforms:
    """A tree of frames.

    Args:
        memory_ns: poses that are older than the newest of their frame by more are forgotten.
        most_gap_ns: poses that are farther apart are not interpolated; None: all are, as in tf2.
    """

    def __init__(self, memory_ns: int = 60_000_000_000, most_gap_ns: int | None = None) -> None:
        self._links: dict[str, _Link] = {}
        self._memory_ns, self._most_gap_ns = memory_ns, most_gap_ns

    def add(self, parent: str, child: str, time_ns: int, pose: np.ndarray, fixed: bool = False) -> None:
        """Adds the pose of a frame.

        Args:
            parent: frame in which the pose is given.
            child: frame whose pose it is.
            time_ns: its time.
            pose: (4, 4) matrix from the child's coordinates to the parent's, metres.
            fixed: it holds for all times.
        """
        parent, child = parent.lstrip("/"), child.lstrip("/")
        link = self._links.get(child)
        if link is None or link.parent != parent:
            link = self._links[child] = _Link(parent, Trajectory(memory=self._memory_ns))
        if fixed:
            link.fixed = pose
        else:
            link.poses.add(time_ns, pose)

    def knows(self, frame: str) -> bool:
        """Whether the frame has a parent."""
        return frame.lstrip("/") in self._links

    def moves(self, frame: str) -> bool:
        """Whether a frame or one of those above it moves in its parent."""
        chain = self._chain(frame.lstrip("/"))
        return any(self._links[name].fixed is None for name in chain[:-1])

    def root_of(self, frame: str) -> str:
        """The frame at the top of a frame's chain of parents."""
        return self._chain(frame.lstrip("/"))[-1]

    def find(self, target: str, source: str, time_ns: int, tolerance_ns: int = 0) -> np.ndarray:
        """(4, 4) matrix from the coordinates of `source` to those of `target`, interpolated between two times.

        Args:
            target: frame of the result.
            source: frame of the coordinates.
            time_ns: when.
            tolerance_ns: a pose holds for so long before the first and after the last one, and at the ends of a gap.

        Raises:
            TransformError: a frame is not known, the two are not connected, or the time is outside of the known ones.
        """
        target, source = target.lstrip("/"), source.lstrip("/")
        up, down = self._chain(source), self._chain(target)
        common = next((frame for frame in up if frame in down), None)
        if common is None:
            known = ", ".join(sorted({*self._links, *(link.parent for link in self._links.values())})[:20]) or "none"
            raise TransformError(
                f"no transform from '{source}' to '{target}': the frames are not connected; known frames: {known}"
            )
        first = self._product(up[: up.index(common)], time_ns, tolerance_ns)
        second = self._product(down[: down.index(common)], time_ns, tolerance_ns)
        return np.linalg.inv(second) @ first

    def _chain(self, frame: str) -> list[str]:
        chain = [frame]
        while (link := self._links.get(chain[-1])) and link.parent not in chain:
            chain.append(link.parent)
        return chain

    def _product(self, frames: Sequence[str], time_ns: int, tolerance_ns: int) -> np.ndarray:
        pose = np.eye(4)
        for frame in frames:
            pose = self._at(frame, time_ns, tolerance_ns) @ pose
        return pose

    def _at(self, frame: str, time_ns: int, tolerance_ns: int) -> np.ndarray:
        link = self._links[frame]
        if link.fixed is not None:
            return link.fixed
        pose = link.poses.find(time_ns, tolerance_ns, self._most_gap_ns)
        if pose is None:
            around = link.poses.around(time_ns)
            before, after = around[0], around[-1]
            known = f"the {'first' if before > time_ns else 'last'} is of {before / 1e9:.3f} s"
            if after > before:
                known = f"there is none from {before / 1e9:.3f} s to {after / 1e9:.3f} s"
            raise TransformError(f"no transform from '{frame}' to '{link.parent}' at {time_ns / 1e9:.3f} s: {known}")
        return pose
