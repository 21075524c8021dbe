"""Studies: many jobs asked for at once, such as model x beta x seed, found again and gone on with when asked once more.

`python -m vaezoo.train -m sweep=beta model=betavae` asks for the product of all swept values. A study lies in
multirun/NAME, where the name says what its jobs have in common and what is swept, so that the same words find the same
folder, and more values of the same keys join it. Each job lies in a folder of its own in there, named after its
overrides and its identity, the hash of everything that determines its result. What is finished is not done again, what
was stopped goes on, what failed is tried once more (`sweep.rerun=failed|all|none`).
"""

import itertools
import json
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.errors import CompactHydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vaezoo.config.compose import Composer
from vaezoo.config.identity import afterwards, identity, is_neutral
from vaezoo.config.names import folder_name, job_folder, job_name
from vaezoo.config.overrides import key_of, parse_overrides
from vaezoo.errors import UserError
from vaezoo.progress import progress
from vaezoo.runs.files import write_json, write_whole
from vaezoo.runs.folder import ERROR, LOCK, WORKER, is_done, lock_folder, read_reason, read_state

FLAGS = ("-m", "--multirun", "hydra.mode=MULTIRUN")
MEMBERS = "study.json"


@dataclass(frozen=True)
class Request:
    """What one command line asks for: `lines` are its grids, each a command line with swept values."""

    name: str
    keys: tuple[str, ...]  # that tell the jobs from one another
    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Job:
    name: str
    overrides: tuple[str, ...]
    folder: Path
    identity: str
    afterwards: str

    def state(self) -> str:
        """As `runs.state`; where other scores or figures are asked for than were made, a finished run can go on."""
        state = read_state(self.folder)
        other = state == "finished" and not is_done(self.folder, self.identity, self.afterwards)
        return "stopped" if other else state


def is_multirun(arguments: Sequence[str]) -> bool:
    return any(argument in FLAGS for argument in arguments)


def request(arguments: Sequence[str], sweep: DictConfig) -> Request:
    """Of a command line, and of the node `sweep` that it chooses."""
    given = parse_overrides(arguments)
    swept = [key_of(override) for override in given if override.is_sweep_override()]
    preset = list(dict.fromkeys(key for grid in sweep.grids for key in grid))
    keys = tuple(dict.fromkeys([*preset, *swept]))
    fixed = sorted(
        (override.input_line or "").lstrip("+~")
        for override in given
        if key_of(override) not in keys and not is_neutral(override.key_or_group)
    )
    name = folder_name(",".join([*fixed, *(["by", *sorted(keys)] if keys else [])]))
    return Request(sweep.name or name, keys, tuple(grids(arguments, sweep.grids)))


