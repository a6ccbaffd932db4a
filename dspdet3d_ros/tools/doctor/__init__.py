"""Checks of the installation; `dspdet3d doctor` prints them."""
