"""Run studies: many jobs of one command line, such as model x beta x seed, continued when the command is repeated.

`python -m vaezoo.train -m sweep=beta model=betavae` requests the product of all swept values. A study lies in
multirun/NAME. The name states what its jobs have in common and which keys are swept, so the same command finds the same
folder, and further values of the same keys join it. Each job has its own folder in there, named after its overrides and
its training id, a hash of everything that determines its result. By default finished jobs are skipped, stopped jobs go
on, and failed jobs are tried again (`sweep.rerun=failed|all|none`).
"""

import itertools
import json
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.errors import CompactHydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vaezoo.config.compose import Composer
from vaezoo.config.identity import hash_evaluation, hash_training, is_neutral
from vaezoo.config.names import make_folder_name, name_job, name_job_folder
from vaezoo.config.overrides import parse_overrides, read_key
from vaezoo.errors import UserError
from vaezoo.progress import progress
from vaezoo.runs.clear import check_clearing, clear_folder
from vaezoo.runs.files import write_json, write_whole
from vaezoo.runs.folder import CONFIG, ERROR, has_config, is_done, lock_folder, read_reason, read_state

FLAGS = ("-m", "--multirun", "hydra.mode=MULTIRUN")
MEMBERS = "study.json"


@dataclass(frozen=True)
class Request:
    """The study that a command line requests."""

    name: str  # of the folder of the study
    keys: tuple[str, ...]  # the keys whose values distinguish the jobs
    lines: tuple[tuple[str, ...], ...]  # one command line with swept values for each grid


@dataclass(frozen=True)
class Job:
    """A job of a study: its overrides, its folder, and the hashes of its training and of its evaluation."""

    name: str
    overrides: tuple[str, ...]
    folder: Path
    training_id: str
    evaluation_id: str

    def read_state(self) -> str:
        """Return the state of the run; "stopped" for a finished run that lacks scores, figures or its configuration."""
        state = read_state(self.folder)
        if state != "finished":
            return state
        is_complete = is_done(self.folder, self.training_id, self.evaluation_id) and has_config(self.folder)
        return "finished" if is_complete else "stopped"


def is_multirun(arguments: Sequence[str]) -> bool:
    """Return whether a command line requests a study."""
    return any(argument in FLAGS for argument in arguments)


def read_request(arguments: Sequence[str], sweep: DictConfig) -> Request:
    """Return the study that a command line requests; `sweep` is the node of that name in its configuration."""
    overrides = parse_overrides(arguments)
    swept = [read_key(override) for override in overrides if override.is_sweep_override()]
    preset = list(dict.fromkeys(key for grid in sweep.grids for key in grid))
    keys = tuple(dict.fromkeys([*preset, *swept]))
    fixed = sorted(
        (override.input_line or "").lstrip("+~")
        for override in overrides
        if read_key(override) not in keys and not is_neutral(override.key_or_group)
    )
    name = make_folder_name(",".join([*fixed, *(["by", *sorted(keys)] if keys else [])]))
    return Request(sweep.name or name, keys, tuple(apply_grids(arguments, sweep.grids)))


