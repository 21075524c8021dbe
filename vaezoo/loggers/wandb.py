"""Weights & Biases as a copy of the run folder: it never asks a question, never waits long and never stops a run."""

import hashlib
import json
import logging
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from vaezoo.loggers.base import RunLogger, find_pictures_over_time, has_public_data, read_rows
from vaezoo.loggers.mode import choose_mode, has_credentials
from vaezoo.runs.files import write_text

log = logging.getLogger(__name__)

INIT_TIMEOUT = 20.0  # seconds that a server has to accept a new run
FINISH_TIMEOUT = 120.0  # seconds that a server has to take what is left at the end of a run
LONGEST_NAME = 128  # letters in a name or group, which a server refuses beyond it
NOTE = "next_step"  # a file beside each W&B record: all rows before this step are in the record


class WandB(RunLogger):
    """One W&B run per job: `name` are the job's overrides, `group` is its study, the tags are its model and data set.

    W&B's steps are the training batches, and values that are logged at the same batch are one row. A resumed folder
    continues its W&B run: offline records that were never uploaded are deleted, and rows from the noted step on are
    sent from metrics.csv and figures/. The first error of W&B switches it off for this run, which it does not stop.

    Pictures of public data sets are sent, and those of a user's own data only where `pictures` is true.
    """

    name, version = "wandb", ""

    def __init__(
        self,
        folder: str | Path,
        project: str,
        name: str,
        group: str | None,
        entity: str | None = None,
        model: str | None = None,
        dataset: str | None = None,
        pictures: bool | None = None,
    ) -> None:
        super().__init__()
        self.folder = Path(folder)
        labels = {"project": project, "name": shorten(name), "group": shorten(group), "entity": entity}
        tags = [tag for tag in (model, dataset) if tag]
        self.labels: dict[str, Any] = {**labels, "job_type": model, "tags": tags}
        self.pictures = pictures
        self.run: Any = None
        self.step = 0  # of the newest row; in a resumed run, at first the step after the rows that W&B has
        self.batches = 0  # of the newest row; smaller than its step if scores join a finished run
        self.best = float("inf")  # the smallest val/loss

    @cached_property
    def mode(self) -> Any:
        """The mode of W&B, chosen once, because a server may stop answering between two questions."""
        return choose_mode()

    def describe(self) -> str:
        if self.mode == "online":
            return f"W&B (project {self.labels['project']})"
        if self.mode == "disabled":
            return "not to W&B (WANDB_MODE=disabled)"
        lacks_login = not os.environ.get("WANDB_MODE") and not has_credentials()
        return f"W&B {self.mode}" + (" (no login here: wandb login)" if lacks_login else "")

    def start(self, config: Mapping[str, Any], batches: int = 0) -> None:
        """Open a W&B run, or the run that this folder already has, and send the rows that W&B lacks."""
        if self.pictures is None:
            self.pictures = has_public_data(config)
        with self._switch_off_on_error():
            if self.mode == "disabled":
                return
            id_file = self.folder / "wandb" / "run_id"
            # A text that is no id is replaced, because records are looked for, and removed, by it.
            if not id_file.is_file() or not id_file.read_text(encoding="utf-8").strip().isalnum():
                write_text(id_file, secrets.token_hex(4))
            run_id = id_file.read_text(encoding="utf-8").strip()
            noted_step = prepare_records(self.folder / "wandb", run_id)
            self.run = self._open(config, run_id, self.mode)
            self.run.define_metric("*", step_metric="batches")
            self.step = noted_step if self.run.offline else self.run.starting_step
            self._send_missing_rows()

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Send values, unless W&B has the row already. Scores are always sent: they come from a new evaluation."""
        batches = step or 0
        if self.run is not None and (batches >= self.step or any(name.startswith("eval/") for name in metrics)):
            with self._switch_off_on_error():
                self._log(metrics, batches)

    def log_figure(self, name: str, path: Path, step: int | None = None) -> None:
        """Send a PNG or an animated GIF. Without `step` it belongs to the newest row."""
        if self.run is not None and self.pictures and (step is None or step >= self.step):
            with self._switch_off_on_error():
                self._log({f"figures/{name}": load_picture(path)}, self.batches if step is None else step)

    def close(self, exit_code: int = 0) -> str | None:
        """End the W&B run, and return the command that uploads it if it was recorded offline."""
        if self.run is None:
            return None
        run, self.run = self.run, None
        record = Path(run.dir).parent
        with self._switch_off_on_error():
            try:
                run.finish(exit_code=exit_code)
            except TimeoutError:
                log.warning("W&B: the server stopped answering; what it lacks is in %s.", record)
                return f"wandb sync {record}"
            write_text(record / NOTE, str(self.step + 1))
        return f"wandb sync {record}" if run.offline else None

    def _open(self, config: Mapping[str, Any], run_id: str, mode: Any) -> Any:
        """Open the W&B run; open it offline if the server does not accept it."""
        import wandb

        try:
            return wandb.init(
                dir=str(self.folder),
                id=run_id,
                resume=None if mode == "offline" else "allow",
                mode=mode,
                config=dict(config),
                reinit="create_new",  # Other jobs of this process have W&B runs of their own.
                settings=wandb.Settings(
                    console="off",  # The terminal belongs to the progress bar and the closing table.
                    silent=True,
                    init_timeout=INIT_TIMEOUT,
                    finish_timeout=FINISH_TIMEOUT,
                    finish_timeout_raises=True,
                    # A killed process loses what W&B has not written. By itself it writes every 15 seconds.
                    x_transaction_log_flush_interval=1.0,
                ),
                **self.labels,
            )
        except Exception as error:
            if mode == "offline":
                raise
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            log.warning("W&B: the server does not accept this run (%s); it is recorded offline.", reason)
            wandb.teardown()  # Otherwise W&B still believes that this run is about to begin.
            return self._open(config, run_id, "offline")

    def _send_missing_rows(self) -> None:
        """Send the rows and pictures that W&B lacks. Older rows go to the summary, which is always uploaded whole."""
        rows = read_rows(self.folder)
        add_scores(rows, self.folder)
        for batches, name, path in find_pictures(self.folder, last=max(rows, default=0)):
            if self.pictures and batches in rows and batches >= self.step:
                rows[batches][f"figures/{name}"] = load_picture(path)
        for batches, row in sorted(rows.items()):
            if batches >= self.step:
                self._log(row, batches)
            else:
                self.batches = batches
                self.run.summary.update(row)
                self._update_best(row)

    def _log(self, values: Mapping[str, Any], batches: int) -> None:
        step = max(batches, self.step)
        self.run.log({**values, "batches": batches}, step=step)
        if step > self.step:  # W&B writes a row when the next row begins.
            write_text(Path(self.run.dir).parent / NOTE, str(step))
        self.batches, self.step = batches, step
        self._update_best(values)

    def _update_best(self, values: Mapping[str, Any]) -> None:
        """Keep the smallest val/loss in the summary. W&B's own minimum would forget the rows of earlier processes."""
        if "val/loss" in values:
            self.best = min(self.best, values["val/loss"])
            self.run.summary["val/loss/best"] = self.best

    @contextmanager
    def _switch_off_on_error(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.run = None
            log.warning("W&B is switched off for this run, which goes on (%s: %s).", type(error).__name__, error)


def shorten(name: str | None) -> str | None:
    """Return a name that W&B takes: a long one ends with its hash, so that different ones stay different."""
    if not name or len(name) <= LONGEST_NAME:
        return name or None
    ending = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: LONGEST_NAME - 9]}-{ending}"


