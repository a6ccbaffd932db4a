"""DSPDet3D: voxels in, boxes out. Knows nothing of training or ROS."""
