"""Detection in cloud files: one file, or many on several processes and machines."""
