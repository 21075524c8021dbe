"""The beginning that all commands on finished runs share."""

import sys
from collections.abc import Callable

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
