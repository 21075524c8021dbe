"""Damaged run folders, and which of their readers end with a traceback instead of a message.

    python -m tests.support.fuzz                one thousand damages
    python -m tests.support.fuzz 200 7          two hundred, of the seed 7
    python -m tests.support.fuzz 200 7 .ckpt    in files whose name ends so

Each damage changes one file of a copy of one small run: it is cut, emptied, filled with noise or links, or one of its
values gets another type or is left out.
"""

import contextlib
import copy
import io
import json
import random
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from hydra.utils import instantiate
from omegaconf import OmegaConf

from tests.support.command_line import train_in
from vaezoo.config.completion import check_complete
from vaezoo.config.titles import describe_run
from vaezoo.config.values import check_config
from vaezoo.errors import UserError
from vaezoo.evaluation import records
from vaezoo.evaluation.table import LatentTable
from vaezoo.reporting.csv_tables import write_runs_table, write_settings_table
from vaezoo.reporting.html_page import write_page
from vaezoo.reporting.report_data import collect_report
from vaezoo.runs.folder import load_config, read_history, read_scores, read_state, refuse_configuration
from vaezoo.runs.weights import find_checkpoint, restore_weights

OTHERS: list[Any] = [None, True, -1, 10**400, 1e308, float("nan"), "", "text", "1e3", [], [1, "a"], {}, {"a": None}]
OTHERS += ["<b>\x1b[0m", "../../x", "=1+1", [[[]]], "2026-13-45", "9" * 5000, {"_target_": "os.system"}, "${seed}"]
SECONDS = 20  # more are a hang
OPTIONS = {"udr": False, "scores": None, "x": None, "y": None, "traversals": None, "pictures": 4}


def make_run(folder: Path) -> Path:
    """Train, score and draw for a moment, and return the folder."""
    line = ["dataset=digits", "network=mlpk", "max_batches=4", "val_every=2", "logger=csv", "callbacks.progress=false"]
    scores = ["metric=score/reconstruction", "metric.rows=60", "metric.test_rows=40"]
    train_in(folder, "model=betavae", *line, *scores, "figure=[samples,traversals]")
    (folder / "error.txt").write_text("Traceback\nValueError: made up\n")
    (folder / "study.json").write_text(json.dumps({"jobs": [{"folder": "later"}]}))
    return folder


# ---- damages


def damage_file(path: Path, rng: random.Random) -> str:
    """Damage the file in one way, and return a description."""
    kinds: list[Callable[[Path, random.Random], str]] = [cut, empty, fill_with_noise, flip_bytes, remove]
    if path.suffix in (".json", ".yaml"):
        kinds += [change_value, change_value, change_value, leave_out, leave_out]
    if path.suffix == ".npz":
        kinds += [change_array, change_array]
    if path.suffix == ".ckpt":
        kinds += [change_checkpoint, change_checkpoint]
    kind = rng.choice(kinds)
    return f"{path.name}: {kind.__name__} {kind(path, rng)}"


def cut(path: Path, rng: random.Random) -> str:
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content) + 1)])
    return ""


def empty(path: Path, rng: random.Random) -> str:
    path.write_bytes(b"")
    return ""


def fill_with_noise(path: Path, rng: random.Random) -> str:
    path.write_bytes(rng.randbytes(rng.choice([1, 100, 5000])))
    return ""


def flip_bytes(path: Path, rng: random.Random) -> str:
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 5, 50])):
        content[rng.randrange(len(content))] = rng.randrange(256)
    path.write_bytes(bytes(content))
    return ""


def remove(path: Path, rng: random.Random) -> str:
    path.unlink()
    return ""