def grids(arguments: Sequence[str], presets: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """The command line once for each grid of a preset; a key that it gives replaces that of the grid."""
    given = {key_of(override): override.input_line or "" for override in parse_overrides(arguments)}
    return [
        (*(f"{key}={value}" for key, value in grid.items() if key not in given), *given.values())
        for grid in presets or [{}]
    ]


def product(line: Sequence[str]) -> list[tuple[str, ...]]:
    """The overrides of each job that a command line asks for; the value of the last key changes fastest."""
    return list(itertools.product(*(alternatives(override) for override in parse_overrides(line))))


def alternatives(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [override.input_line or ""]
    if not override.is_discrete_sweep():
        raise UserError(
            f"'{override.input_line}': an interval needs a sweeper that searches in it, such as sweep=optuna."
        )
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


def jobs(
    root: Path, config: DictConfig, arguments: Sequence[str], compose: Callable[[Sequence[str]], DictConfig]
) -> list[Job]:
    """All jobs of the study in `root`, each once; `compose` makes the configuration of one from its overrides."""
    found: dict[tuple[str, str], Job] = {}
    lines = [overrides for line in grids(arguments, config.sweep.grids) for overrides in product(line)]
    with progress("study", len(lines), "job") as bar:
        for overrides in lines:
            one = compose(overrides)
            name, trained, then = job_name(overrides, config.sweep.over), identity(one), afterwards(one)
            folder = own_folder(one, config.hydra.sweep) or job_folder(name, trained)
            found.setdefault((trained, then), Job(name, overrides, root / folder, trained, then))
            bar.update()
    return list(found.values())


def own_folder(job: DictConfig, sweep: DictConfig) -> str | None:
    """What a user's own hydra.sweep.subdir means for a job; None where it is ours."""
    written = OmegaConf.to_container(sweep, resolve=False)["subdir"]  # type: ignore[index, call-overload]
    if "${job_folder:}" in written:
        return None
    try:
        values: Any = OmegaConf.to_container(job, resolve=False)
        return str(OmegaConf.create({**values, "subdir": written}).subdir)
    except OmegaConfBaseException:
        raise UserError(f"hydra.sweep.subdir={written}: in a study it may refer to values of the job alone.") from None


def chosen(states: Mapping[Job, str], rerun: str) -> list[Job]:
    """Who is to be launched: nobody who runs elsewhere already."""
    skipped = {"all": {"running"}, "failed": {"running", "finished"}, "none": {"running", "finished", "failed"}}[rerun]
    return [job for job, state in states.items() if state not in skipped]


def conduct(
    config: DictConfig, arguments: Sequence[str], launch: Callable[[list[list[str]]], Sequence[Any]]
) -> Sequence[Any]:
    """Launch the jobs that are not done yet, and say in the end what became of all; what `launch` returned.

    `config` is what the jobs share, with the node `hydra`; `arguments` are the overrides of the command line, swept
    ones among them. Raises CompactHydraException, with which Hydra ends with status 1, unless all jobs are finished.
    """
    root = Path(config.hydra.sweep.dir)
    asked = jobs(root, config, arguments, Composer(config.hydra.job.config_name, config.hydra.searchpath))
    states = {job: job.state() for job in asked}
    now = chosen(states, config.sweep.rerun)
    print(f"study     {root}\njobs      {tally(states.values())}; {len(now)} to do", flush=True)
    if config.sweep.dry:
        print("\n".join(f"{state:<10}{job.name or root.name}" for job, state in states.items()))
        return []
    write_whole(root / "multirun.yaml", lambda beside: OmegaConf.save(config, beside))
    remember(root, asked)
    if config.sweep.rerun == "all":
        for job in now:
            clear(job.folder)
    results = launch([list(job.overrides) for job in now]) if now else []
    conclude(root, asked, {job: str(result._return_value) for job, result in zip(now, results, strict=True)})
    return results


def trials(config: DictConfig, lines: Sequence[Sequence[str]]) -> list[Job]:
    """The jobs that a searching sweeper asks for next, one a line; they join those of the study."""
    root, compose = Path(config.hydra.sweep.dir), Composer(config.hydra.job.config_name, config.hydra.searchpath)
    asked = [job for line in lines for job in jobs(root, config, line, compose)]
    remember(root, asked)
    return asked


def conclude(root: Path, asked: Sequence[Job], reasons: Mapping[Job, str]) -> None:
    """Say what became of the jobs; CompactHydraException unless all are finished."""
    states = {job: job.state() for job in asked}
    conclusion = "\n".join(summary(root, states, reasons))
    if not set(states.values()) <= {"finished"}:
        raise CompactHydraException(conclusion)
    print(conclusion)


def summary(root: Path, states: Mapping[Job, str], reasons: Mapping[Job, str]) -> list[str]:
    """What became of the jobs of a study, and where to look."""
    lines = [f"study     {root}", f"jobs      {tally(states.values())}"]
    for job, state in states.items():
        if state == "failed":
            lines.append(f"failed    {job.name}: {read_reason(job.folder)} ({job.folder / ERROR})")
        elif state in ("new", "stopped") and (reason := reasons.get(job)):
            lines.append(f"{state:<10}{job.name}: {reason}")
    if any(state != "finished" for state in states.values()):
        lines.append("again     the same command goes on with what is not finished")
    if is_waiting_for_wandb(root):
        lines.append(f"upload    wandb sync {root}/*/wandb")
    return [*lines, f"report    python -m vaezoo.report runs={root}"]


def is_waiting_for_wandb(root: Path) -> bool:
    """Whether a job was recorded offline and is on no server yet."""
    recorded = root.glob("*/wandb/offline-run-*/*.wandb")
    return any(not path.with_name(f"{path.name}.synced").is_file() for path in recorded)


def tally(states: Iterable[str]) -> str:
    """Such as "12: 10 finished, 2 failed"."""
    counts = Counter(states)
    told = [
        f"{counts[state]} {state}" for state in ("finished", "running", "stopped", "failed", "new") if counts[state]
    ]
    return f"{counts.total()}: {', '.join(told)}"


def remember(root: Path, asked: Sequence[Job]) -> None:
    """study.json: all jobs that this study was ever asked for, also those that have not begun."""
    with lock_folder(root):
        path = root / MEMBERS
        before = json.loads(path.read_text())["jobs"] if path.is_file() else []
        known = {job["folder"]: job for job in before}
        for job in asked:
            told = {"folder": job.folder.name, "job": job.identity, "overrides": job.name.split(",")}
            known[job.folder.name] = told
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(path, {"command": shlex.join(sys.orig_argv), "asked": now, "jobs": list(known.values())})


def clear(folder: Path) -> None:
    """Away with all that a run has left, so that it begins anew."""
    if folder.is_dir():
        with lock_folder(folder):
            for path in folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name not in (LOCK.name, WORKER.name):
                    path.unlink()