def apply_grids(arguments: Sequence[str], grids: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return the command line once for each grid; its own overrides replace those of the grid."""
    overrides = {read_key(override): override.input_line or "" for override in parse_overrides(arguments)}
    return [
        (*(f"{key}={value}" for key, value in grid.items() if key not in overrides), *overrides.values())
        for grid in grids or [{}]
    ]


def list_combinations(line: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the overrides of each job that a command line requests; the value of the last key changes fastest."""
    return list(itertools.product(*(list_values(override) for override in parse_overrides(line))))


def list_values(override: Override) -> list[str]:
    """Return an override once for each of its swept values. Raises UserError for an interval."""
    if not override.is_sweep_override():
        return [override.input_line or ""]
    if not override.is_discrete_sweep():
        raise UserError(
            f"'{override.input_line}': an interval needs a sweeper that searches in it, such as sweep=optuna."
        )
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


def list_jobs(
    root: Path, config: DictConfig, arguments: Sequence[str], compose: Callable[[Sequence[str]], DictConfig]
) -> list[Job]:
    """Return all jobs of the study in `root`, each once; `compose` turns overrides into the configuration of a job."""
    jobs: dict[tuple[str, str], Job] = {}
    lines = [overrides for line in apply_grids(arguments, config.sweep.grids) for overrides in list_combinations(line)]
    with progress("study", len(lines), "job") as bar:
        for overrides in lines:
            job_config = compose(overrides)
            name = name_job(overrides, config.sweep.over)
            training_id, evaluation_id = hash_training(job_config), hash_evaluation(job_config)
            folder = resolve_own_folder(job_config, config.hydra.sweep) or name_job_folder(name, training_id)
            job = Job(name, overrides, root / folder, training_id, evaluation_id)
            jobs.setdefault((training_id, evaluation_id), job)
            bar.update()
    return list(jobs.values())


def resolve_own_folder(job_config: DictConfig, hydra_sweep: DictConfig) -> str | None:
    """Return the folder that the user's hydra.sweep.subdir names for a job; None if the user has not changed it.

    Raises UserError if it refers to values that are not part of the job's configuration.
    """
    subdir = OmegaConf.to_container(hydra_sweep, resolve=False)["subdir"]  # type: ignore[index, call-overload]
    if "${job_folder:}" in subdir:
        return None
    try:
        values: Any = OmegaConf.to_container(job_config, resolve=False)
        return str(OmegaConf.create({**values, "subdir": subdir}).subdir)
    except OmegaConfBaseException:
        raise UserError(f"hydra.sweep.subdir={subdir}: in a study it may refer to values of the job alone.") from None


def select_jobs(states: Mapping[Job, str], rerun: str) -> list[Job]:
    """Return the jobs to launch; skip those that are running elsewhere, and those that `rerun` leaves as they are.

    Jobs that have not begun come first, because one that kills its process would otherwise keep them from it for ever.
    """
    order = ["new", "stopped", "failed", "finished"]
    skipped = {"all": {"running"}, "failed": {"running", "finished"}, "none": {"running", "finished", "failed"}}[rerun]
    selected = [job for job, state in states.items() if state not in skipped]
    return sorted(selected, key=lambda job: order.index(states[job]))


def run_study(
    config: DictConfig, arguments: Sequence[str], launch: Callable[[list[list[str]]], Sequence[Any]]
) -> Sequence[Any]:
    """Launch the jobs that are not finished, print the states of all jobs, and return what `launch` returned.

    `config` is the configuration that the jobs share, with the node `hydra`; `arguments` are the overrides of the
    command line, swept ones included. Raises CompactHydraException, with which Hydra exits with status 1, unless all
    jobs are finished.
    """
    root = Path(config.hydra.sweep.dir)
    jobs = list_jobs(root, config, arguments, Composer(config.hydra.job.config_name, config.hydra.searchpath))
    states = {job: job.read_state() for job in jobs}
    to_do = select_jobs(states, config.sweep.rerun)
    print(f"study     {root}\njobs      {count_states(states.values())}; {len(to_do)} to do", flush=True)
    if config.sweep.dry:
        print("\n".join(f"{state:<10}{job.name or root.name}" for job, state in states.items()))
        return []
    write_whole(root / "multirun.yaml", lambda partial: OmegaConf.save(config, partial))
    record_jobs(root, jobs)
    if config.sweep.rerun == "all":
        for job in to_do:
            check_clearing(job.folder)
        for job in to_do:
            clear_folder(job.folder)
    results = launch_jobs(to_do, launch)
    report_states(root, jobs, {job: str(result._return_value) for job, result in results.items()})
    return list(results.values())


def launch_jobs(jobs: Sequence[Job], launch: Callable[[list[list[str]]], Sequence[Any]]) -> dict[Job, Any]:
    """Launch jobs and return what they returned.

    A process that is killed takes all processes of joblib along. The jobs that were lost with it are launched again,
    each once, because one of them may kill its process every time.
    """
    waiting, lost_before = list(jobs), set[Job]()
    while waiting:
        try:
            return dict(zip(waiting, launch([list(job.overrides) for job in waiting]), strict=True))
        except BrokenExecutor:
            unfinished = [job for job in waiting if job.read_state() in ("new", "stopped")]
            lost = {job for job in unfinished if (job.folder / CONFIG).is_file()}
            waiting = [job for job in unfinished if job not in lost_before] if lost else []
            lost_before |= lost
            print(f"A process was killed, and {len(lost)} jobs with it; {len(waiting)} are launched.", file=sys.stderr)
    return {}


def add_trials(config: DictConfig, lines: Sequence[Sequence[str]]) -> list[Job]:
    """Record the jobs that a searching sweeper requests next, one for each line, and return them."""
    root, compose = Path(config.hydra.sweep.dir), Composer(config.hydra.job.config_name, config.hydra.searchpath)
    jobs = [job for line in lines for job in list_jobs(root, config, line, compose)]
    record_jobs(root, jobs)
    return jobs


def report_states(root: Path, jobs: Sequence[Job], reasons: Mapping[Job, str]) -> None:
    """Print the states of the jobs; raise CompactHydraException with that text unless all jobs are finished.

    `reasons` has the messages that jobs returned instead of scores.
    """
    states = {job: job.read_state() for job in jobs}
    text = "\n".join(summarise_states(root, states, reasons))
    if not set(states.values()) <= {"finished"}:
        raise CompactHydraException(text)
    print(text)


def summarise_states(root: Path, states: Mapping[Job, str], reasons: Mapping[Job, str]) -> list[str]:
    """Return lines that state what happened to the jobs of a study, and the commands that follow."""
    lines = [f"study     {root}", f"jobs      {count_states(states.values())}"]
    for job, state in states.items():
        if state == "failed":
            lines.append(f"failed    {job.name}: {read_reason(job.folder)} ({job.folder / ERROR})")
        elif state in ("new", "stopped") and (reason := reasons.get(job)):
            lines.append(f"{state:<10}{job.name}: {reason}")
    if any(state != "finished" for state in states.values()):
        lines.append("again     the same command goes on with what is not finished")
    if is_waiting_for_wandb(root):
        lines.append(f"upload    wandb sync {shlex.quote(str(root))}/*/wandb")
    return [*lines, f"report    python -m vaezoo.report {shlex.quote(f'runs={root}')}"]


def is_waiting_for_wandb(root: Path) -> bool:
    """Return whether a job of the study was recorded offline by W&B and has not been uploaded yet."""
    recorded = root.glob("*/wandb/offline-run-*/*.wandb")
    return any(not path.with_name(f"{path.name}.synced").is_file() for path in recorded)


def count_states(states: Iterable[str]) -> str:
    """Return how many jobs are in each state, such as "12: 10 finished, 2 failed"."""
    counts = Counter(states)
    parts = [
        f"{counts[state]} {state}" for state in ("finished", "running", "stopped", "failed", "new") if counts[state]
    ]
    return f"{counts.total()}: {', '.join(parts)}"


def record_jobs(root: Path, jobs: Sequence[Job]) -> None:
    """Add the jobs to study.json, which lists all jobs ever requested of the study, also those that have not begun."""
    with lock_folder(root):
        path = root / MEMBERS
        earlier = json.loads(path.read_text(encoding="utf-8"))["jobs"] if path.is_file() else []
        entries = {entry["folder"]: entry for entry in earlier}
        for job in jobs:
            entry = {"folder": job.folder.name, "job": job.training_id, "overrides": job.name.split(",")}
            entries[job.folder.name] = entry
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(path, {"command": shlex.join(sys.orig_argv), "asked": now, "jobs": list(entries.values())})