def list_places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each (container, key) in nested dictionaries and lists."""
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], dict | list):
            yield from list_places(node[key])


def edit(path: Path, change: Callable[[Any], str]) -> str:
    """Apply a change to the content of a JSON or YAML file."""
    is_json = path.suffix == ".json"
    content = (
        json.loads(path.read_text(encoding="utf-8")) if is_json else yaml.safe_load(path.read_text(encoding="utf-8"))
    )
    description = change(content)
    path.write_text(json.dumps(content) if is_json else yaml.dump(content), encoding="utf-8")
    return description


def change_value(path: Path, rng: random.Random) -> str:
    def change(content: Any) -> str:
        node, key = rng.choice(list(list_places(content)))
        node[key] = copy.deepcopy(rng.choice(OTHERS))
        return f"{key} = {str(node[key])[:30]}"

    return edit(path, change)


def leave_out(path: Path, rng: random.Random) -> str:
    def change(content: Any) -> str:
        node, key = rng.choice(list(list_places(content)))
        del node[key]
        return str(key)

    return edit(path, change)


def change_array(path: Path, rng: random.Random) -> str:
    with np.load(path) as file:
        arrays = dict(file) or {"none": np.zeros(3)}
    name = rng.choice(list(arrays))
    array = arrays[name]
    changes = {
        "text": lambda: np.array(["<b>"] * max(1, array.size)),
        "zero-dimensional": lambda: np.array(3),
        "empty": lambda: array[:0] if array.ndim else array,
        "shorter": lambda: array[:1] if array.ndim else array,
        "nan": lambda: np.full(array.shape, np.nan),
        "huge": lambda: np.full(array.shape, 2**62),
        "one more axis": lambda: array[None],
        "complex": lambda: np.full(array.shape, 1j),
    }
    kind = rng.choice([*changes, "missing"])
    if kind == "missing":
        del arrays[name]
    else:
        arrays[name] = changes[kind]()
    np.savez(path, **arrays)
    return f"{name} {kind}"


def change_checkpoint(path: Path, rng: random.Random) -> str:
    state: Any = torch.load(path, weights_only=True)
    places = [place for place in list_places(state) if not isinstance(place[1], int)]
    node, key = rng.choice(places)
    others = [*OTHERS[:13], torch.zeros(3), torch.zeros(1).expand(10**6, 10**6)]
    choice = rng.choice(["leave out", "change", "root"])
    if choice == "leave out":
        del node[key]
    elif choice == "change":
        node[key] = rng.choice(others)
    else:
        state = rng.choice(others)
    torch.save(state, path)
    return f"{choice} {key}"


# ---- readers


def read_like_train(folder: Path, root: Path) -> None:
    """Read what `train run=` reads before it trains."""
    config = load_config(folder)
    check_complete(config, "run")
    check_config(config)
    newest = find_checkpoint(folder)
    try:
        model = instantiate(config.model)
    except Exception as error:
        raise refuse_configuration(folder, error) from error
    if newest:
        restore_weights(model, newest[1]["state_dict"], folder)


def read_like_evaluate(folder: Path, root: Path) -> None:
    """Read what `evaluate run=` reads."""
    config = load_config(folder)
    try:
        describe_run(config), instantiate(config.model)
    except Exception as error:
        raise refuse_configuration(folder, error) from error
    records.read(folder, json.loads((root / "whole" / "metrics.json").read_text())["about"]["checkpoint"])
    LatentTable.load(folder / "latents.npz")
    read_history(folder)


def read_state_and_scores(folder: Path, root: Path) -> None:
    """Read what a study reads of its jobs."""
    read_state(folder)
    read_scores(folder)


def report(folder: Path, root: Path) -> None:
    """Make the page and the tables of all runs below the root."""
    content = collect_report(OmegaConf.create(OPTIONS), [root], root)
    assert len(content.runs) >= 1, "the whole run is always there"
    write_page(content), write_runs_table(content), write_settings_table(content)


FILES: dict[str, tuple[Callable[[Path, Path], None], ...]] = {  # and who reads them
    ".hydra/config.yaml": (read_like_train, read_like_evaluate, report),
    "checkpoints/last.ckpt": (read_like_train,),
    "metrics.json": (read_like_evaluate, read_state_and_scores, report),
    "metrics.npz": (read_like_evaluate,),
    "metrics.csv": (read_like_evaluate,),
    "latents.npz": (read_like_evaluate, report),
    "environment.json": (report,),
    "done.json": (read_state_and_scores, report),
    "error.txt": (read_state_and_scores, report),
    "figures/traversals.npz": (report,),
    "figures/samples.png": (report,),
    "study.json": (report,),
}


class Hang(Exception):
    """A reader that does not come to an end."""


@contextlib.contextmanager
def limit_time() -> Iterator[None]:
    """Raise Hang in the body after some seconds."""

    def stop(*_: Any) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


def find_tracebacks(run: Path, root: Path, count: int, seed: int, suffix: str = "") -> tuple[list[str], Counter[str]]:
    """Damage copies of a run below `root`; return a line for each traceback, and how often each reader refused one."""
    shutil.copytree(run, root / "whole")
    config = root / "whole" / ".hydra" / "config.yaml"
    config.write_text(config.read_text().replace("beta: 4.0", "beta: 8.0"))
    (root / "whole" / "study.json").unlink()
    lines, refused, folder = [], Counter[str](), root / "damaged"
    for number in range(count):
        rng = random.Random(f"{seed} {number}")
        shutil.copytree(run, folder)
        (folder / "study.json").replace(root / "study.json")
        name = rng.choice([name for name in FILES if name.endswith(suffix)])
        damage = damage_file((root if name == "study.json" else folder) / name, rng)
        for reader in FILES[name]:
            try:
                with limit_time(), contextlib.redirect_stderr(io.StringIO()):
                    reader(folder, root)
            except UserError:
                refused[reader.__name__] += 1
            except (Exception, RecursionError) as error:
                last = traceback.extract_tb(error.__traceback__)[-1]
                ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "/vaezoo/" in frame.filename]
                place = ours[-1] if ours else last
                text = f"{type(error).__name__}: {str(error)[:80]!r} at {Path(place.filename).name}:{place.lineno}"
                lines.append(f"{reader.__name__} | {damage} | {text}")
        shutil.rmtree(folder)
    return lines, refused


def main(count: str = "1000", seed: str = "0", suffix: str = "") -> None:
    """Print each traceback and the counts."""
    with tempfile.TemporaryDirectory() as temporary:
        run = make_run(Path(temporary, "run"))
        root = Path(temporary, "root")
        root.mkdir()
        lines, refused = find_tracebacks(run, root, int(count), int(seed), suffix)
    print(*lines, sep="\n")
    print(f"{len(lines)} tracebacks in {count} damages; refused with a message: {dict(refused)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
