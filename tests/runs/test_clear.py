"""`sweep.rerun=all` deletes only what vaezoo wrote, in folders of runs, and follows no link."""

from pathlib import Path

import pytest

from tests.support.command_line import QUICK, SCORES, train
from tests.support.reports import write_run
from vaezoo.errors import UserError
from vaezoo.runs.clear import check_clearing, clear_folder
from vaezoo.runs.folder import CONFIG, LOCK, lock_folder
from vaezoo.runs.folder import SCORES as SCORES_LOCK


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or path.is_file()}


def test_everything_that_a_run_writes_is_deleted_and_nothing_else(in_tmp, monkeypatch):
    assert train(monkeypatch, "max_batches=10", "logger=csv", "hydra.run.dir=a", *QUICK, *SCORES) == 0
    folder = Path("a")
    for name in (
        "wandb/offline-run-1/run.wandb",
        "process_1.log",
        "error.txt",
        "checkpoints/.last.partial",
        "figures/samples.pdf",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    assert len(files(folder)) > 30
    theirs = {"notes.txt", "figures/mine.pdf", "checkpoints/kept.pt", ".hydra/mine.yaml", "report/index.html"}
    for name in theirs:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("mine")
    check_clearing(folder)
    clear_folder(folder)
    assert files(folder) == theirs | {str(LOCK), str(SCORES_LOCK)}
    clear_folder(folder)
    assert files(folder) == theirs | {str(LOCK), str(SCORES_LOCK)}


def make_run(folder: Path) -> Path:
    return write_run(folder, {"elbo": 1.0}, max_batches=5)


@pytest.mark.parametrize("name", ["checkpoints", "figures", "wandb", "checkpoints/last.ckpt", "metrics.csv"])
def test_of_a_link_only_the_link_is_deleted(name, tmp_path):
    folder, elsewhere = make_run(tmp_path / "a"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "last.ckpt").write_text("mine")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(elsewhere / "last.ckpt" if "." in name else elsewhere)
    clear_folder(folder)
    assert not (folder / name).is_symlink()
    assert files(elsewhere) == {"last.ckpt"}
    assert "metrics.json" not in files(folder)


def test_a_folder_without_the_mark_of_a_run_is_left_alone(tmp_path):
    for text in (None, "mine: true", "[", "model: x"):
        folder = tmp_path / str(text)
        (folder / ".hydra").mkdir(parents=True)
        (folder / "metrics.csv").write_text("mine")
        if text is not None:
            (folder / CONFIG).write_text(text)
        before = files(folder)
        check_clearing(folder)
        clear_folder(folder)
        assert files(folder) == before
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last.ckpt").touch()
    with pytest.raises(UserError, match="has checkpoints, but no"):
        check_clearing(folder)


def test_a_linked_folder_is_refused(tmp_path):
    folder = make_run(tmp_path / "a")
    (tmp_path / "b").symlink_to(folder)
    with pytest.raises(UserError, match="deletes nothing behind links"):
        check_clearing(tmp_path / "b")


def test_a_folder_that_is_being_evaluated_is_not_cleared(tmp_path):
    folder = make_run(tmp_path / "a")
    before = files(folder)
    with lock_folder(folder, SCORES_LOCK), pytest.raises(UserError, match="another process is evaluating there"):
        clear_folder(folder)
    assert files(folder) == before | {str(LOCK), str(SCORES_LOCK)}
