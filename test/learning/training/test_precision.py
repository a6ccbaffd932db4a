"""The precision of training follows from what is fast on the computer."""

import os
import platform
import subprocess
import sys

import pytest
import torch

from dspdet3d_ros.learning.training.precision import choose_precision

CPU = torch.device("cpu")
#: What takes a processor's newer instructions, those for bfloat16 among them, away from torch.
OLD_PROCESSOR = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}


def chosen(wanted):
    code = (
        "import torch; from dspdet3d_ros.learning.training.precision import choose_precision; "
        f"print(*choose_precision({wanted!r}, torch.device('cpu'), 64), sep='|')"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=os.environ | OLD_PROCESSOR, capture_output=True, text=True, check=True)
    return done.stdout.strip().split("|")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86 processors can be made older by a variable")
def test_an_old_processor_trains_in_fp32_with_a_warning_where_bf16_is_wanted():
    name, note = chosen("auto")
    assert name == "fp32"
    assert note.startswith("precision: fp32, since")
    name, note = chosen("bf16")
    assert name == "bf16"
    assert note.endswith("consider fp32")


def test_the_choice_is_one_of_the_two_and_says_why():
    name, note = choose_precision("auto", CPU, 16)
    assert note.startswith(f"precision: {name}, since")
    assert name in ("fp32", "bf16")


def test_fp32_needs_no_measurement():
    assert choose_precision("fp32", CPU, 16) == ("fp32", "")
