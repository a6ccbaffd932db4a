"""Recordings: bags of ROS 2 are read and written without ROS."""
