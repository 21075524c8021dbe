"""What a report shows: the runs, their settings, the scores and the ranks, chosen by the configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vaezoo.errors import UserError, nearest
from vaezoo.metrics.directions import Directions, direction
from vaezoo.reporting.charts import group_by_model
from vaezoo.reporting.reading import FINISHED, Run, read_runs
from vaezoo.reporting.score_selection import (
    RECONSTRUCTION,
    check_scores,
    collect_directions,
    list_scores,
    select_headline,
    select_ranked,
)
from vaezoo.reporting.settings import SEED, Setting, group_settings, list_swept_keys, sort_key
from vaezoo.reporting.summary import mean, mean_rank

MAX_CURVES = 3  # scores that are drawn where the configuration names none


@dataclass(frozen=True)
class Report:
    """Everything that the page and the tables show."""

    title: str
    folder: Path  # of the page, which links are relative to
    runs: list[Run]
    keys: list[str]  # that distinguish settings
    settings: list[Setting]
    scores: list[str]  # the columns of the leaderboard
    ranked: list[str]  # the scores that make the rank
    recorded: Directions  # that the runs have recorded
    mean_ranks: np.ndarray  # (settings,)
    x: str | None  # the score of reconstruction
    y: list[str]  # the scores that are drawn against it
    pictured: list[Run]  # runs with pictures, the best first

    @property
    def counted_settings(self) -> list[Setting]:
        """Return the settings with a finished run."""
        return [setting for setting in self.settings if setting.counted]

    @property
    def models(self) -> list[str]:
        """Return the models of the charts, in the order of their styles."""
        return list(group_by_model(self.counted_settings))

    @property
    def settings_by_folder(self) -> dict[Path, Setting]:
        """Return the setting of every run folder whose configuration can be read."""
        return {run.folder: setting for setting in self.settings for run in setting.runs}


def collect_report(config: Any, roots: Sequence[Path], folder: Path) -> Report:
    """Read the runs below `roots` and choose what the report shows; its page lies in `folder`.

    `config` has the keys of conf/report.yaml.
    """
    runs = read_runs(roots)
    if config.udr:
        runs = add_udr(runs)
    available = list_scores(runs)
    for key in ("scores", "y"):
        check_scores(key, config[key] or [], available)
    check_scores("x", [config.x] if config.x else [], available)
    order = [*list_swept_keys(runs), SEED]
    runs.sort(key=lambda run: [(not run.config, *sort_key(run.config.get(key))) for key in order])
    # A key that differs in runs without scores alone would be an empty column of the leaderboard.
    keys = list_swept_keys([run for run in runs if run.state == FINISHED])
    settings = group_settings(runs, keys)
    recorded = collect_directions(runs)
    scores = list(config.scores or select_headline(available, recorded))
    ranked = select_ranked(scores, recorded, named_by_user=bool(config.scores))
    ways = [direction(name, recorded) for name in ranked]
    columns = [np.array([mean(setting.scores(name)).value for setting in settings]) for name in ranked]
    mean_ranks = mean_rank(columns, ways, len(settings))
    x = config.x or next((name for name in RECONSTRUCTION if name in available), None)
    y = list(
        config.y or [name for name in scores if direction(name, recorded) and name not in ("elbo", x)][:MAX_CURVES]
    )
    if config.traversals is None:
        pictured = choose_best_runs(settings, mean_ranks, dict(zip(ranked, ways, strict=True)), config.pictures)
    else:
        pictured = find_runs(runs, config.traversals)
    return Report(
        title=" and ".join("/".join(root.parts[-2:]).lstrip("/") for root in roots),
        folder=folder,
        runs=runs,
        keys=keys,
        settings=settings,
        scores=scores,
        ranked=ranked,
        recorded=recorded,
        mean_ranks=mean_ranks,
        x=x,
        y=y,
        pictured=pictured,
    )


def add_udr(runs: Sequence[Run]) -> list[Run]:
    """Add scores of how far the codes of the runs agree with each other, where runs have codes."""
    from vaezoo.evaluation.udr import udr_scores

    keys = list_swept_keys(runs)
    settings = [tuple(str(run.config.get(key)) for key in keys) for run in runs]
    added = udr_scores([run.folder for run in runs], settings)
    return [replace(run, scores={**run.scores, **scores}) for run, scores in zip(runs, added, strict=True)]


def find_runs(runs: Sequence[Run], names: Sequence[str]) -> list[Run]:
    """Return the runs whose folders have these names."""
    by_name = {run.folder.name: run for run in runs}
    for name in names:
        if name not in by_name:
            raise UserError(f"traversals: there is no run folder called {name}.{nearest(name, by_name)}")
    return [by_name[name] for name in names]


def order_by_rank(settings: Sequence[Setting], mean_ranks: np.ndarray) -> list[int]:
    """Return the indices of the settings with a finished run by their rank; settings without a rank are last."""
    order = sorted(range(len(settings)), key=lambda i: (not np.isfinite(mean_ranks[i]), mean_ranks[i]))
    return [i for i in order if settings[i].counted]


def choose_best_runs(
    settings: Sequence[Setting], mean_ranks: np.ndarray, ranked: Mapping[str, int], count: int
) -> list[Run]:
    """Return the best seed of each of the `count` best settings; runs that lack fewer ranked scores come first.

    `ranked` has the direction of each ranked score.
    """
    best = []
    for i in order_by_rank(settings, mean_ranks)[:count]:
        runs = settings[i].counted
        columns = [np.array([run.scores.get(name, np.nan) for run in runs]) for name in ranked]
        within = mean_rank(columns, list(ranked.values()), len(runs))
        lacking = np.array([sum(name not in run.scores for name in ranked) for run in runs])
        best.append(runs[np.lexsort((within, lacking))[0]])
    return best
