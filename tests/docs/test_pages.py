"""Every command and every Python example of the pages runs, or tests/support/pages.py says why one is not run."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import pages
from tests.support.configuration import check_line
from tests.support.pages import PAGES, Block
from tests.support.paths import ROOT


def test_blocks_and_commands_are_read_from_a_page():
    text = "Text:\n\n```\nmake x\n```\n\n```python\nx\n```\n\n`f.py`:\n\n```python\nx = 1\n```\n"
    commands, example, file = pages.read_blocks(text)
    assert (commands.language, commands.text, commands.title) == ("", "make x\n", "Text:")
    assert pages.is_file(file)
    assert not pages.is_file(example)
    assert Block("", "python -m a \\\n    b   # c\nmake x\n", "").commands == [("python -m a b", ""), ("make x", "")]
    assert Block("", "$ python -m a\nno\nb\n$ c\n", "").commands == [("python -m a", "no\nb\n"), ("c", "")]
    assert Block("", "folder/\n    file\n", "").commands == []


def test_budgets_become_short():
    few = "metric.rows=100 metric.test_rows=20"
    train = f"python -m vaezoo.train {few} callbacks.progress=false"
    go_on = "python -m vaezoo.train run=DIR max_batches="
    assert (
        pages.shorten("python -m vaezoo.train model=vae")
        == f"{train} max_batches=2 metric=none figure=none logger=csv model=vae"
    )
    assert pages.shorten("python -m vaezoo.train max_batches=9 logger=none metric=fast") == (
        f"{train} max_batches=2 logger=none metric=fast"
    )
    assert "max_batches=600" in pages.shorten("python -m vaezoo.train lr_schedule=cosine")
    assert "sweep.dry=true" in pages.shorten("python -m vaezoo.train -m seed=0,1")
    assert "sweep.trials=2" in pages.shorten("python -m vaezoo.train -m sweep=optuna sweep.trials=30")
    assert "sweep.dry=true" not in pages.shorten("python -m vaezoo.train -m sweep.name=a seed=0,1")
    assert pages.shorten(f"{go_on}900") == f"{go_on}4"
    assert pages.shorten("python -m vaezoo.evaluate run=DIR") == f"python -m vaezoo.evaluate {few} run=DIR"


def test_outputs_match_with_other_line_breaks_and_parts_left_out():
    assert pages.matches("a message that\nis long. Known: x, y, z.", "a message\nthat is long. Known: x, ...")
    assert not pages.matches("another message", "a message")


def test_training_commands_that_need_other_machines_are_accepted():
    """The slow test runs the other commands."""
    lines = {line for _, line in pages.list_commands(PAGES) if re.search(r"^(torchrun|srun)|trainer=gpu|slurm", line)}
    assert len(lines) >= 3
    for line in lines:
        check_line(shlex.split(re.split(r"vaezoo.train", line)[1], comments=True))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with the runs that pages name."""
    folder = tmp_path_factory.mktemp("runs")
    pages.make_runs(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_a_page_runs_from_top_to_bottom(page, runs, in_tmp, monkeypatch):
    text = page.read_text(encoding="utf-8")
    pages.make_folder(in_tmp, runs, text)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.syspath_prepend(str(in_tmp))
    names: dict[str, object] = dict(pages.make_names())
    for block in pages.read_blocks(text):
        if block.language == "python" and not pages.is_file(block):
            code = compile(block.text, page.name, "exec")
            if not pages.reason_not_to_run(block.text):
                exec(code, names)
        for line, shown in block.commands if not block.language else ():
            if not pages.reason_not_to_run(line):
                run_command(line, shown, in_tmp)


def run_command(line: str, shown: str, folder: Path) -> None:
    """Run a command of a page, and compare what it prints with what the page shows."""
    command = pages.find_folder(line if shown else pages.shorten(line), folder)
    done = subprocess.run(command, shell=True, executable="bash", capture_output=True, text=True, timeout=900)
    output = done.stdout + done.stderr
    assert (done.returncode != 0) == shown.startswith("vaezoo: "), f"{command}\n{output}"
    assert pages.matches(output, shown), f"{command}\n{output}"
