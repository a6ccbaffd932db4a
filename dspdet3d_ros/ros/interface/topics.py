"""Names of the detector node's topics, below the node's own name; no ROS is needed to know them."""

INPUT = "input/points"
DETECTIONS = "output/detections"
MARKERS = "output/markers"
OBJECT_POINTS = "output/object_points"
STATS = "output/stats"
LABEL_INFO = "output/label_info"
COLLISION_OBJECTS = "output/collision_objects"
OUTPUTS = (DETECTIONS, MARKERS, OBJECT_POINTS, STATS, LABEL_INFO, COLLISION_OBJECTS)
