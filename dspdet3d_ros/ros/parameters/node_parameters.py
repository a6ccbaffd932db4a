"""Keeps a node's parameters: declares them, refuses bad values with a reason, and gives the worker one snapshot."""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter

from dspdet3d_ros.clouds import region
from dspdet3d_ros.detector.result import DetectionSettings
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.ros.parameters.spec import KINDS, Spec, coerce, fault
from dspdet3d_ros.ros.parameters.table import PARAMETERS, unknown_classes
from dspdet3d_ros.tracking.tracking_settings import TrackingSettings

# rclpy declares it.
SIM_TIME = Spec("use_sim_time", "bool", False, "take the time from /clock")
# Declared by rclpy itself or by users of other tools; not typing errors.
FOREIGN_PREFIXES = ("use_sim_time", "qos_overrides", "start_type_description_service", "diagnostic")


class NodeParameters:
    """The parameters of one node.

    A parameter file or command line with a value that cannot be used does not end the node: `check` reports it when
    the node is configured, until the parameter is set to a good value.

    Args:
        node: the node to declare them on.
        table: the parameters.
        may_change_startup: whether the node is unconfigured, so that start-up parameters may change.
        on_live_change: called in the executor's thread after live parameters changed.
    """

    def __init__(
        self,
        node: LifecycleNode,
        table: Sequence[Spec],
        may_change_startup: Callable[[], bool],
        on_live_change: Callable[[], None],
    ) -> None:
        self._node = node
        self._by_name = {spec.name: spec for spec in table}
        self._names = ", ".join(self._by_name)
        self._may_change_startup = may_change_startup
        self._on_live_change = on_live_change
        self._faults: dict[str, str] = {}
        self._chosen: set[str] = set()
        self._refusal: str | None = None
        self._following_model = False
        # Humble has no callback before the type check: there only an untyped parameter takes 1 for 1.0.
        self._can_coerce = hasattr(node, "add_pre_set_parameters_callback")
        for spec in table:
            self._declare(spec)
        self._warn_of_unknown()
        try:
            self.settings = self._snapshot()
        except InputError as error:
            # Values that are allowed one by one, but not together.
            self._faults["together"] = str(error)
            self.settings = self.settings_of({spec.name: spec.default for spec in table if spec.live})
        if self._can_coerce:
            node.add_pre_set_parameters_callback(self._prepare)
        node.add_on_set_parameters_callback(self._validate)
        if hasattr(node, "add_post_set_parameters_callback"):
            node.add_post_set_parameters_callback(self._apply)

    def __getitem__(self, name: str) -> Any:
        """The present value of a parameter."""
        return coerce(self._by_name[name], self._node.get_parameter(name).value)

    def chosen(self, name: str) -> Any:
        """The value of a `from_model` parameter if it was set, else None."""
        return self[name] if name in self._chosen else None

    def check(self) -> None:
        """Checks the values that were given at the start of the node.

        Raises:
            InputError: names the parameter.
        """
        for text in self._faults.values():
            raise InputError(f"parameter {text}")

    def settings_of(self, live: dict[str, Any]) -> Any:
        """One object of all live values, by name.

        Raises:
            InputError: the values do not fit together.
        """
        raise NotImplementedError

    def conflict(self, name: str, value: Any) -> str | None:
        """Why a value that is allowed cannot be used now, in one line, or None."""
        return None

    def _declare(self, spec: Spec) -> None:
        """Declares a parameter, with the value of a parameter file or command line if that can be used."""
        node = self._node
        given = node.declare_parameter(spec.name, None, ParameterDescriptor(dynamic_typing=True)).value
        node.undeclare_parameter(spec.name)
        value = spec.default
        if given is not None:
            self._chosen.add(spec.name)
            given = coerce(spec, given)
            text = fault(spec, given)
            if text:
                self._faults[spec.name] = text
            else:
                value = given
        if self._can_coerce:
            node.declare_parameter(spec.name, Parameter.Type(KINDS[spec.kind]), _descriptor(spec), ignore_override=True)
        else:
            node.declare_parameter(spec.name, None, _descriptor(spec, dynamic=True), ignore_override=True)
        node.set_parameters([_parameter(spec, value)])

    def _warn_of_unknown(self) -> None:
        given = getattr(self._node, "_parameter_overrides", {})
        for name in given:
            if name not in self._by_name and not name.startswith(FOREIGN_PREFIXES):
                self._node.get_logger().warning(
                    f"there is no parameter '{name}'; it is ignored (there are {self._names})"
                )

    def _prepare(self, parameters: list[Parameter]) -> list[Parameter]:
        """The parameters in their declared types; where one is refused, a stand-in that rclpy takes.

        rclpy checks types, ranges and names before it calls `_validate`, and its reasons have the numbers of types.
        With the stand-in the reason is that of `_fault`.
        """
        self._refusal = next(filter(None, map(self._fault, parameters)), None)
        if self._refusal is None:
            return [self._coerced(parameter) for parameter in parameters]
        spec = next(iter(self._by_name.values()))
        return [_parameter(spec, self[spec.name])]

    def _validate(self, parameters: list[Parameter]) -> SetParametersResult:
        refusal, self._refusal = self._refusal, None
        for text in (refusal, *map(self._fault, parameters)):
            if text:
                return SetParametersResult(successful=False, reason=text)
        try:
            self._snapshot(self._given(parameters))
        except InputError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if not hasattr(self._node, "add_post_set_parameters_callback"):
            self._apply(parameters)
        return SetParametersResult(successful=True)

    def _fault(self, parameter: Parameter) -> str | None:
        name, value = parameter.name, parameter.value
        spec = self._by_name.get(name)
        if spec is None:
            if name == SIM_TIME.name:
                return fault(SIM_TIME, value)
            return (
                None if self._node.has_parameter(name) else f"there is no parameter '{name}'; there are {self._names}"
            )
        value = coerce(spec, list(value) if isinstance(value, array) else value)
        text = fault(spec, value)
        if text or self._following_model:
            return text
        if not spec.live and not self._may_change_startup() and value != self[spec.name]:
            return (
                f"{spec.name} can only change while the node is unconfigured: "
                "deactivate it, clean it up, then set it and configure it again"
            )
        return self.conflict(name, value)

    def _coerced(self, parameter: Parameter) -> Parameter:
        """The parameter in its declared type."""
        spec = self._by_name.get(parameter.name)
        return parameter if spec is None else _parameter(spec, coerce(spec, parameter.value))

    def _given(self, parameters: list[Parameter]) -> dict[str, Any]:
        """The values of those parameters that are of the table."""
        return {parameter.name: parameter.value for parameter in parameters if parameter.name in self._by_name}

    def _apply(self, parameters: list[Parameter]) -> None:
        ours = self._given(parameters)
        for name in (*ours, "together"):
            self._faults.pop(name, None)
        if not self._following_model:
            self._chosen.update(ours)
        if any(self._by_name[name].live for name in ours):
            self.settings = self._snapshot(ours)
            self._on_live_change()

    def _snapshot(self, new: dict[str, Any] | None = None) -> Any:
        """All live values as one object, which the worker reads once for each item."""
        new = new or {}
        specs = [spec for spec in self._by_name.values() if spec.live]
        return self.settings_of({s.name: coerce(s, new[s.name]) if s.name in new else self[s.name] for s in specs})


