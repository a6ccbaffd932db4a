"""The one error type that a user's input can cause, and the text of others."""


class InputError(ValueError):
    """Input that cannot be used: a cloud, a file, a setting.

    The text is one line that names the field or file, says what was expected and what came, and what to do about it.
    Tools print it and exit with status 1; the node counts it, logs it and lives on. What would break the line or not
    be seen (line ends, control characters out of a damaged file) is shown as an escape.
    """

    def __init__(self, text: str) -> None:
        super().__init__("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text))


def text_of(error: BaseException) -> str:
    """The text of any exception as one line, or its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
