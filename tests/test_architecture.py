"""Imports point one way. A new arrow is a decision: it is written here first."""

import ast
import sys
from pathlib import Path

import pytest

from vaezoo import metrics

PACKAGE = Path(__file__).parents[1] / "vaezoo"

# part of vaezoo: (parts of ours that it may import, besides itself; the outside world it may import)
ALLOWED: dict[str, tuple[set[str], set[str]]] = {
    "errors": (set(), set()),
    "seeds": (set(), {"numpy", "torch"}),
    "evaluation/fixtures": (set(), set()),
    "progress": (set(), {"tqdm"}),
    "environment": ({"errors"}, set()),
    "processes": (set(), {"torch"}),
    "memory": (set(), set()),
    "release": (set(), {"hydra", "omegaconf"}),
    "room": (set(), {"torch"}),
    "pack": ({"room"}, {"hydra", "torch"}),
    "packing": ({"pack", "room"}, {"tqdm"}),
    "sharing": (set(), {"filelock", "threadpoolctl", "torch"}),
    "workers": ({"errors", "runs", "train"}, set()),
    "losses": ({"precision", "processes"}, {"torch"}),
    "networks": ({"processes"}, {"torch", "pytorch_lightning"}),
    "precision": (set(), {"torch"}),
    "latents": ({"precision", "processes"}, {"torch"}),
    "likelihoods": ({"precision", "processes"}, {"torch"}),
    "models": (
        {"latents", "losses", "precision", "processes"},
        {"torch", "pytorch_lightning", "sklearn", "threadpoolctl"},
    ),
    "data/arrays": (set(), {"numpy"}),
    "data/folder": ({"errors"}, {"filelock"}),
    "data/fetch": ({"data/folder", "progress"}, {"requests"}),
    "data/files": ({"data/fetch", "data/folder", "errors", "progress"}, set()),
    "data/prepared": ({"data/folder", "errors", "progress"}, {"numpy"}),
    "data/sources": (
        {"data/arrays", "data/files", "data/prepared", "errors", "progress"},
        {"numpy", "scipy", "sklearn", "PIL", "h5py"},
    ),
    "data/sheet": ({"data/arrays", "figures"}, {"numpy"}),
    "data/command": (
        {"checks", "config", "data/arrays", "data/files", "data/folder", "data/sheet", "errors", "figures"},
        {"hydra", "omegaconf"},
    ),
    "data/__main__": ({"data/command"}, set()),
    "data/store": (set(), {"numpy", "torch"}),
    "data/shifts": ({"errors", "seeds"}, {"numpy"}),
    "data/module": (
        {"data/arrays", "data/shifts", "data/store", "errors", "pack", "processes", "seeds"},
        {"numpy", "torch", "pytorch_lightning"},
    ),
    "metrics": ({"progress"}, {"numpy", "scipy", "sklearn", "joblib", "threadpoolctl"}),
    "figures": ({"errors"}, {"numpy", "scipy", "matplotlib", "PIL"}),
    "callbacks": (
        {"errors", "figures", "pack", "processes", "runs", "seeds", "workers"},
        {"torch", "pytorch_lightning", "tqdm", "matplotlib"},
    ),
    "engines": ({"callbacks", "data/module", "errors", "processes"}, {"torch", "pytorch_lightning"}),
    "loggers": ({"runs"}, {"pytorch_lightning", "wandb"}),
    "config": ({"errors"}, {"hydra", "omegaconf"}),
    "rules": ({"data/shifts", "errors"}, set()),
    "pairs": ({"rules", "workers"}, {"omegaconf"}),
    "checks": ({"config", "errors", "pairs", "rules"}, {"hydra", "omegaconf"}),
    "runs": ({"errors"}, {"numpy", "torch", "omegaconf", "yaml", "filelock"}),
    "study": ({"checks", "config", "errors", "progress", "runs"}, {"hydra", "omegaconf"}),
    "evaluation/calibration": ({"seeds"}, {"numpy", "torch"}),
    "evaluation/table": ({"progress", "seeds"}, {"numpy", "torch"}),
    "evaluation/outputs": ({"progress", "seeds", "evaluation/table"}, {"numpy", "torch"}),
    "evaluation/features": (
        {"data/folder", "metrics", "progress", "runs", "seeds", "evaluation/table"},
        {"numpy", "torch", "torch_fidelity"},
    ),
    "evaluation/decoded": ({"evaluation/features", "figures", "evaluation/outputs", "seeds"}, {"numpy"}),
    "evaluation/scores": ({"evaluation/fixtures", "metrics", "progress", "seeds"}, {"numpy"}),
    "evaluation/codes": ({"errors", "evaluation/scores", "seeds"}, {"numpy"}),
    "evaluation/records": ({"runs", "evaluation/scores"}, {"numpy"}),
    "evaluation/embedding": ({"metrics", "seeds"}, {"numpy", "sklearn"}),
    "evaluation/pictures": (
        {"evaluation/embedding", "errors", "figures", "evaluation/fixtures", "evaluation/outputs", "runs"},
        {"numpy", "matplotlib"},
    ),
    "evaluate": (
        {
            "evaluation/calibration",
            "checks",
            "evaluation/codes",
            "config",
            "evaluation/decoded",
            "errors",
            "evaluation/outputs",
            "evaluation/pictures",
            "evaluation/records",
            "runs",
            "evaluation/scores",
            "evaluation/table",
        },
        {"hydra", "omegaconf", "torch", "rich"},
    ),
    "evaluation/agreement": ({"errors", "metrics", "seeds", "evaluation/table"}, {"numpy"}),
    "reporting": (
        {"config", "errors", "evaluation/agreement", "metrics", "progress", "runs"},
        {"numpy", "scipy", "matplotlib", "PIL", "jinja2", "markupsafe"},
    ),
    "papers": ({"errors", "metrics", "reporting", "runs"}, {"numpy"}),
    "results": ({"checks", "config", "errors", "papers", "report", "reporting", "runs"}, {"hydra", "omegaconf"}),
    "report": ({"checks", "config", "errors", "reporting", "runs"}, {"hydra", "omegaconf"}),
    "panels": (set(), {"wandb_workspaces"}),
    "dashboard": (
        {"checks", "config", "errors", "loggers", "panels", "report", "reporting", "runs"},
        {"hydra", "omegaconf", "wandb_workspaces"},
    ),
    "train": (
        {
            "callbacks",
            "checks",
            "config",
            "engines",
            "environment",
            "errors",
            "evaluate",
            "memory",
            "pack",
            "processes",
            "runs",
            "sharing",
            "study",
            "workers",
        },
        {"hydra", "omegaconf", "torch", "pytorch_lightning", "lightning_fabric"},
    ),
}

