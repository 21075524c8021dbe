"""Read run folders, each once, without a model and without the data set."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaezoo.config.identity import ADDED_LATER
from vaezoo.config.overrides import leaves
from vaezoo.config.requirements import OUR_CALLBACKS
from vaezoo.errors import UserError, make_printable
from vaezoo.metrics.directions import Direction
from vaezoo.progress import progress
from vaezoo.runs.folder import CONFIG, DONE, describe_early_stop, read_config, read_reason, read_state
from vaezoo.runs.limits import UNREADABLE, read_bytes

# Keys that cannot change a result, and keys of the model's parts, because these repeat the groups they come from.
IGNORED_KEYS = (
    "folder",
    "logger.",
    *(f"callbacks.{name}" for name in OUR_CALLBACKS),
    "figure.",
    "metric.",
    "sweep.",
    "launcher.",
    "log_every",
    "val_every",
    "dataset.seed",
    "trainer._target_",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.strategy",
    "trainer.plugins",
    *(f"model.{part}" for part in ("latent.", "likelihood.", "encoder.", "decoder.", "optimizer.", "image_shape")),
)
# Folders of a run that hold no other runs.
SKIPPED_FOLDERS = {"wandb", "tensorboard", "mlflow", "loggers", "checkpoints", "figures", "__pycache__"}
RUN_ENTRIES = ("seconds", "seed", "saturated")  # of a protocol: they belong to the run, nobody chose them
FINISHED, FAILED, STOPPED, RUNNING, NEW = "finished", "failed", "stopped", "running", "not begun"


@dataclass(frozen=True)
class Run:
    """What a run folder holds."""

    folder: Path
    state: str
    config: dict[str, Any] = field(default_factory=dict)  # dotted keys; empty where it cannot be read
    scores: dict[str, float] = field(default_factory=dict)  # without "eval/"
    directions: dict[str, Direction] = field(default_factory=dict)  # by score, those that the run recorded
    floors: dict[str, dict[str, Any]] = field(default_factory=dict)  # by score: noise, spread, constant and reached
    tables: dict[str, Any] = field(default_factory=dict)  # by metric, name and column, such as one attribute's accuracy
    skipped: dict[str, str] = field(default_factory=dict)  # the reason, by metric
    protocols: dict[str, str] = field(default_factory=dict)  # by metric, what the score depends on
    data: str = ""  # the data set and the identity of its bytes
    batches: int | None = None  # that the scored weights were trained for
    job: str = ""  # the identity of the training
    environment: dict[str, str] = field(default_factory=dict)  # commit, device, versions
    started: str = ""
    error: str = ""  # the line that says why it ended badly
    early: str = ""  # the callback that has ended the training before its budget, when and why


def read_runs(roots: Sequence[Path]) -> list[Run]:
    """Read every run folder at or below the roots; jobs of studies that have no folder yet are runs that are new."""
    folders = list(dict.fromkeys(folder for root in roots for folder in find_run_folders(root)))
    jobs = list(dict.fromkeys(folder for root in roots for folder in find_job_folders(root)))
    if not folders and not jobs:
        raise UserError(f"runs={format_roots(roots)}: no run folder in it or below it; each has a {CONFIG}.")
    table = []
    with progress("reading", len(folders), "run") as bar:
        for folder in folders:
            table.append(read_run(folder))
            bar.update()
    existing = set(folders)
    return table + [Run(folder, NEW) for folder in jobs if folder not in existing]


def format_roots(roots: Sequence[Path]) -> str:
    """Return the folders as the command line takes them."""
    return str(roots[0]) if len(roots) == 1 else f"[{','.join(map(str, roots))}]"


def find_run_folders(root: Path) -> Iterator[Path]:
    """Yield the run folders at or below `root`, in the order of their names."""
    for folder, inside, _ in os.walk(root):
        if ".hydra" in inside and (Path(folder) / CONFIG).is_file():
            yield Path(folder)
        inside[:] = sorted(name for name in inside if name not in SKIPPED_FOLDERS and not name.startswith("."))


def find_job_folders(root: Path) -> Iterator[Path]:
    """Yield the folders of all jobs that the studies at or directly below `root` consist of."""
    for path in sorted({root / "study.json", *root.glob("*/study.json")}):
        if path.is_file():
            yield from (path.parent / name for name in read_job_names(path.parent))


def read_job_names(study: Path) -> list[str]:
    """Return the folders of the jobs in study.json that lie in the folder of the study; none where it is damaged."""
    try:
        names = [str(job["folder"]) for job in read_json(study, "study.json").get("jobs", [])]
    except UNREADABLE as damage:
        print(f"vaezoo: {study / 'study.json'} is left out ({describe_damage(damage)}).", file=sys.stderr)
        return []
    return [name for name in names if (study / name).resolve().is_relative_to(study.resolve())]


def read_run(folder: Path) -> Run:
    """Read one run folder; a file that cannot be read makes it a failed run."""
    try:
        config = select_keys(dict(leaves(read_config(folder))))
    except UserError as mistake:
        return Run(folder, FAILED, error=make_printable(str(mistake)))
    try:
        metrics, environment = read_json(folder, "metrics.json"), read_json(folder, "environment.json")
        about = metrics.get("about", {})
        batches = None if about.get("batches") is None else int(about["batches"])
        state, error = describe_state(folder, is_trained(config, batches))
        return Run(
            folder=folder,
            state=state,
            config=config,
            scores={
                make_printable(name.removeprefix("eval/")): float(value)
                for name, value in metrics.get("scores", {}).items()
            },
            directions={
                name.removeprefix("eval/"): Direction.read(text) for name, text in metrics.get("directions", {}).items()
            },
            floors={name.removeprefix("eval/"): read_floor(entry) for name, entry in metrics.get("floors", {}).items()},
            tables=metrics.get("tables", {}),
            skipped={
                metric: sys.intern(make_printable(reason)) for metric, reason in metrics.get("skipped", {}).items()
            },
            protocols={metric: format_protocol(entry) for metric, entry in metrics.get("protocols", {}).items()},
            data=sys.intern(json.dumps([about.get("dataset"), about.get("data")], sort_keys=True)),
            batches=batches,
            job=str(read_json(folder, DONE).get("job", "")),
            environment=select_environment(environment),
            started=make_printable(str(environment.get("started", ""))),
            error=error,
            early=describe_early_stop(folder),
        )
    except UNREADABLE as damage:
        return Run(folder, FAILED, config=config, error=describe_damage(damage))


def read_floor(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a floor with its numbers as numbers, "nan" included."""
    numbers = {name: float(entry[name]) for name in ("noise", "spread", "constant")}
    return {**numbers, "reached": bool(entry.get("reached", False))}


