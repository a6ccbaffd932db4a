"""The error type for unusable input, error texts that many modules share, and the text of other exceptions."""

import sys
from pathlib import Path


class InputError(ValueError):
    """Unusable input: a cloud, a file or a setting.

    The text is one line. It names the field or file, the expected and the received value, and the remedy. Commands
    print it and exit with status 1. The node counts and logs it and keeps running. Line ends and control characters,
    for example from a damaged file, are escaped.
    """

    def __init__(self, text: str) -> None:
        super().__init__(printable(text))


def printable(text: str) -> str:
    """The text as one line, with escapes for characters that cannot be printed."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def no_such_file(path: str | Path, of: str = "") -> InputError:
    """The error for a missing file. `of` is the name of the setting that contains the path."""
    return InputError(f"{of}{': ' if of else ''}{path}: no such file; check the path")


def unwritable(path: str | Path, error: BaseException) -> InputError:
    """The error for a file or folder that cannot be written. `error` has the reason."""
    reason = getattr(error, "strerror", None) or text_of(error)
    return InputError(f"{path}: cannot be written: {reason}; choose a writable path with free space")


def missing_package(purpose: str, package: str) -> InputError:
    """The error for a missing Python package. `purpose` names what needs it."""
    python = sys.executable or "this Python"
    return InputError(
        f"{purpose}: needs the Python package {package}, which is not installed for {python}; "
        f"{python} -m pip install {package}"
    )


def text_of(error: BaseException) -> str:
    """The text of any exception as one line, or its type if it has no text."""
    return " ".join(str(error).split()) or type(error).__name__


def one_line(error: BaseException) -> str:
    """Type and text of any exception as one line."""
    name = type(error).__name__
    return f"{name}: {text_of(error)}" if str(error).strip() else name
