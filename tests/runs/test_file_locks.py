"""Locks where flock is missing: they hold, say who holds them, and end with their process."""

import errno
import fcntl
import os
import signal
import subprocess
import sys

import pytest
from filelock import Timeout

from vaezoo.errors import UserError
from vaezoo.runs.file_locks import acquire_lock, name_note
from vaezoo.runs.folder import LOCK, is_running, lock_folder


def fail_flock(number: int):
    """Return a flock of a file system that answers with that error."""

    def flock(file: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    return flock


@pytest.fixture(params=[errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP], ids=errno.errorcode.get)
def no_flock(request, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", fail_flock(request.param))


def test_a_lock_without_flock_holds_and_names_its_holder(tmp_path, no_flock):
    with lock_folder(tmp_path):
        assert is_running(tmp_path)
        with (
            pytest.raises(UserError, match=rf"names process {os.getpid()} on .*Remove this file"),
            lock_folder(tmp_path),
        ):
            pass
    assert not is_running(tmp_path)
    with lock_folder(tmp_path):
        assert is_running(tmp_path)


def test_the_lock_of_a_killed_process_ends(tmp_path, no_flock):
    script = (
        "import errno, fcntl, os, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.runs.test_file_locks import fail_flock\n"
        "from vaezoo.runs.file_locks import acquire_lock\n"
        "fcntl.flock = fail_flock(errno.ENOLCK)\n"
        "lock = acquire_lock(Path(sys.argv[1]), 0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / LOCK)], timeout=100)
    assert done.returncode == -signal.SIGKILL
    assert name_note(tmp_path / LOCK).is_file()
    assert not is_running(tmp_path)
    with lock_folder(tmp_path):
        assert is_running(tmp_path)


@pytest.mark.parametrize("here_without_flock", [True, False])
def test_the_lock_of_another_host_is_respected(tmp_path, monkeypatch, here_without_flock):
    if here_without_flock:
        monkeypatch.setattr(fcntl, "flock", fail_flock(errno.ENOLCK))
    name_note(tmp_path / LOCK).write_text("17\nanother.host\n")
    assert is_running(tmp_path)
    with pytest.raises(UserError, match=r"names process 17 on another.host. Remove this file"), lock_folder(tmp_path):
        pass
    name_note(tmp_path / LOCK).unlink()
    with lock_folder(tmp_path):
        assert is_running(tmp_path)


def test_a_lock_needs_no_fcntl(tmp_path):
    script = (
        "import sys, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "sys.modules['fcntl'] = None\n"
        "from pathlib import Path\n"
        "from vaezoo.runs.folder import is_running, lock_folder\n"
        "with lock_folder(Path(sys.argv[1])): print(is_running(Path(sys.argv[1])))\n"
        "print(is_running(Path(sys.argv[1])))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=100)
    assert done.stdout.split() == ["True", "False"], done.stderr


def test_other_errors_of_a_lock_are_not_hidden(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", fail_flock(errno.EIO))
    with pytest.raises(OSError, match="Input/output") as caught:
        acquire_lock(tmp_path / LOCK, 0)
    assert not isinstance(caught.value, Timeout)
