"""The page itself: template, style, script and contents in one HTML file that fetches nothing."""

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any

from dspdet3d_ros.output_files import writing
from dspdet3d_ros.tools.viewer.page.contents import Report

TEMPLATE = Path(__file__).parent / "template"
# In this order they are one script.
SCRIPTS = ("camera.js", "shaders.js", "drawing.js", "boxes.js", "labels.js", "panel.js", "controls.js", "main.js")
# What JSON allows but HTML would read as markup; all that is not ASCII is escaped anyway.
UNSAFE = {ord(c): f"\\u{ord(c):04x}" for c in "<>&"}


def write_page(path: str | Path, report: Report) -> None:
    """Writes a page that needs no network and no other file; its folder is made.

    Raises:
        InputError: the file cannot be written.
    """
    text = page_text(report)
    with writing(path):
        Path(path).write_text(text, encoding="utf-8")


def page_text(report: Report) -> str:
    """The page as text. What comes from the cloud, its file name or class names, can be no markup and no script."""
    style = _template("style.css")
    script = '"use strict";\n(() => {\n' + "\n".join(_template(name) for name in SCRIPTS) + "})();\n"
    parts = {
        # File names may hold bytes that are no UTF-8.
        "title": html.escape(report.name.encode("utf-8", "replace").decode("utf-8")),
        "policy": _policy(style, script),
        "style": style,
        "script": script,
        "contents": as_script_data(report.as_json()),
    }
    # In one pass: what is filled in is not searched for further places.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _template("page.html"))


def as_script_data(values: dict[str, Any]) -> str:
    """JSON that can stand in a script element whatever text it holds."""
    return json.dumps(values, allow_nan=False, separators=(",", ":")).translate(UNSAFE)


def _template(name: str) -> str:
    return (TEMPLATE / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Content security policy: this script and this style, no other, and no request to anywhere."""
    script_hash, style_hash = (
        base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii") for text in (script, style)
    )
    allowed = f"img-src data:; script-src 'sha256-{script_hash}'; style-src 'sha256-{style_hash}'"
    return f"default-src 'none'; base-uri 'none'; form-action 'none'; {allowed}"
