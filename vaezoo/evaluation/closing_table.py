"""The table of scores that ends a run."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vaezoo.errors import make_printable
from vaezoo.evaluation.scores import Scores


def print_scores(scores: Scores, title: str) -> None:
    """Print the closing table: each score with its protocol, and the reasons of skipped scores."""
    table = Table(title=escape(make_printable(title)), title_justify="left")
    table.add_column("score")
    table.add_column("value", justify="right")
    table.add_column("protocol", overflow="fold", style="dim")
    described: set[str] = set()  # metrics whose protocol stands beside their first value
    for key, metric in scores.metrics.items():
        value, deviation = scores.values[key], scores.values.get(f"{key}/sd")
        number = f"{value:.0f}" if value.is_integer() else f"{value:.4g}"
        table.add_row(
            escape(key.removeprefix("eval/")),
            number if deviation is None else f"{number} ± {deviation:.2g}",
            "" if metric in described else escape(make_printable(describe_protocol(scores, metric))),
        )
        described.add(metric)
    for metric, reason in scores.skipped.items():
        table.add_row(
            escape(metric), "–", escape(make_printable(f"skipped: {reason}"))
        )  # escaped, since vaezoo[fid] would be markup
    Console().print(table)


def describe_protocol(scores: Scores, metric: str) -> str:
    """Return the constants and facts of a protocol as one line."""
    constants = scores.protocols[metric].items()
    return ", ".join(f"{name} {value}" for name, value in constants if name != "seconds" and value is not None)
