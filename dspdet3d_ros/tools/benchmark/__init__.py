"""How fast the detector is here, how much memory it takes, and how that compares with other engines."""
