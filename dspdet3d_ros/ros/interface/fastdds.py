"""Settings of Fast DDS for large clouds: the profile in config/, and the variable that names it.

Imports ROS only where it is used.
"""

import contextlib
import os
from pathlib import Path

PROFILE = "fastdds_large_clouds.xml"
# The variable's names in Kilted and later, and before.
PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
BEFORE_KILTED = ("humble", "iron", "jazzy")


def profile_variable() -> str:
    """The environment variable that Fast DDS of the sourced ROS reads; that of Kilted if ROS_DISTRO is not set."""
    return PROFILE_VARIABLES[os.environ.get("ROS_DISTRO") in BEFORE_KILTED]


def profile_file() -> Path | None:
    """The profile for large clouds, in the checkout or in the installed package."""
    places = [Path(__file__).resolve().parents[3] / "config" / PROFILE]
    # Without a sourced ROS it raises OSError; PackageNotFoundError is a KeyError.
    with contextlib.suppress(ImportError, LookupError, OSError):
        from ament_index_python.packages import get_package_share_directory

        places.append(Path(get_package_share_directory("dspdet3d_ros")) / "config" / PROFILE)
    return next((place for place in places if place.is_file()), None)


def large_cloud_environment() -> dict[str, str]:
    """Environment variables without which Fast DDS loses large best-effort clouds; empty if the user has set them."""
    variable, file = profile_variable(), profile_file()
    return {} if variable in os.environ or file is None else {variable: str(file)}


def remedy() -> str:
    """The remedy if large best-effort clouds are lost."""
    variable = profile_variable()
    text = (
        "with Fast DDS's defaults a best-effort cloud above about 0.5 MB is lost whole: publish reliably, with "
        f"input_reliability auto or reliable here, or start both with {variable}={profile_file() or PROFILE}"
    )
    given = os.environ.get(variable)
    return f"{text} (this node has {given}; has the publisher?)" if given else f"{text} (not set for this node)"
