"""Calls of a node's services that get their answer also where the middleware loses one."""

import time

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from limits import AGAIN_S, WAIT_S
from rcl_interfaces.srv import GetParameters, SetParameters, SetParametersAtomically
from rclpy.parameter import Parameter, parameter_value_to_python

from dspdet3d_ros.ros.tools.node_client import spin_until

# Where the transitions that a test asks for lead.
GOALS = {
    "configure": "inactive",
    "activate": "active",
    "deactivate": "inactive",
    "cleanup": "unconfigured",
    "shutdown": "finalized",
    Transition.TRANSITION_ACTIVE_SHUTDOWN: "finalized",
}


def to_messages(values):
    """Parameters, or values by name, as messages."""
    given = (value if isinstance(value, Parameter) else Parameter(name, value=value) for name, value in values.items())
    return [parameter.to_parameter_msg() for parameter in given]


class ServiceCaller:
    """Calls the services of the node `name` from the node `caller`, which has an executor; a subclass has both.

    Fast DDS answers no client whose subscription of answers the server does not know: for a moment after the client
    has found the server, or for ever where two threads of a process make endpoints at the same time. The next client
    is known.
    """

    def spin_until(self, condition, timeout_s=WAIT_S):
        """Spins the caller until a condition holds; false where it does not within the time."""
        return spin_until(self.caller.executor, condition, timeout_s)

    def call(self, kind, service, request):
        """Calls a service that may be called again, with another client where no answer comes."""
        clients, answers, end = [], [], time.monotonic() + WAIT_S
        try:
            while time.monotonic() < end:
                clients.append(self.caller.create_client(kind, f"{self.name}/{service}"))
                if self.spin_until(clients[-1].service_is_ready, AGAIN_S):
                    answers.append(clients[-1].call_async(request))
                if self.spin_until(lambda: any(answer.done() for answer in answers), AGAIN_S):
                    return next(answer.result() for answer in answers if answer.done())
            ready = sum(client.service_is_ready() for client in clients)
            asked = f"asked {len(answers)} times, and {ready} of {len(clients)} clients know the server"
            raise AssertionError(f"waited for the answer of {service}: {asked}")
        finally:
            for client in clients:
                self.caller.destroy_client(client)

    def set(self, *, atomically=False, **values):
        """Sets parameters one by one, as `ros2 param set` does, or all at once; returns the last result."""
        parameters = to_messages(values)
        if atomically:
            request = SetParametersAtomically.Request(parameters=parameters)
            return self.call(SetParametersAtomically, "set_parameters_atomically", request).result
        return self.call(SetParameters, "set_parameters", SetParameters.Request(parameters=parameters)).results[-1]

    def get(self, name):
        """A parameter's value."""
        values = self.call(GetParameters, "get_parameters", GetParameters.Request(names=[name])).values
        return parameter_value_to_python(values[0])

    def state(self):
        """The node's lifecycle state."""
        return self.call(GetState, "get_state", GetState.Request()).current_state.label

    def change(self, transition):
        """Triggers a transition, given by label or number; whether it succeeded.

        Asks again where no answer comes and the state is the same.
        """
        wanted = Transition(label=transition) if isinstance(transition, str) else Transition(id=transition)
        before, end = self.state(), time.monotonic() + WAIT_S
        while time.monotonic() < end:
            client = self.caller.create_client(ChangeState, f"{self.name}/change_state")
            try:
                if self.spin_until(client.service_is_ready, AGAIN_S):
                    answer = client.call_async(ChangeState.Request(transition=wanted))
                    if self.spin_until(answer.done, AGAIN_S):
                        return answer.result().success
            finally:
                self.caller.destroy_client(client)
            if (state := self.state()) != before:
                return state == GOALS[transition]
        raise AssertionError(f"waited for the answer to {transition}")
