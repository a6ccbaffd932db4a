"""The one error type that a user's input can cause."""


class InputError(ValueError):
    """Input that cannot be used: a cloud, a file, a setting.

    The text is one line that names the field or file, says what was expected and what came, and what to do about it.
    Tools print it and exit with status 1; the node counts it, logs it and lives on.
    """
