"""Weights & Biases as a mirror of the run folder: it never asks, never waits and never stops a run."""

import json
import logging
import secrets
import shutil
import struct
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger

from vaezoo.loggers.mode import choose_mode
from vaezoo.runs import history

log = logging.getLogger(__name__)

PATIENCE = 20.0  # seconds that a server has to take a new run
BLOCK = 32768  # bytes of a block of a .wandb file


class WandB(Logger):
    """One W&B run per job: `name` are the job's overrides, `group` is its study, the tags are its model and data set.

    The batches done are W&B's steps, and what is logged at the same batch is one row. A folder that is resumed goes on
    with its W&B run: what was never uploaded is written anew from metrics.csv and figures/, since a killed process
    leaves a file with its end missing, and what was uploaded is not sent again. Whatever goes wrong with W&B is said
    once and the run goes on without it: the run folder holds the same values.
    """

    def __init__(
        self,
        folder: str | Path,
        project: str,
        name: str,
        group: str | None,
        entity: str | None = None,
        model: str | None = None,
        dataset: str | None = None,
    ) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.init: dict[str, Any] = {
            "project": project,
            "name": name or None,
            "group": group,
            "entity": entity,
            "job_type": model,
            "tags": [tag for tag in (model, dataset) if tag],
        }
        self.run: Any = None
        self.broken = False
        self.first = 0  # the first batch that W&B has no row of
        self.last = 0  # the batch of the newest row
        self.best = float("inf")  # of val/loss; W&B's own minimum would forget what an earlier process has uploaded

    @property
    def name(self) -> str:
        return "wandb"

    @property
    def version(self) -> str:
        return "" if self.run is None else str(self.run.id)

    def start(self, config: Mapping[str, Any]) -> None:
        """Open the run; the same one again when the folder is resumed."""
        self._guard(lambda: self._start(config))

    def _start(self, config: Mapping[str, Any]) -> None:
        import wandb

        known = self.folder / "wandb" / "run_id"
        run_id = known.read_text().strip() if known.exists() else secrets.token_hex(4)
        known.parent.mkdir(parents=True, exist_ok=True)
        known.write_text(run_id)
        mode = choose_mode()
        uploaded = self._drop_what_was_not_uploaded(run_id) if mode != "disabled" else []
        try:
            self.run = self._open(config, run_id, mode)
        except Exception as error:
            if mode == "offline":
                raise
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            log.warning("W&B: the server does not take this run (%s); it is recorded offline.", reason)
            wandb.teardown()  # it still believes that this run is about to begin
            self.run = self._open(config, run_id, "offline")
        self.run.define_metric("batches")
        self.run.define_metric("*", step_metric="batches")
        self.first = next_step(uploaded) if self.run.offline else self.run.starting_step
        self._send_again()

    def _open(self, config: Mapping[str, Any], run_id: str, mode: Any) -> Any:
        import wandb

        return wandb.init(
            dir=str(self.folder),
            id=run_id,
            resume=None if mode == "offline" else "allow",
            mode=mode,
            config=dict(config),
            reinit="create_new",  # other jobs of this process have theirs
            settings=wandb.Settings(
                # The progress bar and the closing table belong to the terminal, and init must not hold up a run.
                console="off",
                silent=True,
                init_timeout=PATIENCE,
                # By itself it keeps 15 seconds in memory. `wandb sync` gives up on all runs for one without a record.
                x_transaction_log_flush_interval=1.0,
            ),
            **self.init,
        )

    def _drop_what_was_not_uploaded(self, run_id: str) -> list[Path]:
        """Remove offline records of an earlier process that no server has; the files of the others."""
        files = sorted((self.folder / "wandb").glob(f"*run-*-{run_id}/run-{run_id}.wandb"))
        uploaded = [file for file in files if is_uploaded(file)]
        for file in set(files) - set(uploaded):
            shutil.rmtree(file.parent, ignore_errors=True)
        return uploaded

    def _send_again(self) -> None:
        """What the folder holds and W&B does not. A summary is always sent whole, so it is told of all."""
        rows = rows_of(self.folder)
        for row in rows.values():
            self._note_best(row)
        self.last = max(rows, default=0)
        for at, name, path in pictures_of(self.folder, self.last) if self.first == 0 else ():
            if at in rows:
                rows[at][f"figures/{name}"] = shown(path)
        for at in sorted(rows):
            if at < self.first:
                self.run.summary.update(rows[at])
            else:
                self._log(rows[at], at)

    def _log(self, values: Mapping[str, Any], batches: int) -> None:
        self.last = batches
        self.run.log({**values, "batches": batches}, step=max(batches, self.first))
        self._note_best(values)

    def _note_best(self, values: Mapping[str, Any]) -> None:
        """A table of runs can be sorted by the best validation; of all else it has the last value."""
        if "val/loss" in values:
            self.best = min(self.best, values["val/loss"])
            self.run.summary["val/loss/best"] = self.best

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Rows of batches that W&B has are not sent again, except for scores: those come from a new evaluation."""
        batches = step or 0
        if self.run is not None and (batches >= self.first or any(name.startswith("eval/") for name in metrics)):
            self._guard(lambda: self._log(metrics, batches))

    def log_figure(self, name: str, path: Path, step: int | None = None) -> None:
        """`path` is a PNG, or a GIF that moves there, too. Without `step` it belongs to the newest row."""
        if self.run is not None and (step is None or step >= self.first):
            self._guard(lambda: self._log({f"figures/{name}": shown(path)}, self.last if step is None else step))

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Given to `start`."""

    def close(self, exit_code: int = 0) -> str | None:
        """End the run, so that the next job of this process gets its own; the command that uploads an offline run."""
        if self.run is None:
            return None
        run, self.run = self.run, None
        self._guard(lambda: run.finish(exit_code=exit_code))
        return f"wandb sync {Path(run.dir).parent}" if run.offline else None

    def _guard(self, action: Any) -> None:
        if self.broken:
            return
        try:
            action()
        except Exception as error:
            self.broken = True
            log.warning("W&B is switched off for this run, which goes on (%s: %s).", type(error).__name__, error)