class DetectorParameters(NodeParameters):
    """The parameters of the detector. Some follow the loaded model where nobody sets them.

    Args:
        node: the node to declare them on.
        may_change_startup: whether the node is unconfigured, so that start-up parameters may change.
        on_live_change: called in the executor's thread after live parameters changed.
    """

    def __init__(
        self, node: LifecycleNode, may_change_startup: Callable[[], bool], on_live_change: Callable[[], None]
    ) -> None:
        self._class_names: tuple[str, ...] = ()
        super().__init__(node, PARAMETERS, may_change_startup, on_live_change)

    def settings_of(self, live: dict[str, Any]) -> DetectionSettings:
        """The thresholds and limits.

        Raises:
            InputError: the corners of the region of interest bound no region.
        """
        text = region.fault(live["roi_min"], live["roi_max"])
        if text:
            raise InputError(text)
        names = {field.name for field in fields(DetectionSettings)}
        values: dict[str, Any] = {
            n: tuple(v) if isinstance(v, (list, array)) else v for n, v in live.items() if n in names
        }
        return DetectionSettings(**values)

    @property
    def tracking(self) -> TrackingSettings | None:
        """The settings of tracking; None while it is off."""
        if not self["tracking"]:
            return None
        return TrackingSettings(births=self["tracking_births"], patience=self["tracking_patience"])

    def conflict(self, name: str, value: Any) -> str | None:
        """Why a class filter does not fit the loaded model."""
        if name == "class_filter" and self._class_names:
            return unknown_classes(value, self._class_names)
        return None

    def apply_model_defaults(self, values: dict[str, Any], class_names: Sequence[str]) -> None:
        """Takes the class names of a loaded model, and its values for all `from_model` parameters that were not set.

        Raises:
            InputError: the class filter has a name that the model does not know.
        """
        text = unknown_classes(self["class_filter"], class_names)
        if text:
            raise InputError(f"parameter {text}")
        self._class_names = tuple(class_names)
        new = [_parameter(self._by_name[name], value) for name, value in values.items() if name not in self._chosen]
        self._following_model = True
        try:
            result = self._node.set_parameters_atomically(new) if new else SetParametersResult(successful=True)
        finally:
            self._following_model = False
        if not result.successful:
            raise InputError(f"the model's own {result.reason}")

    def forget_model(self) -> None:
        """Forgets the class names of the model: any class filter may be set."""
        self._class_names = ()


def _parameter(spec: Spec, value: Any) -> Parameter:
    kind = Parameter.Type(KINDS[spec.kind])
    return Parameter(spec.name, kind, list(value) if spec.kind.endswith("[]") else value)


def _descriptor(spec: Spec, dynamic: bool = False) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(name=spec.name, description=spec.description, dynamic_typing=dynamic)
    constraints = [f"one of {spec.allowed}"] if spec.choices else []
    if not spec.live:
        constraints.append("changes only while the node is unconfigured")
    descriptor.additional_constraints = "; ".join(constraints)
    if spec.low is not None and spec.high is not None and spec.kind == "double":
        descriptor.floating_point_range = [FloatingPointRange(from_value=float(spec.low), to_value=float(spec.high))]
    if spec.low is not None and spec.high is not None and spec.kind == "integer":
        descriptor.integer_range = [IntegerRange(from_value=int(spec.low), to_value=int(spec.high), step=1)]
    return descriptor
