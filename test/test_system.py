import os
import platform
import subprocess
import sys

import numpy as np
import pytest
from limits import WAIT_S

from dspdet3d_ros.system import measure_peak_memory, memory_bytes, process_status

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="this system has no /proc")


def test_the_status_of_another_process_has_its_memory():
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


def test_a_missing_process_is_an_error():
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    with pytest.raises(FileNotFoundError):
        process_status(child.pid)


def test_freed_memory_counts_at_its_peak():
    value, memory = measure_peak_memory(lambda: float(np.ones(8_000_000).sum()), "cpu")
    assert value == 8_000_000
    if memory is None:
        pytest.skip("this system does not report the peak memory of a process")
    assert memory.growth == pytest.approx(64e6, rel=0.3)
    assert 0 < memory.before < memory.peak


def test_the_peak_of_earlier_work_does_not_count():
    first = measure_peak_memory(lambda: np.ones(8_000_000).sum(), "cpu")[1]
    second = measure_peak_memory(lambda: np.ones(1000).sum(), "cpu")[1]
    if first is None:
        pytest.skip("this system does not report the peak memory of a process")
    assert second.growth < first.growth / 4


def test_freed_memory_is_kept_where_that_is_asked_for():
    code = (
        "import ctypes\n"
        "from dspdet3d_ros.system import keep_freed_memory, memory_bytes, process_status\n"
        "def resident():\n"
        "    block = bytearray(256 << 20)\n"
        "    block[::4096] = b'a' * (len(block) // 4096)\n"
        "    del block\n"
        "    return memory_bytes(process_status(), 'VmRSS')\n"
        "before = resident()\n"
        "keep_freed_memory()\n"
        "print(resident() - before)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT_S)
    assert result.returncode == 0, result.stderr
    if platform.libc_ver()[0] == "glibc":
        assert int(result.stdout) > 200 << 20
