"""Delete what a run has written, so that it begins from nothing, and nothing else."""

import shutil
from contextlib import suppress
from pathlib import Path

import yaml

from vaezoo.errors import UserError
from vaezoo.runs.files import remove_unfinished
from vaezoo.runs.folder import CONFIG, LAST, PREVIOUS, SCORES, Loader, has_checkpoint, lock_folder

LOGS = ("wandb", "tensorboard")  # folders that belong to loggers as a whole
SUBFOLDERS = (*LOGS, "mlflow", "loggers", "figures/over_time", "figures", "checkpoints", ".hydra")
# All files that vaezoo writes into a run folder, besides the locks and the folders of loggers. The configuration is
# the last, because without it a folder that was cleared in part would not be recognised.
WRITTEN = (
    *("done.json", "error.txt", "crash.txt", "environment.json", "train.log", "process_*.log", "bad_batch.npz"),
    *("mlflow/run_id", "loggers/*.json", "metrics.csv", "metrics.json", "metrics.npz", "latents.npz"),
    *("figures/*.png", "figures/*.gif", "figures/*.npz", "figures/over_time/*.png"),
    *(str(LAST), str(PREVIOUS), "checkpoints/best.ckpt"),
    *(".hydra/hydra.yaml", ".hydra/overrides.yaml", str(CONFIG)),
)


def is_run_folder(folder: Path) -> bool:
    """Return whether the folder has a configuration of vaezoo, the mark of a run."""
    try:
        config = yaml.load((folder / CONFIG).read_text(encoding="utf-8"), Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False
    return isinstance(config, dict) and {"model", "dataset", "max_batches"} <= set(config)


def check_clearing(folder: Path) -> None:
    """Raise UserError if the folder holds a run that `clear_folder` would leave."""
    if folder.is_symlink():
        raise UserError(f"{folder}: is a link, and sweep.rerun=all deletes nothing behind links. Remove it first.")
    if has_checkpoint(folder) and not is_run_folder(folder):
        raise UserError(
            f"{folder}: has checkpoints, but no {CONFIG} of vaezoo, so nothing is deleted. Remove it first."
        )


def clear_folder(folder: Path) -> None:
    """Delete the files that a run has written into its folder; of a link, the link alone.

    Files of others stay, and so does everything in a folder in which no run has been.
    """
    if not is_run_folder(folder):
        return
    with lock_folder(folder), lock_folder(folder, SCORES):
        for name in SUBFOLDERS:
            if (folder / name).is_symlink():
                (folder / name).unlink()
        remove_unfinished(folder)
        for name in LOGS:
            if (folder / name).is_dir():
                shutil.rmtree(folder / name)
        # A figure as PDF or SVG lies beside its numbers; other such files are the user's.
        for numbers in folder.glob("figures/*.npz"):
            for ending in (".pdf", ".svg"):
                numbers.with_suffix(ending).unlink(missing_ok=True)
        for pattern in WRITTEN:
            for path in folder.glob(pattern):
                if path.is_symlink() or path.is_file():
                    path.unlink()
        for name in SUBFOLDERS:
            with suppress(OSError):  # It holds files of others, or does not exist.
                (folder / name).rmdir()
