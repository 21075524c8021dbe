"""The command `python -m vaezoo.runs`: which models were trained here."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from vaezoo.errors import UserError, command
from vaezoo.reporting.reading import FAILED, read_runs
from vaezoo.reporting.run_list import tabulate_runs
from vaezoo.runs.folder import relative_to_cwd

PLACES = ("outputs", "multirun")  # of single runs, and of the jobs of studies
WIDE = 160  # columns, where the output is a file


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m vaezoo.runs",
        description="List trained runs: model, data set, state, a few scores and size, the latest at the bottom."
        " All scores: python -m vaezoo.report runs=FOLDER.",
    )
    parser.add_argument("folders", nargs="*", metavar="FOLDER", help=f"where to look (default: {', '.join(PLACES)})")
    return parser


def list_runs(folders: Sequence[str]) -> None:
    """Print a table of the runs at or below these folders, and the reason of each that failed."""
    places = [Path(folder).expanduser() for folder in folders or PLACES]
    existing = [place for place in places if place.is_dir()]
    if missing := [place for place in places if place not in existing]:
        if folders:
            raise UserError(f"{missing[0]} is no folder.")
        if not existing:
            raise UserError(f"there is no folder {' or '.join(PLACES)} here. Name the folder of your runs.")
    runs = read_runs(existing)
    console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDE)
    console.print(tabulate_runs(runs))
    for run in runs:
        if run.state == FAILED:
            console.print(f"{relative_to_cwd(run.folder)}: {run.error}", markup=False, highlight=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, which is that of the process by default."""
    with command():
        list_runs(make_parser().parse_args(arguments).folders)


if __name__ == "__main__":
    main()