def describe_damage(damage: Exception) -> str:
    """Return why the files of a run cannot be read, as one line."""
    if isinstance(damage, UserError):
        return make_printable(str(damage))
    reason = next(iter(str(damage).splitlines()), "") or type(damage).__name__
    return make_printable(f"a file of this folder is damaged ({reason[:200]})")


def read_json(folder: Path, name: str | Path) -> dict[str, Any]:
    """Read a JSON file of a run; a missing one is empty. Raises an error of UNREADABLE where it cannot be read."""
    content = read_bytes(folder, name)
    try:
        value = {} if content is None else json.loads(content)
    except (ValueError, RecursionError) as damage:
        raise ValueError(f"{name} cannot be read: {damage}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{name} cannot be read: it holds no names with values")
    return value


def is_trained(config: dict[str, Any], batches: int | None) -> bool:
    """Return whether the scored weights have seen all batches of the budget; False where it is counted in epochs."""
    budget = config.get("max_batches") if config.get("max_epochs") is None else None
    return batches is not None and isinstance(budget, int) and batches >= budget


def describe_state(folder: Path, trained: bool) -> tuple[str, str]:
    """Return the state of a run whose configuration exists, and the line that says why it ended badly.

    `trained` says that its scores are those of weights that have seen the whole budget: a run that was killed between
    its training and done.json, and then evaluated, is finished.
    """
    state, error = read_state(folder), read_reason(folder) or ""
    if state in (STOPPED, "new"):
        state = FINISHED if not error and trained else STOPPED
    return state, error if state in (FAILED, STOPPED) else ""


def select_keys(config: dict[str, Any]) -> dict[str, Any]:
    """Return the keys that can change a result, as the command line names them.

    `model` stands for model._target_, `dataset` for dataset.name.
    """
    selected = {}
    for key, value in config.items():
        if ADDED_LATER.get(key, ...) == value:
            continue
        if key.startswith(IGNORED_KEYS) or key.endswith(("_partial_", "_convert_")):
            continue
        if key == "dataset.name":
            selected["dataset"] = value
        elif key.endswith("._target_"):
            if key != "dataset._target_":
                selected[key.removesuffix("._target_")] = shorten_target(str(value), key == "model._target_")
        else:
            selected[sys.intern(key)] = value
    return {make_printable(key): simplify(value) for key, value in selected.items()}


def simplify(value: Any) -> Any:
    """Return a value as it is compared and shown: a number, a truth value, null, a text in one line, or a list."""
    if isinstance(value, list):
        return [simplify(item) for item in value]
    return value if value is None or isinstance(value, int | float) else make_printable(" ".join(str(value).split()))


def shorten_target(target: str, is_model: bool) -> str:
    """Return the name of a class without its modules; vaezoo.models.dipvae.DIPVAE is called by its file, dipvae."""
    parts = target.split(".")
    return parts[-2] if is_model and parts[:2] == ["vaezoo", "models"] else parts[-1]


def format_protocol(entries: dict[str, Any]) -> str:
    """Return a protocol as text: equal texts mean that two scores compare."""
    return sys.intern(
        json.dumps({key: value for key, value in entries.items() if key not in RUN_ENTRIES}, sort_keys=True)
    )


def select_environment(environment: dict[str, Any]) -> dict[str, str]:
    """Return commit, device and versions from the content of environment.json."""
    git = environment.get("git") or {}
    changed = ", and changes since" if git.get("changed") else ""
    entries = {
        "commit": f"{str(git['commit'])[:12]}{changed}" if git.get("commit") else "",
        "device": environment.get("device", ""),
        "python": environment.get("python", ""),
        **environment.get("packages", {}),
    }
    return {sys.intern(key): sys.intern(str(value)) for key, value in entries.items() if value}
