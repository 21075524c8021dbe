"""The table of scores that ends a run."""

from collections.abc import Mapping, Sequence
from math import isnan

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vaezoo.errors import make_printable
from vaezoo.evaluation.floors import Floor
from vaezoo.evaluation.scores import Scores
from vaezoo.metrics.directions import DISENTANGLEMENT, EASY, REPEATED

ARROWS = {"higher": "↑", "lower": "↓"}
ORDER = (DISENTANGLEMENT, "", EASY, REPEATED)  # of the groups of scores


def print_scores(scores: Scores, title: str, sentences: Sequence[str] = ()) -> None:
    """Print sentences about a run, the table of its scores, and in one line what was not computed, by reason.

    A score stands with the better direction, its floor and its protocol. Scores of disentanglement come first.
    """
    console = Console()
    for sentence in sentences:
        console.print(escape(sentence))
    table = Table(title=escape(make_printable(title)), title_justify="left")
    table.add_column("score", no_wrap=True)
    table.add_column("value", justify="right")
    if scores.floors:
        table.add_column("noise, constant codes", justify="right", style="dim")
    table.add_column("protocol", overflow="fold", style="dim")
    described: set[str] = set()  # metrics whose protocol stands beside their first value
    groups = group_metrics(scores)
    keys = sorted(scores.metrics, key=lambda key: ORDER.index(groups[scores.metrics[key]]))
    for place, key in enumerate(keys):
        metric = scores.metrics[key]
        value, deviation = scores.values[key], scores.values.get(f"{key}/sd")
        number = f"{value:.0f}" if value.is_integer() else f"{value:.4g}"
        number += "" if deviation is None else f" ± {deviation:.2g}"
        arrow = ARROWS[scores.directions[key].better] if key in scores.directions else " "
        table.add_row(
            f"{arrow} {escape(key.removeprefix('eval/'))}",
            f"{number} (floor)" if scores.is_at_floor(key) else number,
            *([describe_floor(scores.floors.get(key))] if scores.floors else []),
            "" if metric in described else escape(make_printable(describe_protocol(scores, metric))),
            end_section=keys[place + 1 :] != [] and groups[metric] != groups[scores.metrics[keys[place + 1]]],
        )
        described.add(metric)
    if scores.values:
        console.print(table)
    if scores.skipped:
        # The reasons are escaped, because vaezoo[fid] would be markup.
        console.print(escape(make_printable(f"not computed: {describe_skipped(scores.skipped)}")), style="dim")


def group_metrics(scores: Scores) -> dict[str, str]:
    """Return the group of each metric, that of its first score with a direction; "" for one without."""
    groups: dict[str, str] = {}
    for key, metric in scores.metrics.items():
        if key in scores.directions:
            groups.setdefault(metric, scores.directions[key].group)
    return {metric: groups.get(metric, "") for metric in scores.metrics.values()}


def describe_skipped(skipped: Mapping[str, str]) -> str:
    """Return the skipped metrics by their reasons, such as "mig_hist, irs (the data set has no factors)"."""
    by_reason: dict[str, list[str]] = {}
    for metric, reason in skipped.items():
        by_reason.setdefault(reason, []).append(metric)
    return "; ".join(f"{', '.join(metrics)} ({reason})" for reason, metrics in by_reason.items())


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
