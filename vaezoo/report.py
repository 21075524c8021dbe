"""Many runs on one page: `python -m vaezoo.report runs=multirun/2026-11-21/10-30-00`.

Writes report.html, which holds all it shows and can be sent around, report.csv, one row a run, and
report_settings.csv, one row a setting. It reads run folders and needs nothing else: docs/report.md.
"""

import csv
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig

from vaezoo.config.command_line import check_command_line
from vaezoo.config.directory import DIRECTORY
from vaezoo.config.values import check_config
from vaezoo.errors import UserError, nearest, report
from vaezoo.runs.files import write_text

if TYPE_CHECKING:
    from vaezoo.reporting.page import Report
    from vaezoo.reporting.reading import Run

CURVES = 3  # scores that are drawn where none are chosen


def gather(config: DictConfig) -> "Report":
    """Read the runs and decide what is shown."""
    import numpy as np

    from vaezoo.metrics.directions import direction
    from vaezoo.reporting.page import Report
    from vaezoo.reporting.reading import FINISHED, read_runs
    from vaezoo.reporting.settings import (
        RECONSTRUCTION,
        all_scores,
        headline,
        place,
        ranked,
        settings,
        swept,
    )
    from vaezoo.reporting.summary import mean, mean_rank

    roots = roots_of(config)
    table = read_runs(roots)
    if config.udr:
        table = with_udr(table)
    known = all_scores(table)
    for key in ("scores", "y"):
        check_names(key, config[key] or [], known)
    check_names("x", [config.x] if config.x else [], known)
    order = [*swept(table), "seed"]
    table.sort(key=lambda run: [(not run.config, *place(run.config.get(key))) for key in order])
    # What only runs without scores were given is no column of the leaderboard.
    keys = swept([run for run in table if run.state == FINISHED])
    groups = settings(table, keys)
    names = list(config.scores or headline(known))
    in_rank = ranked(names, chosen=bool(config.scores))
    columns = [np.array([mean(group.scores(name)).value for group in groups]) for name in in_rank]
    rank = mean_rank(columns, [direction(name) for name in in_rank], len(groups))
    x = config.x or next((name for name in RECONSTRUCTION if name in known), None)
    y = list(config.y or [name for name in names if direction(name) and name not in ("elbo", x)][:CURVES])
    out = page_file(config)
    return Report(
        title=" and ".join("/".join(root.parts[-2:]).lstrip("/") for root in roots),
        place=out.parent,
        runs=table,
        keys=keys,
        settings=groups,
        names=names,
        ranked=in_rank,
        rank=rank,
        x=x,
        y=y,
        chosen=chosen(config, table, groups, rank, in_rank),
    )


def roots_of(config: DictConfig) -> list[Path]:
    given = [config.runs] if isinstance(config.runs, str) else list(config.runs)
    return [Path(root).expanduser().resolve() for root in given]


def page_file(config: DictConfig) -> Path:
    """The page; of several folders it lies where the command is given."""
    roots = roots_of(config)
    inside = roots[0] if len(roots) == 1 else Path.cwd()
    return Path(config.out).expanduser().resolve() if config.out else inside / "report.html"


def check_names(key: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            hint = nearest(name, known) or f" They have {', '.join(known) or 'none'}."
            raise UserError(f"{key}: none of the runs has a score called {name}.{hint}")


def chosen(config: DictConfig, table: list["Run"], groups: Sequence[Any], rank: Any, in_rank: list[str]) -> list["Run"]:
    """The runs with pictures: those named, else the best seed of each of the best settings."""
    import numpy as np

    from vaezoo.metrics.directions import direction
    from vaezoo.reporting.summary import mean_rank

    if config.traversals is not None:
        by_name = {run.folder.name: run for run in table}
        for name in config.traversals:
            if name not in by_name:
                raise UserError(f"traversals: there is no run folder called {name}.{nearest(name, by_name)}")
        return [by_name[name] for name in config.traversals]
    order = sorted(range(len(groups)), key=lambda i: (not np.isfinite(rank[i]), rank[i]))
    best = []
    for group in [groups[i] for i in order if groups[i].counted][: config.pictures]:
        columns = [np.array([run.scores.get(name, np.nan) for run in group.counted]) for name in in_rank]
        within = mean_rank(columns, [direction(name) for name in in_rank], len(group.counted))
        lacking = np.array([sum(name not in run.scores for name in in_rank) for run in group.counted])
        best.append(group.counted[np.lexsort((within, lacking))[0]])
    return best


def with_udr(table: list["Run"]) -> list["Run"]:
    """The runs with scores of how far their codes agree with one another's, where they have codes."""
    from vaezoo.evaluation.udr import udr_scores
    from vaezoo.reporting.settings import swept

    keys = swept(table)
    which = [tuple(str(run.config.get(key)) for key in keys) for run in table]
    found = udr_scores([run.folder for run in table], which)
    return [replace(run, scores={**run.scores, **scores}) for run, scores in zip(table, found, strict=True)]


def runs_table(shown: "Report") -> str:
    """One row a run: every key that differs, every score at full precision."""
    from vaezoo.reporting.settings import all_scores, differing

    keys, names = differing(shown.runs), all_scores(shown.runs)
    rows = [
        [
            os.path.relpath(run.folder, shown.place),
            run.state,
            *(run.config.get(key) for key in keys),
            *(run.scores.get(name, "") for name in names),
            run.error,
        ]
        for run in shown.runs
    ]
    return written(["run", "state", *keys, *names, "error"], rows)


def settings_table(shown: "Report") -> str:
    """One row a setting: mean, half of the interval and seeds of every score of the leaderboard."""
    from vaezoo.reporting.summary import mean

    heads = [f"{name}{part}" for name in shown.names for part in ("", "/half", "/n")]
    rows = []
    for setting, rank in zip(shown.settings, shown.rank, strict=True):
        found = [mean(setting.scores(name)) for name in shown.names]
        cells = [cell for one in found for cell in (one.value, one.half, one.n)]
        rows.append([*setting.values.values(), len(setting.counted), rank, *cells])
    return written([*shown.keys, "seeds", "rank", *heads], rows)


def written(heads: list[str], rows: list[list[Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows([["" if cell is None or cell != cell else cell for cell in row] for row in rows])
    return out.getvalue()


def make_report(config: DictConfig) -> list[Path]:
    check_config(config)
    from vaezoo.reporting.page import page

    shown, out = gather(config), page_file(config)
    files = [out, out.with_suffix(".csv"), out.with_name(f"{out.stem}_settings.csv")]
    for path, make in zip(files, (page, runs_table, settings_table), strict=True):
        write_text(path, make(shown))
    return files


@hydra.main(version_base="1.3", config_path=DIRECTORY, config_name="report")
def job(config: DictConfig) -> None:
    try:
        files = make_report(config)
    except UserError as error:
        report(error)
    for name, path in zip(("page", "runs", "settings"), files, strict=True):
        print(f"{name:<9} {path}")


def main() -> None:
    try:
        check_command_line("report", sys.argv[1:])
    except UserError as error:
        report(error)
    job()


if __name__ == "__main__":
    main()
