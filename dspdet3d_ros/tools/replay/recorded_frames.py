"""Messages of a bag to frames with poses."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from dspdet3d_ros.mapping.frame import FrameRefused, RGBDFrame
from dspdet3d_ros.mapping.image_messages import frame_of
from dspdet3d_ros.mapping.pairing import ImageSet, Pairing, stamp_ns
from dspdet3d_ros.mapping.refusals import Refusals
from dspdet3d_ros.recordings.bags import Record
from dspdet3d_ros.recordings.transforms import TransformError, Transforms, pose_matrix
from dspdet3d_ros.tools.replay.bag_inputs import POSES, TRANSFORMS, Inputs

#: Images wait so long, in recorded time, for a pose that comes after them.
PATIENCE_NS = 1_000_000_000
#: A pose may be so much older or newer than an image that has none between two.
_NEAREST_NS = 100_000_000


def add_transforms(transforms: Transforms, record: Record) -> list[str]:
    """Adds a message of tf; returns why some of its transforms cannot be used."""
    texts = []
    for stamped in record.message.transforms:
        t, q = stamped.transform.translation, stamped.transform.rotation
        try:
            pose = pose_matrix((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))
        except TransformError as error:
            texts.append(f"{stamped.child_frame_id}: {error}")
            continue
        fixed = record.topic.endswith("static")
        transforms.add(stamped.header.frame_id, stamped.child_frame_id, stamp_ns(stamped), pose, fixed)
    return texts


class RecordedFrames:
    """Collects images, calibrations and poses, and delivers frames in their order.

    Args:
        inputs: the topics.
        world: frame of the map; empty: the frame of the poses, or the root of the tree of frames.
        tolerance_s: largest difference between the stamps of depth and colour.
        units_per_metre: of depth images of 16-bit integers.
        deliver: takes each frame, with its depth message and the name of the world frame.
        refusals: counts what makes no frame.
    """

    def __init__(
        self,
        inputs: Inputs,
        world: str,
        tolerance_s: float,
        units_per_metre: float,
        deliver: Callable[[RGBDFrame, Any, str], None],
        refusals: Refusals,
    ) -> None:
        self._inputs, self._world, self._units, self._deliver = inputs, world, units_per_metre, deliver
        self._refusals = refusals
        self.transforms = Transforms()
        self._now_ns = 0
        self._waiting: deque[ImageSet] = deque()
        self._moving = ""
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
        self._now_ns = record.time_ns
        if record.kind == TRANSFORMS:
            for text in add_transforms(self.transforms, record):
                self._refusals.add("transform", text)
        elif record.kind in POSES and record.topic == self._inputs.poses:
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
            matrix = pose_matrix((p.x, p.y, p.z), (q.x, q.y, q.z, q.w))
        except TransformError as error:
            self._refusals.add("pose", str(error))
            return
        self._moving = getattr(message, "child_frame_id", "") or "camera"
        self._world = self._world or message.header.frame_id
        self.transforms.add(message.header.frame_id, self._moving, stamp_ns(message), matrix)

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
        source = header.frame_id
        if self._moving and not self.transforms.knows(source):
            # The pose is that of the camera itself, where no tf says where the camera sits.
            source = self._moving
        self._world = self._world or self.transforms.root_of(source)
        # Before the images are decoded, as they may have to wait for their pose.
        pose = self.transforms.find(self._world, source, time_ns, tolerance_ns)
        return frame_of(
            images,
            lambda: pose,
            self._units,
            lambda frame: self.transforms.find(frame, header.frame_id, time_ns, tolerance_ns),
        )

    def _refuse(self, refusal: FrameRefused) -> None:
        self._refusals.add(refusal.kind, str(refusal))
