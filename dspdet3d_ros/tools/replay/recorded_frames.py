"""Messages of a bag to frames with poses."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from dspdet3d_ros.mapping.frame import FrameRefused, RGBDFrame, pose_from_quaternion
from dspdet3d_ros.mapping.image_messages import frame_of
from dspdet3d_ros.mapping.pairing import ImageSet, Pairing, stamp_ns
from dspdet3d_ros.mapping.refusals import Refusals
from dspdet3d_ros.mapping.trajectory import INTERPOLATED_S
from dspdet3d_ros.recordings.bags import Record
from dspdet3d_ros.recordings.transforms import TransformError, Transforms
from dspdet3d_ros.tools.replay.bag_inputs import TRANSFORMS, Inputs, is_static
from dspdet3d_ros.tools.replay.stamp_order import stamp_of

#: Images wait so long, by the stamps, for a pose that comes after them.
PATIENCE_NS = 1_000_000_000
#: A pose may be so much older or newer than an image that has none between two.
_NEAREST_NS = 100_000_000
#: Names for the frames of the poses, which tf may know with other parents.
_FIXED, _MOVING = "the frame of the poses", "what the poses move"


def add_transforms(transforms: Transforms, record: Record) -> list[str]:
    """Adds a message of tf; returns why some of its transforms cannot be used."""
    texts = []
    for stamped in record.message.transforms:
        t, q = stamped.transform.translation, stamped.transform.rotation
        try:
            pose = pose_from_quaternion((t.x, t.y, t.z), (q.x, q.y, q.z, q.w), stamped.child_frame_id)
        except FrameRefused as refusal:
            texts.append(str(refusal))
            continue
        fixed = is_static(record.topic)
        transforms.add(stamped.header.frame_id, stamped.child_frame_id, stamp_ns(stamped), pose, fixed)
    return texts


class RecordedFrames:
    """Collects images, calibrations and poses, and delivers frames in their order.

    Args:
        inputs: the topics.
        first_pose: the first message of odometry or poses, if there are some.
        world: frame of the map; empty: the frame of the poses, or the root of the tree of frames.
        tolerance_s: largest difference between the stamps of depth and colour.
        units_per_metre: of depth images of 16-bit integers.
        mount: (4, 4) pose of the optical frame in the frame of the poses; None: by tf.
        deliver: takes each frame, with its depth message and the name of the world frame.
        refusals: counts what makes no frame.

    Attributes:
        transforms: of tf and poses.
        remarks: how doubtful inputs were taken.
    """

    def __init__(
        self,
        inputs: Inputs,
        first_pose: Any,
        world: str,
        tolerance_s: float,
        units_per_metre: float,
        mount: np.ndarray | None,
        deliver: Callable[[RGBDFrame, Any, str], None],
        refusals: Refusals,
    ) -> None:
        self._inputs, self._world, self._units, self._deliver = inputs, world, units_per_metre, deliver
        self._refusals = refusals
        self.transforms = Transforms()
        self._now_ns = 0
        self._waiting: deque[ImageSet] = deque()
        self._mount = mount
        # Frame that the poses move, empty where they do not name it, and the frame in which they are given.
        self._moving = getattr(first_pose, "child_frame_id", "")
        self._nameless = hasattr(first_pose, "child_frame_id") and not self._moving
        self._fixed = "" if first_pose is None else first_pose.header.frame_id
        self._poses = Transforms(most_gap_ns=round(INTERPOLATED_S * 1e9))
        self.remarks: list[str] = []
        self._pairing = Pairing(
            self._waiting.append,
            self._refuse,
            lambda: tolerance_s,
            lambda: bool(inputs.colour),
            lambda: self._now_ns * 1e-9,
        )
        self._takers = {
            inputs.depth: self._pairing.take_depth,
            inputs.depth_info: self._pairing.take_info,
        }
        if inputs.colour:
            self._takers[inputs.colour] = self._pairing.take_colour
            self._takers[inputs.colour_info] = self._take_colour_info

    def take(self, record: Record) -> None:
        """Takes the next message."""
        if not is_static(record.topic):
            self._now_ns = max(self._now_ns, stamp_of(record))
        if record.kind == TRANSFORMS:
            for text in add_transforms(self.transforms, record):
                self._refusals.add("transform", text)
        elif record.topic == self._inputs.poses:
            self._take_pose(record.message)
        elif record.topic in self._takers:
            self._takers[record.topic](record.message)
        self._work(last=False)

    def end(self) -> None:
        """No more messages: what waits is delivered or refused."""
        self._now_ns += 2 * PATIENCE_NS
        self._pairing.look()
        self._work(last=True)

    def _take_colour_info(self, message: Any) -> None:
        # One topic for both cameras where depth is registered to colour.
        if self._inputs.colour_info == self._inputs.depth_info:
            self._pairing.take_info(message)
        self._pairing.take_colour_info(message)

    def _take_pose(self, message: Any) -> None:
        pose = message.pose.pose if hasattr(message.pose, "pose") else message.pose
        p, q = pose.position, pose.orientation
        try:
            matrix = pose_from_quaternion((p.x, p.y, p.z), (q.x, q.y, q.z, q.w))
        except FrameRefused as refusal:
            self._refusals.add(refusal.kind, str(refusal))
            return
        self._poses.add(_FIXED, _MOVING, stamp_ns(message), matrix)

    def _work(self, last: bool) -> None:
        while self._waiting:
            images = self._waiting[0]
            waited = last or self._now_ns - stamp_ns(images.depth) >= PATIENCE_NS
            try:
                frame = self._frame(images, _NEAREST_NS if waited else 0)
            except TransformError as error:
                if not waited:
                    return
                self._refusals.add("transform", str(error))
                self._waiting.popleft()
                continue
            except FrameRefused as refusal:
                self._refuse(refusal)
                self._waiting.popleft()
                continue
            self._waiting.popleft()
            try:
                self._deliver(frame, images.depth, self._world)
            except FrameRefused as refusal:
                self._refuse(refusal)

    def _frame(self, images: ImageSet, tolerance_ns: int) -> RGBDFrame:
        header = images.depth.header
        time_ns = stamp_ns(images.depth)
        # Before the images are decoded, as they may have to wait for their pose.
        pose = self._pose(header.frame_id, time_ns, tolerance_ns)
        return frame_of(
            self._with_usable_colour(images),
            lambda: pose,
            self._units,
            lambda frame: self.transforms.find(frame, header.frame_id, time_ns, tolerance_ns),
        )

    def _with_usable_colour(self, images: ImageSet) -> ImageSet:
        """Without the colour image if no tf says where its camera is."""
        if images.colour is None or images.colour_info is None:
            return images
        depth, colour = images.depth.header.frame_id, images.colour.header.frame_id
        if not colour or colour == depth or self.transforms.root_of(colour) == self.transforms.root_of(depth):
            return images
        self._remark(f"colour is not used: no tf leads from '{depth}' to '{colour}', the frame of the colour images")
        return replace(images, colour=None, colour_info=None)

    def _pose(self, optical: str, time_ns: int, tolerance_ns: int) -> np.ndarray:
        """(4, 4) from the coordinates of the optical frame to those of the map, by tf, or by poses and tf.

        Raises:
            TransformError: it is not known at that time.
        """
        connected = bool(self._moving) and self.transforms.root_of(optical) == self.transforms.root_of(self._moving)
        by_tf = not self._inputs.by_poses and self.transforms.moves(self._moving if connected else optical)
        if by_tf or not self._inputs.poses:
            if not tolerance_ns and not self.transforms.moves(optical):
                # What moves the camera may come later. A camera that stands still has waited in vain.
                raise TransformError(f"no transform moves '{optical}' yet")
            self._world = self._world or self.transforms.root_of(optical)
            return self.transforms.find(self._world, optical, time_ns, tolerance_ns)
        self._world = self._world or self._fixed
        pose = self._poses.find(_FIXED, _MOVING, time_ns, tolerance_ns)
        if self._world != self._fixed:
            pose = self.transforms.find(self._world, self._fixed, time_ns, tolerance_ns) @ pose
        if self._mount is not None:
            return pose @ self._mount
        if connected:
            return pose @ self.transforms.find(self._moving, optical, time_ns, tolerance_ns)
        if self._moving or self._nameless:
            of = f"the pose of '{self._moving}', and no tf leads from there to '{optical}'"
            self._remark(
                f"{self._inputs.poses} has {of if self._moving else 'no child_frame_id'}: its pose is taken for that "
                "of the optical frame itself (z forward); if it is not, give --camera-mount"
            )
        return pose

    def _remark(self, text: str) -> None:
        if text not in self.remarks:
            self.remarks.append(text)

    def _refuse(self, refusal: FrameRefused) -> None:
        self._refusals.add(refusal.kind, str(refusal))
