"""Read and mark run folders.

A run folder is self-contained and can be read while the run goes on; each file in it is either whole or not there.
"""

import csv
import faulthandler
import json
import os
import re
import shlex
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from filelock import Timeout
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vaezoo.config.completion import complete_config
from vaezoo.config.identity import LAST
from vaezoo.config.plugins import is_installed, named_folders, read_sources, use_folders
from vaezoo.config.trust import check_references, check_trust, name_trusted
from vaezoo.errors import UserError, make_printable
from vaezoo.runs.file_locks import acquire_lock, describe_holder, name_note
from vaezoo.runs.files import write_json
from vaezoo.runs.limits import check_inside, read_bytes, require_file
from vaezoo.runs.moved import update_targets

if TYPE_CHECKING:
    import numpy as np

CONFIG = Path(".hydra") / "config.yaml"
HYDRA = CONFIG.with_name("hydra.yaml")  # Hydra's own settings
DONE = Path("done.json")  # written last, once the run is complete
EARLY_STOP = Path("early_stop.json")  # which callback has ended the training before its budget
LOCK = Path(".lock")
WORKER = Path(".worker.lock")  # held by the first of several workers, which may outlive the holder of LOCK
SCORES = Path(".scores.lock")  # held by an evaluation, which may look at the last checkpoint of a run that trains
ERROR = Path("error.txt")
CRASH = Path("crash.txt")  # empty while a run goes on; where native code has killed it
PREVIOUS = LAST.with_name("previous.ckpt")  # the checkpoint before the last, used where the last is damaged
WEIGHTS = Path("weights.safetensors")  # of a shared run, which has no checkpoints
SUBFOLDERS = (  # that a run reads and writes
    *(".hydra", "checkpoints", "figures", "figures/over_time"),
    *("wandb", "tensorboard", "mlflow", "loggers"),
)
RUN_FILES = (  # that a run reads and writes, besides its checkpoints
    *(LOCK, WORKER, SCORES, DONE, EARLY_STOP, ERROR, CRASH),
    *map(Path, ("environment.json", "metrics.json", "metrics.csv", "metrics.npz", "latents.npz")),
)
MAX_HISTORY_BYTES = 2**30  # of metrics.csv
MAX_CONFIG_BYTES = 1_000_000  # ours have ten thousand


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A fast loader of plain YAML that reads 1e-3 as a number, as Hydra does on the command line."""


Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?\d+[eE][-+]?\d+$"), list("-+0123456789"))


def read_config(folder: Path) -> dict[str, Any]:
    """Return the resolved configuration of a run as it was written.

    It is read without OmegaConf, because reports read thousands of them. Raises UserError if the folder is not that of
    a run, or if its configuration cannot be read or was never resolved.
    """
    path = folder / CONFIG
    if not path.is_file():
        runs = sorted(str(config.parents[1]) for config in folder.glob(f"*/{CONFIG}"))
        hint = f" It holds runs, such as run={runs[0]}." if runs else ""
        raise UserError(f"run={folder}: not a run folder, {CONFIG} is missing.{hint}")
    content = read_bytes(folder, CONFIG, MAX_CONFIG_BYTES) or b""
    try:
        text = content.decode()
        # Few lines of aliases can stand for billions of values, and no configuration of ours has any.
        if "*" in text and any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader)):
            raise UserError(f"run={folder}: {CONFIG} has aliases (*name), which are not read. Write the values there.")
        config = yaml.load(text, Loader)
    except UserError:
        raise
    except Exception as error:  # YAML that is damaged may raise anything, such as a date in month 13.
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"run={folder}: {CONFIG} cannot be read ({reason}).") from None
    # References are left where version 0.1.0 was stopped, or refused to train, between Hydra, which wrote the
    # configuration as it was composed, and the run itself, which would have resolved it.
    if not isinstance(config, dict) or "${" in str(config.get("folder", "${")):
        if has_checkpoint(folder) or (folder / DONE).is_file():
            raise UserError(
                f"run={folder}: {CONFIG} was overwritten by an earlier version. Give the whole command line of the run"
                f' again ("command" in environment.json), for a single run with hydra.run.dir={folder}; that writes the'
                " configuration anew."
            )
        raise UserError(f"run={folder}: it was stopped before it had begun. Give its whole command line again.")
    if "${" in text:
        check_references(config, f"run={folder}: {CONFIG}")
    update_targets(config)
    return config


def load_config(folder: Path, trust: Sequence[str] | None = ()) -> DictConfig:
    """Return the configuration of a run, with `folder` set to the place where the run lies now.

    It names only classes that vaezoo builds by itself, and those of the packages in `trust`, because the folder may be
    another person's; None trusts everything. Trusted code is also looked for where it was when the run began. Keys that
    the version of the run did not have yet get their defaults.

    Raises UserError for a configuration that cannot be read, trusted or completed, and for subfolders that are links
    to another place, where the run would read and write.
    """
    config, place = read_config(folder), f"run={folder}: {CONFIG}"
    check_kinds(folder)
    if trust is not None:
        check_trust(config, place, trust, read_recorded_folders(folder))
    use_recorded_folders(folder, trust)
    complete_config(config, place)
    before, config["folder"] = str(config["folder"]), str(folder)
    for logger in config["logger"].values() if isinstance(config["logger"], dict) else ():
        if isinstance(logger, dict):
            move_logger(logger, before, str(folder))
    return OmegaConf.create(config)


def move_logger(logger: dict[str, Any], before: str, folder: str) -> None:
    """Let a logger of a run write into the folder in which the run lies now, in place.

    Those of vaezoo write nowhere else. Those of others get the folder where they name the folder `before`.
    """
    if str(logger.get("_target_")).startswith("vaezoo."):
        logger["folder"] = folder
        return
    for name, value in logger.items():
        if isinstance(value, str) and f"{value}/".startswith(f"{before}/"):
            logger[name] = folder + value[len(before) :]


def read_recorded_folders(folder: Path) -> list[Path]:
    """Return the configuration folders of plug-ins that the command of a run named; an empty list where none is known.

    They may not exist here, and may be another person's.
    """
    try:
        check_inside(folder, folder / HYDRA)
        record = yaml.load(read_bytes(folder, HYDRA, MAX_CONFIG_BYTES) or b"", Loader)
        return read_sources(record["hydra"]["runtime"]["config_sources"])
    except Exception:  # A damaged file may raise anything, and says as much as none.
        return []


def use_recorded_folders(folder: Path, trust: Sequence[str] | None) -> None:
    """Let the plug-ins with which a run began be found again, if the user trusts code in it; None trusts everything.

    They come after those of the command line. A trusted package that is installed as a plug-in needs no other folder.
    """
    if trust is None or not all(map(is_installed, trust)):
        recorded = [place for place in read_recorded_folders(folder) if place.is_dir()]
        use_folders(list(dict.fromkeys([*named_folders, *recorded])))


def check_kinds(folder: Path) -> None:
    """Raise UserError for a folder of a run that is none, a file that is none, and a link out of the run folder."""
    for name in SUBFOLDERS:
        check_inside(folder, folder / name)
        if (folder / name).exists() and not (folder / name).is_dir():
            raise UserError(f"{folder / name} is no folder, as it should be in a run. Remove it.")
    for path in (*(folder / name for name in RUN_FILES), *(folder / "checkpoints").glob("*.ckpt")):
        if os.path.lexists(path):
            check_inside(folder, path)
            require_file(path)


def refuse_configuration(folder: Path, error: Exception) -> UserError:
    """Return the message for a run whose configuration cannot be built, given the error of OmegaConf or Hydra."""
    if isinstance(error, OmegaConfBaseException) and error.full_key:
        return UserError(f"run={folder}: {CONFIG} lacks {error.full_key}, or it is not as it should be.")
    cause: BaseException = error
    while cause.__cause__ is not None and not isinstance(cause, UserError):
        cause = cause.__cause__
    if isinstance(cause, UserError):
        return cause
    reason = next(iter(str(cause).splitlines()), "") or type(cause).__name__
    return UserError(f"run={folder}: what {CONFIG} describes cannot be built ({reason}).")


@contextmanager
def lock_folder(folder: Path, lock: Path = LOCK) -> Iterator[None]:
    """Hold the lock of a run folder, so that no other process trains in it, on this or another machine.

    The lock ends with its process, however it ends. Raises UserError if another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        # The timeout is not zero, because `is_held` takes the lock for an instant.
        held = acquire_lock(folder / lock, timeout=2)
    except Timeout:
        activity = "evaluating" if lock == SCORES else "training"
        raise UserError(
            f"{folder}: another process is {activity} there. Wait for it, or stop it first."
            f"{describe_holder(folder / lock)}"
        ) from None
    try:
        yield
    finally:
        held.release()


