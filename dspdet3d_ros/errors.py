"""The one error type that a user's input can cause, the wordings that many places share, and the text of others."""

import sys
from pathlib import Path


class InputError(ValueError):
    """Input that cannot be used: a cloud, a file, a setting.

    The text is one line that names the field or file, says what was expected and what came, and what to do about it.
    Tools print it and exit with status 1; the node counts it, logs it and lives on. What would break the line or not
    be seen (line ends, control characters out of a damaged file) is shown as an escape.
    """

    def __init__(self, text: str) -> None:
        super().__init__(printable(text))


def printable(text: str) -> str:
    """The text in one line: characters that cannot be printed are shown as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def no_such_file(path: str | Path, of: str = "") -> InputError:
    """A file that is not there. `of` says in front of the path what names it."""
    return InputError(f"{of}{': ' if of else ''}{path}: no such file; check the path")


def unwritable(path: str | Path, error: BaseException) -> InputError:
    """A file or folder that cannot be written, for the reason that `error` gives."""
    reason = getattr(error, "strerror", None) or text_of(error)
    return InputError(f"{path}: cannot be written: {reason}; name a place that may be written to and has room")


def missing_package(purpose: str, package: str) -> InputError:
    """A Python package that something needs and that this Python does not have."""
    python = sys.executable or "this Python"
    return InputError(
        f"{purpose}: needs the Python package {package}, which is not installed for {python}; "
        f"{python} -m pip install {package}"
    )


def text_of(error: BaseException) -> str:
    """The text of any exception as one line, or its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def one_line(error: BaseException) -> str:
    """Type and text of any exception."""
    name = type(error).__name__
    return f"{name}: {text_of(error)}" if str(error).strip() else name
