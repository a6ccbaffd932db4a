"""Whether what this package needs is installed and fits together; `dspdet3d doctor` prints it."""
