"""Label files of annotation tools, and files that these tools read."""
