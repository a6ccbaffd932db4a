"""Limits in tests: of time, for which a test that passes does not wait, and of scores."""

#: For what must come. A busy machine may take a minute to start a process that imports torch and ROS.
WAIT_S = 180
#: For an answer that may have been lost on its way; then the test asks again.
AGAIN_S = 10.0
#: A box whose score is so near the score threshold may come and go with the rounding of sums.
NEAR_THRESHOLD = 0.01
