"""`python -m dspdet3d_ros`: the command-line tool."""

import sys

from dspdet3d_ros.cli import main

sys.exit(main())
