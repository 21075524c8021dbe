"""Compare the papers' claims with our runs: `python -m papers runs=multirun`.

For each study NAME-SIZE in `runs`, NAME being a folder of conf/experiment that reproduces a part of a paper, the
command writes docs/results/NAME-SIZE.csv, a line for each run. It then writes docs/results.md from all tables in that
folder, so that tables of other machines stay on the page. The claims are in the modules of this package.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig

from vaezoo.config.command_line import check_command_line
from vaezoo.config.directory import DIRECTORY
from vaezoo.config.values import check_config
from vaezoo.errors import UserError, command
from vaezoo.report import list_roots
from vaezoo.runs.files import write_text

if TYPE_CHECKING:
    from papers.experiments import Experiment


def make_results(config: DictConfig) -> list[str]:
    """Write the tables and the page, and return lines that state what was written."""
    check_config(config)
    from papers.library import PAPERS
    from papers.page import format_page
    from papers.records import read_records

    out = Path(config.out).expanduser()
    lines = write_tables(list_roots(config), out) if config.collect else []
    tables = {
        (experiment.name, size): read_records(experiment, path)
        for experiment, size in list_experiments()
        if (path := table_path(experiment, size, out)).is_file()
    }
    target = out.with_suffix(".md")
    write_text(target, format_page(PAPERS, tables))
    return [*lines, f"page      {target}"]


def list_experiments() -> Iterator[tuple["Experiment", str]]:
    """Yield each experiment in each size that has results on the page."""
    from papers.experiments import SIZES
    from papers.library import EXPERIMENTS

    for experiment in EXPERIMENTS.values():
        for size in SIZES:
            yield experiment, size


def table_path(experiment: "Experiment", size: str, out: Path) -> Path:
    """Return the file of the table of an experiment in one size."""
    return out / f"{experiment.name}-{size}.csv"


def write_tables(roots: list[Path], out: Path) -> list[str]:
    """Write a table for each study that has a finished run, and return a line for each study.

    Raises UserError if no study of a paper is in `roots`.
    """
    from papers.records import collect_records, format_csv
    from vaezoo.reporting.reading import format_roots, read_runs

    lines = []
    for experiment, size in list_experiments():
        name = f"{experiment.name}-{size}"
        candidates = [folder for root in roots for folder in (root, root / name)]
        studies = [folder for folder in candidates if folder.name == name and folder.is_dir()]
        if not studies:
            continue
        records, left_out = collect_records(experiment, read_runs(studies))
        path = table_path(experiment, size, out)
        if records:
            write_text(path, format_csv(experiment, records))
        others = "".join(f"; {count} {reason}" for reason, count in left_out.items())
        lines.append(f"results   {path if records else studies[0]}: {len(records)} runs{others}")
    if not lines:
        experiment, size = next(list_experiments())
        raise UserError(
            f"runs={format_roots(roots)}: none of the studies of a paper is there, such as {experiment.name}-{size}."
            f" make reproduce-NAME makes them; collect=false writes the page alone."
        )
    return lines


@hydra.main(version_base="1.3", config_path=DIRECTORY, config_name="results")
def job(config: DictConfig) -> None:
    """Write the tables and the page, and print what was written."""
    with command():  # also here, because Hydra would print a traceback
        print("\n".join(make_results(config)))


def main() -> None:
    """Check the command line, then run it."""
    with command():
        check_command_line("results", sys.argv[1:])
        job()


if __name__ == "__main__":
    main()
