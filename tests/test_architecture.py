"""Imports go down: from a floor to a lower one, never up, and never sideways between folders of one floor."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.paths import ROOT
from vaezoo import metrics

PACKAGE = ROOT / "vaezoo"
FILES = sorted(PACKAGE.rglob("*.py"))

FLOORS = [
    {"errors", "seeds", "progress", "numerics", "distributed", "ranges"},
    {"config"},
    {"losses", "latents", "likelihoods", "networks", "runs"},
    {"models", "data", "metrics", "figures", "loggers", "studies"},
    {"evaluation"},
    {"training", "reporting"},
    {"exporting"},
]
COMMANDS = {"train", "evaluate", "report", "dashboard", "share", "data/__main__", "runs/__main__"}
DOORS = {"api", "__init__"}  # what `import vaezoo` offers, above the commands; all of it is loaded late
RUN_COMMANDS = {"export", "explore"}  # commands that open a run as `vaezoo.load` does, above the doors
NEVER = {  # part: what it never imports
    **{part: {"pytorch_lightning"} for part in ("losses", "latents", "likelihoods", "metrics", "figures")},
    "models": {"vaezoo.networks", "vaezoo.data"},
}
# What the commands and the configuration load at once, and with them `--cfg job` and the answer to a slip.
LIGHT = [
    f"vaezoo.{name}"
    for name in (
        "train",
        "evaluate",
        "report",
        "dashboard",
        "share",
        "export",
        "explore",
        "config.values",
        "studies.study",
    )
]
HEAVY = {"torch", "pytorch_lightning", "lightning_fabric", "sklearn", "matplotlib", "scipy", "wandb"}


def part_of(path: Path) -> str:
    """Return the folder of a file, or the name of a module at the root; commands are named by their file."""
    place = path.relative_to(PACKAGE).with_suffix("").as_posix()
    return place if place in COMMANDS | RUN_COMMANDS else place.split("/")[0]


def floor_of(part: str) -> int:
    if part in RUN_COMMANDS:
        return len(FLOORS) + 2
    if part in DOORS:
        return len(FLOORS) + 1
    return next((floor for floor, parts in enumerate(FLOORS) if part in parts), len(FLOORS))


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted names that a file imports, also those inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_imports_go_down():
    faults = []
    for path in FILES:
        part = part_of(path)
        assert part in COMMANDS | DOORS | RUN_COMMANDS or floor_of(part) < len(FLOORS), f"{part} is on no floor"
        for name in imports(path):
            top, other = (*name.split("."), "")[:2]
            if top == "vaezoo" and other != part and part != "__init__" and floor_of(other) >= floor_of(part):
                faults.append(f"{path.relative_to(PACKAGE)} imports {name}")
            if any(name.startswith(never) for never in NEVER.get(part, ())):
                faults.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert not faults


def test_commands_and_configuration_load_nothing_heavy():
    script = f"import sys, {', '.join(LIGHT)}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


def test_names_are_unique():
    """A metric and the figure of the same thing are the only pairs."""
    places: dict[str, list[str]] = {}
    for path in FILES:
        if path.stem not in ("__init__", "__main__", "base"):
            places.setdefault(path.stem, []).append(path.parent.name)
    repeated = {name: sorted(folders) for name, folders in places.items() if len(folders) > 1}
    assert set(map(tuple, repeated.values())) <= {("figures", "metrics")}, repeated


def test_wandb_is_named_in_one_module_only():
    assert [path.name for path in FILES if "wandb" in {name.split(".")[0] for name in imports(path)}] == ["wandb.py"]


def test_a_name_in_metrics_always_means_the_function():
    """Were a file named like a function, `from vaezoo.metrics import NAME` would depend on earlier imports."""
    functions = metrics.find_functions()
    assert not {path.stem for path in (PACKAGE / "metrics").glob("*.py")} & set(functions)
    for name in ("mig_hist", "elbo", "udr"):
        assert callable(getattr(metrics, name))


TEXT_CALLS = [("read_text", []), *(("open", [mode]) for mode in ("r", "w", "a"))]


def text_files(path: Path) -> Iterator[ast.Call]:
    """Yield the calls that open, read or write a text file by a method of its path."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name, values = node.func.attr, [getattr(argument, "value", None) for argument in node.args]
            if name == "write_text" or (name, values) in TEXT_CALLS:
                yield node


def test_text_files_name_their_encoding():
    """The linter knows only paths whose type it sees."""
    calls = [(path, call) for path in FILES for call in text_files(path)]
    assert len(calls) > 20
    faults = [
        f"{path.relative_to(PACKAGE)}:{call.lineno}"
        for path, call in calls
        if "encoding" not in [keyword.arg for keyword in call.keywords]
    ]
    assert not faults
