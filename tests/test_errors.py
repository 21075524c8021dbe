"""Commands outlive their terminal, and end with a line in place of a traceback."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from vaezoo.errors import UserError, command, describe_build_error

PROGRAM = """
import sys
from vaezoo.errors import outlive_terminal
outlive_terminal()
outlive_terminal()
for number in range(5000):
    print("\u03b2 =", number)
print("\u03b2 at the end", file=sys.stderr)
open("result", "w").write("whole")
"""


@pytest.mark.parametrize("redirection", ["| head -1", "> /dev/full", ">&-", "> /dev/null 2>&-", "> /dev/null"])
def test_what_is_printed_does_not_decide_what_is_done(redirection, in_tmp):
    """The reader of a pipe is gone, the disk is full, a stream is closed, the terminal knows only ASCII letters."""
    Path("program.py").write_text(PROGRAM, encoding="utf-8")
    line = f"{sys.executable} program.py {redirection}; exit ${{PIPESTATUS[0]}}"
    ascii_only = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    process = subprocess.run(
        ["bash", "-c", line], env={**os.environ, **ascii_only}, capture_output=True, text=True, timeout=60
    )
    assert process.returncode == 0, process.stderr
    assert Path("result").read_text(encoding="utf-8") == "whole"
    assert process.stderr in ("", "? at the end\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize("is_early", [True, False])
def test_a_terminal_that_is_closed_does_not_decide_what_is_done(is_early, in_tmp):
    """It goes away before the first word is printed, or in between, and the hang-up is ignored as nohup does."""
    import pty

    wait = "import signal, sys, time\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    wait += "sys.stdin.read()\n" if is_early else ""
    program = PROGRAM.replace("import sys\n", wait, 1).replace("5000", "50000")
    Path("program.py").write_text(program, encoding="utf-8")
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "program.py"], stdin=subprocess.PIPE, stdout=terminal, stderr=terminal, start_new_session=True
    )
    os.close(terminal)
    if not is_early:
        os.read(master, 1)
    os.close(master)
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    assert Path("result").read_text(encoding="utf-8") == "whole"


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (UserError("x=1: must be 2."), 2, "vaezoo: x=1: must be 2.\n"),
        (OSError(28, "No space left", "there"), 2, "vaezoo: There is no space left to write there.\n"),
        (OSError(30, "Read-only file system", "x"), 2, "vaezoo: x cannot be written (Read-only file system).\n"),
        (KeyboardInterrupt(), 130, "\ninterrupted by SIGINT\n"),
    ],
)
def test_a_command_ends_with_a_line(error, status, message, capfd):
    with pytest.raises(SystemExit) as end, command():
        raise error
    assert end.value.code == status
    assert capfd.readouterr().err == message


def build_and_describe(folder, text: str) -> str:
    """Return how the error is described that Hydra raises when it builds the class of a file with this text."""
    (folder / "faulty_zoo.py").write_text(text, encoding="utf-8")
    sys.modules.pop("faulty_zoo", None)
    importlib.invalidate_caches()
    with pytest.raises(InstantiationException) as raised:
        instantiate({"_target_": "faulty_zoo.Model"})
    return describe_build_error(raised.value)


def test_an_error_in_the_code_of_a_part_is_described_with_its_line(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    place = tmp_path / "faulty_zoo.py"
    begin = "faulty_zoo.Model cannot be built: "
    missing = build_and_describe(tmp_path, "\nimport no_such_thing\n")
    assert missing == f"{begin}ModuleNotFoundError: No module named 'no_such_thing' ({place}, line 2)"
    wrong = build_and_describe(tmp_path, "class Model:\n    def __init__(self):\n        self.x = y\n")
    assert wrong == f"{begin}NameError: name 'y' is not defined ({place}, line 3)"
    ours = "from vaezoo.errors import UserError\ndef Model():\n    raise UserError('rows=3: must be more.')\n"
    assert build_and_describe(tmp_path, ours) == "rows=3: must be more."
