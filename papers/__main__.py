"""The papers' claims beside our runs: `python -m papers runs=multirun`.

Of each study NAME-SIZE in `runs` that reproduces something of a paper, NAME being a folder of conf/experiment, it
writes docs/results/NAME-SIZE.csv, one line a run; then docs/results.md from all tables that are there, so that those
made on other machines stay. What the papers say stands in papers.
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
from vaezoo.errors import UserError, report
from vaezoo.report import list_roots
from vaezoo.runs.files import write_text

if TYPE_CHECKING:
    from papers.experiments import Experiment


def make_results(config: DictConfig) -> list[str]:
    """Write the tables and the page; what was done, in lines."""
    check_config(config)
    from papers.library import PAPERS
    from papers.page import page
    from papers.records import read

    out = Path(config.out).expanduser()
    told = collect(list_roots(config), out) if config.collect else []
    tables = {
        (experiment.name, size): read(experiment, path)
        for experiment, size in kept()
        if (path := table_of(experiment, size, out)).is_file()
    }
    target = out.with_suffix(".md")
    write_text(target, page(PAPERS, tables))
    return [*told, f"page      {target}"]


def kept() -> Iterator[tuple["Experiment", str]]:
    """Every experiment in every size of which results are kept."""
    from papers.experiments import SIZES
    from papers.library import EXPERIMENTS

    for experiment in EXPERIMENTS.values():
        for size in SIZES:
            yield experiment, size


def table_of(experiment: "Experiment", size: str, out: Path) -> Path:
    return out / f"{experiment.name}-{size}.csv"


def collect(roots: list[Path], out: Path) -> list[str]:
    """Write a table for each study that has a finished run."""
    from papers.records import as_csv, gather
    from vaezoo.reporting.reading import format_roots, read_runs

    told = []
    for experiment, size in kept():
        name = f"{experiment.name}-{size}"
        places = [folder for root in roots for folder in (root, root / name)]
        found = [folder for folder in places if folder.name == name and folder.is_dir()]
        if not found:
            continue
        records, left_out = gather(experiment, read_runs(found))
        path = table_of(experiment, size, out)
        if records:
            write_text(path, as_csv(experiment, records))
        others = "".join(f"; {count} {why}" for why, count in left_out.items())
        told.append(f"results   {path if records else found[0]}: {len(records)} runs{others}")
    if not told:
        raise UserError(
            f"runs={format_roots(roots)}: none of the studies of a paper is there, such as {example()}."
            f" make reproduce-NAME makes them; collect=false writes the page alone."
        )
    return told


def example() -> str:
    return "-".join(next((experiment.name, size) for experiment, size in kept()))


@hydra.main(version_base="1.3", config_path=DIRECTORY, config_name="results")
def job(config: DictConfig) -> None:
    try:
        print("\n".join(make_results(config)))
    except UserError as error:
        report(error)


def main() -> None:
    try:
        check_command_line("results", sys.argv[1:])
    except UserError as error:
        report(error)
    job()


if __name__ == "__main__":
    main()
