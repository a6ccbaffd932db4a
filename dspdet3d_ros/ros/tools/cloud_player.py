"""Publishes a cloud from a file again and again, as a robot's mapping would: `ros2 run dspdet3d_ros cloud_player`."""

import os
import sys
from pathlib import Path
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.clouds.upright import upright
from dspdet3d_ros.defaults import DEMO_CLOUD
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.ros import signals
from dspdet3d_ros.ros.interface.fastdds import large_cloud_environment
from dspdet3d_ros.ros.interface.messages import cloud_message
from dspdet3d_ros.ros.interface.qos import LATCHED
from dspdet3d_ros.ros.parameters.player import PARAMETERS
from dspdet3d_ros.ros.parameters.spec import Spec, coerce, fault
from dspdet3d_ros.ros.process import run

NODE_NAME = "cloud_player"
OUTPUT = "~/output/points"


class CloudPlayer(Node):
    """Publishes one cloud on ~/output/points every `period_s`, reliable and latched, with the present time as stamp.

    Raises:
        InputError: a parameter cannot be used, or the file cannot be read.
    """

    #: Nothing is computed here that a lost GPU could stop.
    lost = None

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__(NODE_NAME, **node_arguments)
        value = {spec.name: self._declared(spec) for spec in PARAMETERS}
        path = Path(value["cloud"] or DEMO_CLOUD)
        with signals.interruptible(f"{path} was being read"):
            cloud = upright(read_cloud(path, value["columns"] or None), value["up"], value["unit"])
        self._message = cloud_message(Header(frame_id=value["frame_id"]), cloud.xyz, cloud.rgb)
        self._publisher = self.create_publisher(PointCloud2, OUTPUT, LATCHED)
        self.create_timer(value["period_s"], self._publish)
        self._publish()
        self.get_logger().info(
            f"publishing {path} ({len(cloud.xyz)} points, frame '{value['frame_id']}') on {self._publisher.topic_name} "
            f"every {value['period_s']:g} s"
        )

    def close(self, timeout_s: float) -> bool:
        """Nothing goes on in the background."""
        return True

    def _publish(self) -> None:
        self._message.header.stamp = self.get_clock().now().to_msg()
        self._publisher.publish(self._message)

    def _declared(self, spec: Spec) -> Any:
        # Typed dynamically, so that 1 is taken for 1.0.
        descriptor = ParameterDescriptor(description=spec.description, read_only=True, dynamic_typing=True)
        value = coerce(spec, self.declare_parameter(spec.name, spec.default, descriptor).value)
        text = fault(spec, value)
        if text:
            raise InputError(f"parameter {text}")
        return value


def main(args: list[str] | None = None) -> int:
    """Runs the player; status 1 and one line if its cloud cannot be published."""
    # Fast DDS reads it when the node is made. The profile of the sender decides whether a large cloud arrives.
    os.environ.update(large_cloud_environment())
    try:
        return run(CloudPlayer, args)
    except InputError as error:
        print(f"{NODE_NAME}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
