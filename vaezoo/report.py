"""Many runs on one page: `python -m vaezoo.report runs=multirun/2026-11-21/10-30-00`.

Writes report.html, which holds its pictures and can be sent around, and report.csv, one row a run. It reads run folders
and needs nothing else.
"""

import base64
import csv
import io
import json
import sys
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import hydra
import numpy as np
from omegaconf import DictConfig

from vaezoo import runs
from vaezoo.checks import check, check_command_line
from vaezoo.config import DIRECTORY, flatten
from vaezoo.errors import UserError, report

# Where a run was made says nothing about it; the model's parts repeat the groups that they come from.
IGNORED = (
    "folder",
    "logger.",
    "callbacks.",
    "figure.",
    "dataset.seed",
    *(f"model.{part}" for part in ("latent.", "likelihood.", "encoder.", "decoder.", "optimizer.", "image_shape")),
)
PICTURES = ("reconstructions", "traversals", "curves")

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.5rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block; overflow-x: auto }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap }
th { text-align: right; border-bottom: 2px solid #888 } td.key, th.key { text-align: left }
td.bad { color: #a00; text-align: left; white-space: normal } .small { color: #666; font-size: .85rem }
figure { margin: 1rem 0 } figure img { max-width: 100% } .pictures { display: flex; flex-wrap: wrap; gap: 1.5rem }
"""


@dataclass(frozen=True)
class Run:
    folder: Path
    config: dict[str, Any]  # flattened
    scores: dict[str, float]  # empty until it is finished
    error: str | None  # the first line of error.txt


def read_runs(root: Path) -> list[Run]:
    """Every run folder below `root`, in the order of its swept values."""
    found = sorted(path.parents[1] for path in root.rglob(str(runs.CONFIG)))
    if not found:
        raise UserError(f"runs={root}: no run folder in it or below it; each has a {runs.CONFIG}.")
    table = [read_run(folder) for folder in found]
    keys = swept_keys(table)

    def place(run: Run) -> list[tuple[bool, float, str]]:
        values = [run.config.get(key) for key in keys]
        numbers = [isinstance(item, int | float) for item in values]
        return [(not n, float(v) if n else 0.0, str(v)) for n, v in zip(numbers, values, strict=True)]  # type: ignore[arg-type]

    return sorted(table, key=place)


def read_run(folder: Path) -> Run:
    metrics, error = folder / "metrics.json", folder / "error.txt"
    scores = json.loads(metrics.read_text())["scores"] if metrics.is_file() else {}
    try:
        config = flatten(runs.load_config(folder))
    except UserError as mistake:
        return Run(folder, config={}, scores={}, error=str(mistake))
    return Run(
        folder=folder,
        config=config,
        scores={name.removeprefix("eval/"): float(value) for name, value in scores.items()},
        error=(error.read_text().strip().splitlines() or ["failed"])[-1] if error.is_file() else None,
    )


def swept_keys(table: list[Run]) -> list[str]:
    """Configuration keys whose value is not the same in all runs; the seed last."""
    read = [run for run in table if run.config]
    keys = list(dict.fromkeys(key for run in read for key in run.config))
    kept = [key for key in keys if not key.startswith(IGNORED) and "_partial_" not in key and "_convert_" not in key]
    differ = [key for key in kept if len({str(run.config.get(key)) for run in read}) > 1]
    return [key for key in differ if key != "seed"] + [key for key in differ if key == "seed"]


def headline_scores(table: list[Run]) -> list[str]:
    """The metrics' own values; their parts are in report.csv."""
    names = list(dict.fromkeys(name for run in table for name in run.scores))
    return [name for name in names if "/" not in name]


def value(item: Any) -> str:
    return "" if item is None else f"{item:.4g}" if isinstance(item, float) else str(item).rpartition("vaezoo.")[2]


def over_seeds(table: list[Run], keys: list[str], names: list[str]) -> tuple[list[str], list[list[str]]]:
    """One row for each setting: mean and standard deviation over its seeds, and how many there were."""
    settings = [key for key in keys if key != "seed"]
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in table:
        if run.scores:
            groups.setdefault(tuple(str(run.config.get(key)) for key in settings), []).append(run)
    rows = []
    for group in groups.values():
        cells = [value(group[0].config.get(key)) for key in settings]
        for name in names:
            values = np.array([run.scores[name] for run in group if name in run.scores])
            spread = f" ± {values.std(ddof=1):.2g}" if len(values) > 1 else ""
            cells.append(f"{values.mean():.4g}{spread}" if len(values) else "")
        rows.append([*cells, str(len(group))])
    return [*settings, *names, "seeds"], rows


def with_udr(table: list[Run]) -> list[Run]:
    """The runs with scores of how far their codes agree with one another's, where they have codes."""
    from vaezoo.evaluation.agreement import udr_scores

    keys = [key for key in swept_keys(table) if key != "seed"]
    settings = [tuple(str(run.config.get(key)) for key in keys) for run in table]
    found = udr_scores([run.folder for run in table], settings)
    return [replace(run, scores={**run.scores, **scores}) for run, scores in zip(table, found, strict=True)]


def html_table(head: list[str], rows: list[list[str]], left: int) -> str:
    def cells(tag: str, row: list[str]) -> str:
        return "".join(f"<{tag}{' class=key' if i < left else ''}>{escape(c)}</{tag}>" for i, c in enumerate(row))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><tr>{cells('th', head)}</tr>{body}</table>"


def page(table: list[Run], root: Path) -> str:
    keys, names = swept_keys(table), headline_scores(table)
    finished = [run for run in table if run.scores]
    head, rows = over_seeds(table, keys, names)
    parts = [
        f"<h1>{escape(str(root))}</h1>",
        f"<p>{len(table)} runs, {len(finished)} finished, {sum(run.error is not None for run in table)} failed.</p>",
        "<h2>Scores, mean ± standard deviation over seeds</h2>",
        html_table(head, rows, len(head) - len(names) - 1) if rows else "<p>No run is finished yet.</p>",
        '<p class="small">Each score with its protocol, rows and seconds: metrics.json in the run folder. '
        "All values, also the parts: report.csv.</p>",
    ]
    if failed := [run for run in table if run.error]:
        listed = [[str(run.folder.relative_to(root)), run.error or ""] for run in failed]
        parts += ["<h2>Runs that ended badly</h2>", html_table(["run", "why"], listed, 2)]
    for run in table:
        settings = ", ".join(f"{key}={value(run.config.get(key))}" for key in keys) or "one run"
        parts.append(f"<h2>{escape(settings)}</h2><p class=small>{escape(str(run.folder.relative_to(root)))}</p>")
        parts.append('<div class="pictures">' + "".join(picture(run.folder, name) for name in PICTURES) + "</div>")
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(root.name)}</title><style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def picture(folder: Path, name: str) -> str:
    path = folder / "figures" / f"{name}.png"
    if not path.is_file():
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<figure><img alt="{name}" src="data:image/png;base64,{data}"></figure>'


def csv_text(table: list[Run]) -> str:
    keys = swept_keys(table)
    names = list(dict.fromkeys(name for run in table for name in run.scores))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["run", *keys, *names, "error"])
    for run in table:
        settings = [run.config.get(key) for key in keys]
        writer.writerow([run.folder.name, *settings, *(run.scores.get(name, "") for name in names), run.error or ""])
    return out.getvalue()


def make_report(config: DictConfig) -> Path:
    check(config)
    root = Path(config.runs).expanduser().resolve()
    table = read_runs(root)
    if config.udr:
        table = with_udr(table)
    out = Path(config.out) if config.out else root / "report.html"
    runs.write_text(out, page(table, root))
    runs.write_text(out.with_suffix(".csv"), csv_text(table))
    return out


@hydra.main(version_base="1.3", config_path=DIRECTORY, config_name="report")
def job(config: DictConfig) -> None:
    try:
        out = make_report(config)
    except UserError as error:
        report(error)
    print(f"page   {out}\ntable  {out.with_suffix('.csv')}")


def main() -> None:
    try:
        check_command_line("report", sys.argv[1:])
    except UserError as error:
        report(error)
    job()


if __name__ == "__main__":
    main()
