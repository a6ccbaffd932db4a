"""Messages, topics and quality of service."""
