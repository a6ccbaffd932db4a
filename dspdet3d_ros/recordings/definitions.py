"""Definitions of the messages that the libraries for bags do not know, in the language of .msg files."""

DEFINITIONS = {
    "vision_msgs/msg/ObjectHypothesis": """\
string class_id
float64 score
""",
    "vision_msgs/msg/ObjectHypothesisWithPose": """\
ObjectHypothesis hypothesis
geometry_msgs/PoseWithCovariance pose
""",
    "vision_msgs/msg/BoundingBox3D": """\
geometry_msgs/Pose center
geometry_msgs/Vector3 size
""",
    "vision_msgs/msg/Detection3D": """\
std_msgs/Header header
ObjectHypothesisWithPose[] results
BoundingBox3D bbox
string id
""",
    "vision_msgs/msg/Detection3DArray": """\
std_msgs/Header header
Detection3D[] detections
""",
    "vision_msgs/msg/VisionClass": """\
uint16 class_id
string class_name
""",
    "vision_msgs/msg/LabelInfo": """\
std_msgs/Header header
vision_msgs/VisionClass[] class_map
float32 threshold
""",
    "dspdet3d_ros/msg/PruningStats": """\
std_msgs/Header header
string model
string device
string backend
float64 pruning_threshold
uint32 points_in
uint32 points_used
uint32 points_out_of_range
uint32 points_outside_roi
uint32 voxels
uint32 detections
uint32 not_finite
uint32[] level
uint32[] cells_before
uint32[] cells_kept
uint32[] cells_dropped
string[] stage_names
float64[] stage_ms
float64 total_ms
float64 latency_ms
float64 age_ms
uint64 clouds_received
uint64 clouds_processed
uint64 clouds_dropped
uint64 clouds_refused
""",
}
