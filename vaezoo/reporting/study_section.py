"""The section of the page that studies the study: how scores agree, what decides them, what holds on other data."""

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np

from vaezoo.metrics.directions import direction
from vaezoo.reporting.charts import model_name, use_minus
from vaezoo.reporting.reading import Run
from vaezoo.reporting.report_data import Report
from vaezoo.reporting.score_study import MIN_RUNS, compare_data_sets, correlate_scores, split_variance
from vaezoo.reporting.settings import format_value
from vaezoo.reporting.summary import CONFIDENCE, mean, ranks

Data = dict[str, Any]
RED, BLUE = (214, 96, 77), (67, 147, 195)  # of correlations of -1 and 1; no colour is 0


def describe_study(report: Report) -> Data | None:
    """Return how scores agree, what decides them, and what holds on another data set; None for fewer than five runs."""
    runs = [run for setting in report.counted_settings for run in setting.counted]
    names = [name for name in report.ranked if sum(name in run.scores for run in runs) >= MIN_RUNS]
    if not names:
        return None
    data_sets = list(dict.fromkeys(format_value(run.config.get("dataset")) for run in runs))
    found = {
        "names": names,
        "matrix": describe_agreement(report, runs, names) if len(names) > 1 else [],
        "data_sets": len(data_sets) > 1,
        "shares": [row for name in names for dataset in data_sets for row in describe_shares(report, name, dataset)],
        "transfers": [
            row
            for name in names
            for pair in permutations(data_sets, 2)
            for row in describe_transfer(report, name, *pair)
        ],
        "confidence": f"{CONFIDENCE:.0%}",
    }
    return found if found["matrix"] or found["shares"] or found["transfers"] else None


def describe_agreement(report: Report, runs: Sequence[Run], names: Sequence[str]) -> list[Data]:
    """Return the rows of the rank correlations of each score with each, towards the better end of both."""
    of_run = np.array([format_value(run.config.get("dataset")) for run in runs])
    values = {}
    for name in names:
        column = np.array([run.scores.get(name, np.nan) for run in runs])
        way = direction(name, report.recorded) or 1
        # A data set on which all scores are high would make them agree, so that ranks are those within a data set.
        for dataset in np.unique(of_run):
            inside = of_run == dataset
            column[inside] = -ranks(column[inside], way) / np.isfinite(column[inside]).sum()
        values[name] = column

    def describe(name: str, other: str) -> Data:
        rho = correlate_scores(values[name], values[other])
        if not np.isfinite(rho.value):
            return {"text": "", "colour": "#fff", "hint": f"{name}, {other}: not defined"}
        end, weight = (BLUE if rho.value > 0 else RED), 0.7 * abs(rho.value)
        colour = "#" + "".join(f"{round(255 + weight * (part - 255)):02x}" for part in end)
        interval = f", {use_minus(f'{rho.low:.2f}')} to {use_minus(f'{rho.high:.2f}')}" if np.isfinite(rho.low) else ""
        text = use_minus(f"{round(rho.value, 2) + 0.0:.2f}")
        return {"text": text, "colour": colour, "hint": f"{name}, {other}: {text}{interval}; {rho.n} runs"}

    return [{"name": name, "cells": [describe(name, other) for other in names]} for name in names]


def describe_shares(report: Report, name: str, dataset: str) -> list[Data]:
    """Return the row of the shares of variance of a score on a data set; none where seeds cannot be told apart."""
    runs = [
        (run.scores.get(name, np.nan), model_name(setting), setting.id)
        for setting in report.counted_settings
        for run in setting.counted
        if format_value(run.config.get("dataset")) == dataset
    ]
    if not runs or (shares := split_variance(*zip(*runs, strict=True))) is None:
        return []
    parts = zip((shares.model, shares.setting, shares.seed), shares.by_chance, strict=True)
    cells = [{"text": f"{part:.0%}", "chance": f"{chance:.0%}"} for part, chance in parts]
    return [{"score": name, "dataset": dataset, "cells": cells}]


def describe_transfer(report: Report, name: str, first: str, second: str) -> list[Data]:
    """Return the row of a score and two data sets; none where they share fewer than three settings."""
    means: dict[str, dict[tuple[str, ...], float]] = {first: {}, second: {}}
    for setting in report.counted_settings:
        others = tuple(f"{key}={value}" for key, value in setting.values.items() if key != "dataset")
        if (dataset := format_value(setting.counted[0].config.get("dataset"))) in means:
            means[dataset][others] = mean(setting.scores(name)).value
    shared = [key for key in means[first] if key in means[second]]
    way = direction(name, report.recorded) or 1
    on_first, on_second = ([table[key] for key in shared] for table in means.values())
    if (found := compare_data_sets(on_first, on_second, way)) is None:
        return []
    rho = use_minus(f"{round(found.rho, 2) + 0.0:.2f}") if np.isfinite(found.rho) else "not defined"
    numbers = [use_minus(f"{value:.4g}") for value in (found.chosen, found.best, found.middle)]
    return [{"score": name, "first": first, "second": second, "texts": [rho, str(found.n), *numbers]}]
