"""Scores as pure functions of arrays; `vaezoo.metrics.protocol` describes how they are called.

    from vaezoo.metrics import mig_hist, dci_gbt

finds the file of a function by its source text. Only that file is loaded, with numpy, scipy or scikit-learn and never
torch. No file is named like a function in it, so that a name here always means the same thing.
"""

import ast
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any


@cache
def find_functions() -> dict[str, tuple[str, ast.FunctionDef]]:
    """Return the file and the source of each public function in this folder."""
    return {
        node.name: (path.stem, node)
        for path in sorted(Path(__file__).parent.glob("[!_]*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }


def __getattr__(name: str) -> Any:
    functions = find_functions()
    if name not in functions:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{functions[name][0]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *find_functions()])
