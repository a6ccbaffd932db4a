"""A ROS domain that no other run of the tests on this machine uses."""

import fcntl
import os
import tempfile

#: Above 101 the ports of a domain may be those of other programs.
DOMAINS = range(1, 101)


def reserved():
    """A domain. The lock of a file reserves it until this process ends."""
    first = os.getpid() % len(DOMAINS)
    for domain in (*DOMAINS[first:], *DOMAINS[:first]):
        path = os.path.join(tempfile.gettempdir(), f"dspdet3d_test_domain_{os.getuid()}_{domain}")
        file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            continue
        return domain
    raise RuntimeError("all ROS domains are in use by other runs of the tests")


DOMAIN = reserved()
