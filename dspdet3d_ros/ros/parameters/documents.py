"""The documents that follow from a table of parameters: a Markdown table, and the node's file in config/."""

from collections.abc import Sequence
from typing import Any

from dspdet3d_ros.ros.parameters.spec import Spec

UNSAFE_PLAIN = ("", "true", "false", "yes", "no", "on", "off", "null", "~")


def default_text(spec: Spec) -> str:
    """The default as the documents show it."""
    if spec.from_model:
        return "the model's"
    return f"`{_yaml(spec.default, _empty(spec))}`"


def markdown_table(parameters: Sequence[Spec]) -> str:
    """The parameters as a Markdown table."""
    rows = ["| Parameter | Type | Default | Allowed | When | Meaning |", "|---|---|---|---|---|---|"]
    for spec in parameters:
        when = "any time" if spec.live else "start-up"
        cells = (f"`{spec.name}`", spec.kind, default_text(spec), spec.allowed, when, spec.description)
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def config_yaml(parameters: Sequence[Spec], node: str, module: str) -> str:
    """The text of a node's file in config/: every parameter with its default; those of the model are commented out."""
    lines = [
        f"# Parameters of the {node} node; made from dspdet3d_ros/ros/parameters/{module}.py.",
        "/**:",
        "  ros__parameters:",
    ]
    for live, title in ((False, "Start-up: read when the node is configured."), (True, "Live: changes at any time.")):
        lines.append(f"    # {title}")
        for spec in (spec for spec in parameters if spec.live == live):
            allowed = f" ({spec.allowed})" if spec.allowed else ""
            lines.append(f"    # {spec.description}{allowed}")
            if spec.from_model:
                lines.append(f"    # {spec.name}: {_yaml(spec.default)}    # left out: as the model has it")
            else:
                lines.append(f"    {spec.name}: {_yaml(spec.default, _empty(spec))}")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _empty(spec: Spec) -> str:
    """An empty list of the kind of a parameter."""
    return "[]" if spec.kind == "double[]" else '[""]'


def _yaml(value: Any, empty: str = '[""]') -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        # ROS reads `[]` as no value at all, which the node takes as empty too; this form is clear to both.
        return empty if not value else "[" + ", ".join(value) + "]"
    if isinstance(value, str):
        return f'"{value}"' if value in UNSAFE_PLAIN else value
    return str(value)
