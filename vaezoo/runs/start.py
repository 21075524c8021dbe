"""What commands share: how they begin, and how their modules can be called from Python."""

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from vaezoo.config.command_line import check_command_line
from vaezoo.config.overrides import quote_paths, read_run, read_trust
from vaezoo.config.plugins import take_folders
from vaezoo.errors import command
from vaezoo.runs.folder import use_recorded_folders


def start_command(name: str, job: Callable[[], None]) -> None:
    """Check the command line of `python -m vaezoo.NAME` before Hydra reads it, then run its job."""
    with command():
        sys.argv[1:] = take_folders(quote_paths(sys.argv[1:]))
        if folder := read_run(sys.argv[1:]):
            use_recorded_folders(folder, read_trust(sys.argv[1:]))
        check_command_line(name, sys.argv[1:])
        job()


class Command(ModuleType):
    """A module of a command that can be called, too: `vaezoo.train(...)` does in Python what the command does."""

    def __call__(self, *overrides: Any, **values: Any) -> Any:
        """Call the function of the same name in vaezoo.api.commands."""
        function = getattr(importlib.import_module("vaezoo.api.commands"), self.__name__.rpartition(".")[2])
        return function(*overrides, **values)
