"""Programs around the node: player, demo, endurance runs."""
