import os
import subprocess
import sys

import pytest

from dspdet3d_ros.system import memory_bytes, process_status

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="this system has no /proc")


def test_a_process_is_seen_with_what_it_holds():
    script = "import sys; block = bytearray(64_000_000); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        status = process_status(child.pid)
        child.stdin.close()
    assert int(status["Pid"]) == child.pid
    assert memory_bytes(status, "RssAnon") > 64e6
    assert memory_bytes(status, "VmHWM") >= memory_bytes(status, "VmRSS") > 64e6


def test_the_own_process_is_the_default():
    assert int(process_status()["Pid"]) == os.getpid()


def test_a_process_that_is_not_there_is_told():
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    with pytest.raises(FileNotFoundError):
        process_status(child.pid)
