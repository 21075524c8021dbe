"""The list of trained runs: what each is, its state, its scores and its size."""

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from vaezoo.reporting.reading import FAILED, FINISHED, RUNNING, Run
from vaezoo.reporting.score_selection import collect_directions, list_scores, select_headline
from vaezoo.runs.folder import relative_to_cwd

MOST_SCORES = 3  # a terminal has room for these; the report has all of them
STYLES = {FINISHED: "green", FAILED: "red", RUNNING: "cyan"}
UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B"))


def tabulate_runs(runs: Sequence[Run]) -> Table:
    """Return a table with a row for each run, the latest at the bottom, and a row that sums up the sizes."""
    runs = sorted(runs, key=lambda run: (run.started, str(run.folder)))
    names = select_headline(list_scores(runs), collect_directions(runs))[:MOST_SCORES]
    sizes = [measure_folder(run.folder) for run in runs]
    table = Table(show_footer=True)
    table.add_column("folder", "total", overflow="fold", ratio=3)
    table.add_column("model")
    table.add_column("data set")
    table.add_column("batches", justify="right")
    table.add_column("state")
    for name in names:
        table.add_column(escape(name), justify="right")
    table.add_column("size", format_size(sum(sizes)), justify="right")
    for run, size in zip(runs, sizes, strict=True):
        table.add_row(
            escape(str(relative_to_cwd(run.folder))),
            escape(str(run.config.get("model", ""))),
            escape(str(run.config.get("dataset", ""))),
            "" if run.batches is None else f"{run.batches:,}",
            f"[{STYLES.get(run.state, 'yellow')}]{run.state}",
            *(f"{run.scores[name]:.3g}" if name in run.scores else "" for name in names),
            format_size(size),
        )
    return table


def measure_folder(folder: Path) -> int:
    """Return the bytes of all files in a folder; links count as themselves."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def format_size(size: int) -> str:
    """Return a number of bytes with two digits and its unit."""
    scale, unit = next((entry for entry in UNITS if size >= entry[0]), UNITS[-1])
    number = size / scale
    return f"{number:.1f} {unit}" if number < 10 and scale > 1 else f"{number:.0f} {unit}"