def prepare_records(folder: Path, run_id: str) -> int:
    """Delete offline records that were not uploaded, and return the noted step of the other records, or 0.

    A killed process may leave a record without its end, so its rows are sent again from the run folder.
    """
    for record in folder.glob(f"offline-run-*-{run_id}"):
        if not record.is_symlink() and not any(
            record.glob("*.wandb.synced")
        ):  # `wandb sync` leaves this file beside what it has uploaded.
            shutil.rmtree(record, ignore_errors=True)
    return max((int(note.read_text(encoding="utf-8")) for note in folder.glob(f"*run-*-{run_id}/{NOTE}")), default=0)


def add_scores(rows: dict[int, dict[str, float]], folder: Path) -> None:
    """Add the scores of all evaluations, which are in metrics.json, to the row of their batch, in place."""
    if (path := folder / "metrics.json").is_file():
        evaluation = json.loads(path.read_text(encoding="utf-8"))
        row = rows.get(evaluation["about"]["batches"], {})
        row.update({name: float(value) for name, value in evaluation["scores"].items()})


def find_pictures(folder: Path, last: int) -> Iterator[tuple[int, str, Path]]:
    """Yield (batch, name, path) of each picture; pictures of the last evaluation belong to the batch `last`."""
    yield from find_pictures_over_time(folder)
    figures = folder / "figures"
    for path in (*figures.glob("*.png"), *figures.glob("*.gif")):
        yield last, path.stem, path


def load_picture(path: Path) -> Any:
    """Return the picture as W&B takes it."""
    import wandb

    return wandb.Video(str(path), format="gif") if path.suffix == ".gif" else wandb.Image(str(path))
