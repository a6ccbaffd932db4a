"""Identity over time: objects keep their number and their name from one cloud of a place to the next."""
