"""Point clouds: from messages and files to arrays. Knows nothing of the network."""