def rows_of(folder: Path) -> dict[int, dict[str, Any]]:
    """What was logged, by the batches done, and all scores: those that the last evaluation left alone, too."""
    rows: dict[int, dict[str, Any]] = {}
    for name, (batches, values) in history(folder).items():
        for at, value in zip(batches.tolist(), values.tolist(), strict=True):
            rows.setdefault(at, {})[name] = value
    file = folder / "metrics.json"
    told = json.loads(file.read_text()) if file.is_file() else {}
    scored = rows.get(told.get("about", {}).get("batches"), {})
    scored.update({name: float(value) for name, value in told.get("scores", {}).items()})
    return rows


def pictures_of(folder: Path, end: int) -> Iterator[tuple[int, str, Path]]:
    """Pictures by the batches done and by name; those of the last evaluation belong to `end`."""
    figures = folder / "figures"
    for path in figures.glob("over_time/*_*.png"):
        name, _, at = path.stem.rpartition("_")
        if at.isdigit():
            yield int(at), f"{name}_over_time", path
    for path in (*figures.glob("*.png"), *figures.glob("*.gif")):
        yield end, path.stem, path


def shown(path: Path) -> Any:
    import wandb

    return wandb.Video(str(path), format="gif") if path.suffix == ".gif" else wandb.Image(str(path))


def is_uploaded(file: Path) -> bool:
    """Whether a server has that record: `wandb sync` leaves a mark beside it, and an online run was sent at once."""
    return not file.parent.name.startswith("offline-") or file.with_suffix(".wandb.synced").exists()


def next_step(files: Sequence[Path]) -> int:
    """The step after the last that the records of a run have."""
    steps = [record.history.step.num for file in files for record in records(file) if record.HasField("history")]
    return max(steps, default=-1) + 1


def records(file: Path) -> Iterator[Any]:
    """What a .wandb file holds, as W&B's own messages, up to where a killed process left it.

    LevelDB's log format: blocks of 32 kB, and in them pieces of records with a header of 7 bytes each.
    """
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]

    data, position, parts = file.read_bytes(), 7, b""
    while position + 7 <= len(data):
        if (left := BLOCK - position % BLOCK) < 7:
            position += left
            continue
        length, kind = struct.unpack("<HB", data[position + 4 : position + 7])
        position += 7 + length
        if position > len(data):
            return
        parts += data[position - length : position]
        if kind in (1, 4):  # a whole record, or the last piece of one
            record = Record()
            record.ParseFromString(parts)
            parts = b""
            yield record
