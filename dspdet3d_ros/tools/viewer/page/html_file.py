"""The HTML file of a page: template, style, script and contents. It makes no requests."""

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any

from dspdet3d_ros.output_files import writing
from dspdet3d_ros.tools.viewer.page.contents import PageContents

TEMPLATE = Path(__file__).parent / "template"
# Concatenated in this order, they are one script.
SCRIPTS = ("camera.js", "shaders.js", "drawing.js", "boxes.js", "labels.js", "panel.js", "controls.js", "main.js")
# Characters that JSON allows but HTML reads as markup. `json.dumps` escapes everything that is not ASCII.
UNSAFE = {ord(c): f"\\u{ord(c):04x}" for c in "<>&"}


def write_page(path: str | Path, report: PageContents) -> None:
    """Writes a page that needs no network and no other file; creates its folder.

    Raises:
        InputError: the file cannot be written.
    """
    text = page_text(report)
    with writing(path):
        Path(path).write_text(text, encoding="utf-8")


def page_text(report: PageContents) -> str:
    """The page as text. File names and class names cannot become markup or script."""
    style = _template("style.css")
    script = '"use strict";\n(() => {\n' + "\n".join(_template(name) for name in SCRIPTS) + "})();\n"
    parts = {
        # File names may contain bytes that are not valid UTF-8.
        "title": html.escape(report.name.encode("utf-8", "replace").decode("utf-8")),
        "policy": _policy(style, script),
        "style": style,
        "script": script,
        "contents": as_script_data(report.as_json()),
    }
    # In one pass, so that inserted text is not searched for placeholders.
    return re.sub(r"\{\{(\w+)\}\}", lambda placeholder: parts[placeholder[1]], _template("page.html"))


def as_script_data(values: dict[str, Any]) -> str:
    """JSON that is safe in a script element, whatever text it contains."""
    return json.dumps(values, allow_nan=False, separators=(",", ":")).translate(UNSAFE)


def _template(name: str) -> str:
    return (TEMPLATE / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Content security policy: allows only this script and this style, and no requests."""
    script_hash, style_hash = (
        base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii") for text in (script, style)
    )
    allowed = f"img-src data:; script-src 'sha256-{script_hash}'; style-src 'sha256-{style_hash}'"
    return f"default-src 'none'; base-uri 'none'; form-action 'none'; {allowed}"
