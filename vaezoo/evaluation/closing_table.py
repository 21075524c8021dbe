"""The table of scores that ends a run."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vaezoo.evaluation.scores import Scores


def print_scores(scores: Scores, title: str) -> None:
    """Print the closing table: each score with its protocol, and the reasons of those that were skipped."""
    table = Table(title=title, title_justify="left")
    table.add_column("score")
    table.add_column("value", justify="right")
    table.add_column("protocol", overflow="fold", style="dim")
    told: set[str] = set()
    for key, metric in scores.metrics.items():
        value, sd = scores.values[key], scores.values.get(f"{key}/sd")
        number = f"{value:.0f}" if value.is_integer() else f"{value:.4g}"
        protocol = scores.protocols[metric].items() if metric not in told else []  # once, beside its first value
        told.add(metric)
        constants = ", ".join(f"{name} {held}" for name, held in protocol if name != "seconds" and held is not None)
        table.add_row(key.removeprefix("eval/"), number if sd is None else f"{number} ± {sd:.2g}", constants)
    for name, reason in scores.skipped.items():
        table.add_row(name, "–", escape(f"skipped: {reason}"))  # brackets, as in vaezoo[fid], are no markup
    Console().print(table)
