import subprocess
import sys

import pytest
from limits import WAIT_S

from dspdet3d_ros import __version__
from dspdet3d_ros.cli import build_parser, main


def test_every_command_explains_itself(capsys):
    for command in ("baseline", "convert", "dataset", "detect", "evaluate", "generate", "train", "verify"):
        with pytest.raises(SystemExit) as end:
            build_parser().parse_args([command, "--help"])
        assert end.value.code == 0
        assert command in capsys.readouterr().out


def test_unusable_input_is_one_line_and_status_1(tmp_path, capsys):
    assert main(["evaluate", str(tmp_path / "none")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(tmp_path / "none") in error


def test_the_module_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "dspdet3d_ros", "--version"], capture_output=True, text=True, timeout=WAIT_S
    )
    assert done.stdout.strip() == f"dspdet3d_ros {__version__}"
    assert done.returncode == 0


def test_help_needs_neither_torch_nor_ros():
    code = (
        "import sys; from dspdet3d_ros.cli import build_parser; build_parser(); "
        "print('torch' in sys.modules, 'rclpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT_S, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_python_without_torch_is_named_in_one_line():
    code = "import sys; sys.modules['torch'] = None; from dspdet3d_ros import cli; sys.exit(cli.main(['detect', 'a']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"needs the Python package torch, which is not installed for {sys.executable}; " in done.stderr
