"""Train, sweep, compare and evaluate disentangled variational autoencoders.

The names of this module are loaded when they are used, so that `import vaezoo` takes no time: `train` and `evaluate` do
what the commands of the same name do, `load` opens a trained run, `study` makes a table of many, `build` makes a model.
"""

import importlib
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vaezoo.api.commands import evaluate as evaluate
    from vaezoo.api.commands import train as train
    from vaezoo.api.new_model import build as build
    from vaezoo.api.tables import study as study
    from vaezoo.api.trained_run import Run as Run
    from vaezoo.api.trained_run import load as load
    from vaezoo.errors import UserError as UserError

PLACES = {  # the module of each name
    "Run": "vaezoo.api.trained_run",
    "UserError": "vaezoo.errors",
    "build": "vaezoo.api.new_model",
    "load": "vaezoo.api.trained_run",
    "study": "vaezoo.api.tables",
}
COMMANDS = ("evaluate", "train")  # modules that can be called
__all__ = ["Run", "UserError", "build", "evaluate", "load", "study", "train"]

if sys.argv[:1] == ["-m"]:
    # `python -m vaezoo.COMMAND` still imports: an interrupt ends it, where Python would print a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def __getattr__(name: str) -> Any:
    """Return a public name, loaded from its place. Raises AttributeError for any other name."""
    if name in COMMANDS:
        return importlib.import_module(f"vaezoo.{name}")
    if name not in PLACES:
        raise AttributeError(f"module 'vaezoo' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(PLACES[name]), name)
    return value


def __dir__() -> list[str]:
    """Return all names, those that are not loaded yet included."""
    return sorted({*globals(), *__all__})