@contextmanager
def lock_scores(folder: Path) -> Iterator[None]:
    """Hold the lock of the scores and figures of a run; wait for another evaluation that holds it.

    Scores are read, joined with the new ones and written, so that two evaluations at once would lose some.
    """
    path = folder / SCORES
    try:
        held = acquire_lock(path, timeout=2)
    except Timeout:
        print(f"waiting for another evaluation of {relative_to_cwd(folder)}.{describe_holder(path)}", flush=True)
        held = acquire_lock(path, timeout=-1)
    try:
        yield
    finally:
        held.release()


def is_running(folder: Path) -> bool:
    """Return whether a process trains in the folder."""
    return any(is_held(folder / lock) for lock in (LOCK, WORKER))


def is_held(lock: Path) -> bool:
    """Return whether a process holds the lock; False for a lock that this user may not open."""
    if lock.is_symlink() or not (lock.is_file() or name_note(lock).is_file()):
        return False  # Opening a lock would write through a link.
    try:
        acquire_lock(lock, timeout=0).release()
        return False
    except Timeout:
        return True
    except OSError:  # the folder belongs to another user
        return False


def mark_finished(folder: Path, training_id: str, evaluation_id: str) -> None:
    """Write done.json, which marks the run as complete."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    stop = describe_early_stop(folder)
    early = {"stopped_early": stop} if stop else {}
    write_json(folder / DONE, {"job": training_id, "afterwards": evaluation_id, "finished": now, **early})


def describe_early_stop(folder: Path) -> str:
    """Return which callback has ended the training before its budget, when and why; "" where none has."""
    content = read_bytes(folder, EARLY_STOP)
    try:
        stop = json.loads(content or b"{}")
        if not stop:
            return ""
        reason = f": {stop['reason']}" if stop["reason"] else ""
        return make_printable(f"early by {stop['by']} after {int(stop['batches'])} batches{reason}")
    except (ValueError, LookupError, TypeError, AttributeError):
        return "early, by a callback that the damaged early_stop.json does not name"


def read_scores(folder: Path) -> dict[str, float]:
    """Return the scores of a run by their names in metrics.json; an empty dictionary if there are none.

    Raises UserError where metrics.json is damaged.
    """
    content = read_bytes(folder, "metrics.json")
    try:
        scores = {} if content is None else json.loads(content)["scores"]
        return {name: float(value) for name, value in scores.items()}  # metrics.json has "nan" and "inf" as strings
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as damage:
        raise UserError(
            f"{folder / 'metrics.json'} is damaged ({damage}). Write it anew:"
            f" python -m vaezoo.evaluate {make_run_option(folder)}"
        ) from None


def is_done(folder: Path, training_id: str, evaluation_id: str) -> bool:
    """Return whether the folder holds this training and this evaluation, both complete."""
    record = read_done(folder)
    return record.get("job") == training_id and record.get("afterwards") == evaluation_id


def read_done(folder: Path) -> dict[str, Any]:
    """Return the content of done.json; an empty dictionary where it is missing or cannot be read."""
    try:
        record = json.loads((folder / DONE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def has_config(folder: Path) -> bool:
    """Return whether the configuration of a run can be read."""
    try:
        read_config(folder)
    except UserError:
        return False
    return True


def read_state(folder: Path) -> str:
    """Return the state of a run: "finished", "failed", "stopped" (it can go on), "running", or "new"."""
    if is_running(folder):
        return "running"
    if (folder / DONE).is_file():
        return "finished"
    if (reason := read_reason(folder)) is not None:
        return "stopped" if reason.startswith("interrupted") else "failed"
    return "stopped" if has_checkpoint(folder) or is_shared(folder) else "new"


def read_reason(folder: Path) -> str | None:
    """Return why a run failed: the message in error.txt, or the last line of a traceback. None if nothing failed."""
    for name in (ERROR, CRASH):
        try:
            content = read_bytes(folder, name)
        except UserError as refusal:
            return str(refusal)
        if content is None:
            continue
        lines = make_printable(content.decode(errors="replace")).strip().splitlines()
        if not lines and name == ERROR:
            return "it failed without a message"
        if lines:
            return lines[-1] if lines[0].startswith("Traceback") else lines[0]
    return None


@contextmanager
def note_crash(folder: Path) -> Iterator[None]:
    """Write into crash.txt where the process was when native code kills it, such as by a segmentation fault."""
    if faulthandler.is_enabled():  # It writes to one place only, and the user has chosen another.
        yield
        return
    with (folder / CRASH).open("w", encoding="utf-8") as file:
        faulthandler.enable(file)
        try:
            yield
        finally:
            faulthandler.disable()
            (folder / CRASH).unlink(missing_ok=True)


def has_checkpoint(folder: Path) -> bool:
    """Return whether a run has a checkpoint to go on from."""
    return any((folder / name).is_file() for name in (LAST, PREVIOUS))


def is_shared(folder: Path) -> bool:
    """Return whether the run is a shared one, with weights alone."""
    return (folder / WEIGHTS).is_file() and not has_checkpoint(folder)


def read_history(folder: Path) -> "dict[str, tuple[np.ndarray, np.ndarray]]":
    """Return the columns of metrics.csv: for each, the batch counts at which it has a value, and the values, (N,)."""
    import numpy as np  # imported here, so that a slip on the command line is answered without it

    text = (read_bytes(folder, "metrics.csv", MAX_HISTORY_BYTES) or b"").decode(errors="replace")
    reader = csv.reader(text.splitlines())
    try:
        names = next(reader, [])
        columns = {name: (array("q"), array("d")) for name in names if name and name != "batches"}
        targets = [columns.get(name) for name in names]
        place = names.index("batches") if "batches" in names else len(names)
        for row in reader:
            if len(row) <= place or not row[place].isdecimal() or len(row[place]) >= 19:
                continue
            batches = int(row[place])
            for target, cell in zip(targets, row, strict=False):
                if cell and target is not None:
                    try:
                        target[1].append(float(cell))
                    except ValueError:  # of a text, or of a cell that a killed process has not finished
                        continue
                    target[0].append(batches)
    except csv.Error as damage:
        raise UserError(f"{folder / 'metrics.csv'} is damaged ({damage}). Without it, the run has no curves.") from None
    return {name: (np.array(numbers), np.array(values)) for name, (numbers, values) in columns.items() if values}


def make_run_option(folder: Path, config: DictConfig | None = None) -> str:
    """Return run=DIR as a shell takes it, for the commands in messages.

    With the configuration of a run that this process trains, trust= names the packages of the user that it builds.
    """
    trust = name_trusted(OmegaConf.to_container(config, resolve=False)) if config is not None else ""
    return shlex.quote(f"run={relative_to_cwd(folder)}") + trust


def relative_to_cwd(path: Path) -> Path:
    """Return the path relative to the current folder if it lies there; otherwise as it is."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
