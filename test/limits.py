"""Limits of time in tests. A test that passes does not wait for them."""

#: For what must come. A busy machine may take a minute to start a process that imports torch and ROS.
WAIT_S = 180
#: For an answer that may have been lost on its way; then the test asks again.
AGAIN_S = 10.0
