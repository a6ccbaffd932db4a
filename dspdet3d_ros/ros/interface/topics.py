"""Names of the nodes' topics and services, below the node's own name; no ROS is needed to know them."""

INPUT = "input/points"
DETECTIONS = "output/detections"
MARKERS = "output/markers"
OBJECT_POINTS = "output/object_points"
STATS = "output/stats"
LABEL_INFO = "output/label_info"
OUTPUTS = (DETECTIONS, MARKERS, OBJECT_POINTS, STATS, LABEL_INFO)

#: Of the accumulator.
DEPTH = "input/depth"
DEPTH_COMPRESSED = "input/depth/compressedDepth"
COLOUR = "input/colour"
COLOUR_COMPRESSED = "input/colour/compressed"
CAMERA_INFO = "input/camera_info"
COLOUR_CAMERA_INFO = "input/colour_camera_info"
POSE = "input/pose"
CLOUD = "output/points"
RESET, SAVE = "reset", "save"
RESET_TRACKING = "reset_tracking"