# What `--cfg job` and a slip on the command line load, and what must not be loaded with it.
LIGHT = (
    *("train", "evaluate", "report", "results", "dashboard"),
    *("config", "checks", "rules", "pairs", "pack", "room", "runs", "sharing", "study", "errors", "workers"),
    "release",
)
HEAVY = {
    *("torch", "pytorch_lightning", "lightning_fabric", "sklearn", "matplotlib", "scipy"),
    *("wandb", "wandb_workspaces"),
}


def part_of(module: str) -> str:
    """vaezoo.data.sources.digits -> data/sources, likewise in evaluation; vaezoo.models.vae -> models."""
    names = module.split(".")[1:]
    return "/".join(names[:2]) if names[:1] in (["data"], ["evaluation"]) else names[0] if names else ""


def imports(path: Path, *, at_import: bool = False) -> set[str]:
    """Modules that a file imports; with `at_import` only those that its own import needs."""
    tree = ast.parse(path.read_text())
    nodes = list(ast.walk(tree)) if not at_import else [n for n in tree.body if not isinstance(n, ast.If)]
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from vaezoo import runs` names a module, `from vaezoo.errors import UserError` does not.
            ours = node.module in ("vaezoo", "vaezoo.evaluation")
            found |= {f"{node.module}.{alias.name}" for alias in node.names} if ours else {node.module}
    return found


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    part = part_of(".".join(["vaezoo", *path.relative_to(PACKAGE).with_suffix("").parts]))
    assert part in ALLOWED, f"{part} is new: say in ALLOWED what it may import"
    ours, outside = ALLOWED[part]
    for module in imports(path):
        top = module.split(".")[0]
        if top == "vaezoo":
            assert part_of(module) in ours | {part}, f"{path.name} imports {module}"
        elif top not in sys.stdlib_module_names:
            assert top in outside, f"{path.name} imports {top}"


@pytest.mark.parametrize("part", LIGHT)
def test_entry_points_start_without_heavy_libraries(part):
    tops = {module.split(".")[0] for module in imports(PACKAGE / f"{part}.py", at_import=True)}
    assert not tops & HEAVY


def test_wandb_is_named_in_one_module_only():
    assert [path.name for path in FILES if "wandb" in {m.split(".")[0] for m in imports(path)}] == ["wandb.py"]


def test_initial_files_of_packages_import_nothing_but_the_standard_library():
    for path in PACKAGE.rglob("__init__.py"):
        assert imports(path) <= sys.stdlib_module_names, path


def test_no_metric_is_called_as_its_file():
    """Else `from vaezoo.metrics import NAME` would be a module or a function, depending on what was imported before."""
    files = {path.stem for path in (PACKAGE / "metrics").glob("*.py")}
    assert set(metrics.FILES) <= files
    assert not files & set(metrics.FUNCTIONS)
    assert all(callable(getattr(metrics, name)) for name in metrics.FUNCTIONS)
