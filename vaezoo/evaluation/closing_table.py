"""The table of scores that ends a run."""

from math import isnan

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vaezoo.errors import make_printable
from vaezoo.evaluation.floors import Floor
from vaezoo.evaluation.scores import Scores


def print_scores(scores: Scores, title: str) -> None:
    """Print the closing table: each score with its floor and its protocol, and the reasons of skipped scores."""
    table = Table(title=escape(make_printable(title)), title_justify="left")
    table.add_column("score")
    table.add_column("value", justify="right")
    if scores.floors:
        table.add_column("noise, constant codes", justify="right", style="dim")
    table.add_column("protocol", overflow="fold", style="dim")
    described: set[str] = set()  # metrics whose protocol stands beside their first value
    for key, metric in scores.metrics.items():
        value, deviation = scores.values[key], scores.values.get(f"{key}/sd")
        number = f"{value:.0f}" if value.is_integer() else f"{value:.4g}"
        number += "" if deviation is None else f" ± {deviation:.2g}"
        table.add_row(
            escape(key.removeprefix("eval/")),
            f"{number} (floor)" if scores.is_at_floor(key) else number,
            *([describe_floor(scores.floors.get(key))] if scores.floors else []),
            "" if metric in described else escape(make_printable(describe_protocol(scores, metric))),
        )
        described.add(metric)
    for metric, reason in scores.skipped.items():
        # The reason is escaped, because vaezoo[fid] would be markup.
        empty = [""] if scores.floors else []
        table.add_row(escape(metric), "–", *empty, escape(make_printable(f"skipped: {reason}")))
    Console().print(table)


def describe_floor(floor: Floor | None) -> str:
    """Return what noise codes and constant codes get, such as "0.51 ± 0.02, 0.5"; "" without a floor."""
    if floor is None:
        return ""
    constant = "–" if isnan(floor.constant) else f"{round(floor.constant, 9):.3g}"  # without errors of rounding
    return f"{floor.noise:.3g} ± {floor.spread:.1g}, {constant}"


def describe_protocol(scores: Scores, metric: str) -> str:
    """Return the constants and facts of a protocol as one line."""
    constants = scores.protocols[metric].items()
    return ", ".join(f"{name} {value}" for name, value in constants if name != "seconds" and value is not None)
