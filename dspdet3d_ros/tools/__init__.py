"""Tools for developers and for looking at results; the node imports nothing of this."""
