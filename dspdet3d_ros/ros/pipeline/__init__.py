"""From a cloud message to its answer."""
