"""From posed RGB-D frames to an accumulated cloud: no ROS, CPU or CUDA."""
