"""Charts as data: scores against each other and along swept numbers, a curve for each model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from markupsafe import Markup

from vaezoo.metrics.directions import Directions, direction
from vaezoo.reporting.reading import Run
from vaezoo.reporting.settings import SEED, Setting, format_value, is_number
from vaezoo.reporting.summary import Mean, mean, pareto_front

# Student's interval of two seeds is 12.7 standard errors to each side: drawn, it would cross the chart and hide the
# curves. Such a point shows its two runs instead.
MIN_SEEDS = 3
MAX_DECIMALS = 6


@dataclass(frozen=True)
class Point:
    """A setting or a run in a chart."""

    x: float
    y: float
    x_half: float  # of the interval that is drawn, NaN without one
    y_half: float
    label: str  # beside the point
    hover: Markup  # in plotly's own markup, which is a part of HTML
    anchor: str  # the id of its row on the page
    seeds: int = 1
    runs: tuple[tuple[float, float], ...] = ()  # x and y of the runs of a mean over two seeds


@dataclass(frozen=True)
class Curve:
    """Points of one model, in the order in which a line joins them."""

    model: str
    points: list[Point]


@dataclass(frozen=True)
class Chart:
    """Curves with the names of their axes; `y_label` is the title of the chart, because it is easier to read there."""

    x_label: str
    y_label: str
    curves: list[Curve]
    joined: bool = True
    ticks: list[tuple[float, str]] | None = None  # of the x axis
    on_front: list[Point] = field(default_factory=list)  # by x

    @property
    def points(self) -> list[Point]:
        """Return the points of all curves."""
        return [point for curve in self.curves for point in curve.points]


# ---- which settings a curve joins --------------------------------------------------------------------------------


def list_numbers(group: Sequence[Setting], key: str) -> list[float]:
    """Return the different values of a key that are numbers, ascending."""
    return sorted({float(setting.values[key]) for setting in group if is_number(setting.values.get(key))})


def list_number_keys(group: Sequence[Setting]) -> list[str]:
    """Return the swept keys that have at least two numbers as values."""
    keys = dict.fromkeys(key for setting in group for key in setting.values)
    return [key for key in keys if len(list_numbers(group, key)) > 1]


def choose_weight(group: Sequence[Setting]) -> str | None:
    """Return the key along which settings of one model are joined: its own number with the most values, else any."""
    return max(
        list_number_keys(group),
        key=lambda key: (key.startswith("model."), len(list_numbers(group, key))),
        default=None,
    )


def group_by_model(group: Sequence[Setting]) -> dict[str, list[Setting]]:
    """Return the settings by the name of their model."""
    groups: dict[str, list[Setting]] = {}
    for setting in group:
        groups.setdefault(model_name(setting), []).append(setting)
    return groups


def model_name(setting: Setting) -> str:
    """Return the name of a setting's model."""
    return format_value((setting.counted or setting.runs)[0].config.get("model")) or "model"


def split_lines(group: Sequence[Setting], along: str | None) -> list[list[Setting]]:
    """Return groups of settings that differ in nothing but `along` and the keys that depend on it; ordered by `along`.

    `group` holds settings of one model.
    """
    if along is None:
        return [[setting] for setting in group]
    others = [key for key in group[0].values if key != along and not depends_on(group, key, along)]
    groups: dict[tuple[str, ...], list[Setting]] = {}
    for setting in group:
        if is_number(setting.values.get(along)):
            groups.setdefault(tuple(str(setting.values[key]) for key in others), []).append(setting)
    return [sorted(line, key=lambda setting: float(setting.values[along])) for line in groups.values()]


def depends_on(group: Sequence[Setting], key: str, along: str) -> bool:
    """Return whether equal values of `along` mean equal values of `key`."""
    values: dict[str, str] = {}
    return all(
        values.setdefault(str(setting.values.get(along)), str(setting.values.get(key))) == str(setting.values.get(key))
        for setting in group
    )


# ---- the charts --------------------------------------------------------------------------------------------------


def make_trade_off(group: Sequence[Setting], x: str, y: str, recorded: Directions) -> Chart:
    """Draw `y` against `x`, a curve for each model along its weight, with the Pareto front of all settings."""
    curves = []
    for model, members in group_by_model(group).items():
        along = choose_weight(members)
        for line in split_lines(members, along):
            points = [
                make_point(setting, x, y, "" if along is None else f"{setting.values[along]:g}") for setting in line
            ]
            curves.append(Curve(model, [point for point in points if np.isfinite([point.x, point.y]).all()]))
    chart = Chart(add_arrow(x, recorded), add_arrow(y, recorded), [curve for curve in curves if curve.points])
    ways = direction(x, recorded), direction(y, recorded)
    if all(ways):
        xs, ys = np.array([point.x for point in chart.points]), np.array([point.y for point in chart.points])
        on_front = pareto_front(xs, ys, ways)
        front = [point for point, inside in zip(chart.points, on_front, strict=True) if inside]
        return replace(chart, on_front=sorted(front, key=lambda point: point.x))
    return chart


def make_sweep_chart(group: Sequence[Setting], key: str, y: str, recorded: Directions) -> Chart:
    """Draw a score against a swept number, a curve for each model."""
    values = list_numbers(group, key)
    scale = choose_scale(values)
    curves = []
    for model, members in group_by_model(group).items():
        for line in split_lines(members, key):
            points = [make_point(setting, None, y, "", place=scale(float(setting.values[key]))) for setting in line]
            curves.append(Curve(model, [point for point in points if np.isfinite(point.y)]))
    marked = values if len(values) <= 10 else [values[i] for i in np.linspace(0, len(values) - 1, 8).astype(int)]
    ticks = [(scale(value), f"{value:g}") for value in marked]
    return Chart(key, add_arrow(y, recorded), [curve for curve in curves if curve.points], ticks=ticks)


def make_run_chart(
    runs: Sequence[Run], setting_of: Mapping[Path, Setting], x: str, y: str, recorded: Directions
) -> Chart:
    """Draw two scores of every run against each other, without lines."""
    curves: dict[str, list[Point]] = {}
    for run in runs:
        setting = setting_of[run.folder]
        lines = [f"seed {run.config.get(SEED)}", *(f"{name} {run.scores[name]:.4g}" for name in (x, y))]
        hover = make_hover(setting.label, lines)
        point = Point(run.scores[x], run.scores[y], np.nan, np.nan, "", hover, setting.id)
        if np.isfinite([point.x, point.y]).all():
            curves.setdefault(model_name(setting), []).append(point)
    return Chart(
        add_arrow(x, recorded), add_arrow(y, recorded), [Curve(*item) for item in curves.items()], joined=False
    )


def choose_scale(values: Sequence[float]) -> Callable[[float], float]:
    """Return the function from a swept number to its place on the axis.

    It is the decimal logarithm if the values span a decade; zero is then one step before the smallest.
    """
    positive = [value for value in values if value > 0]
    if min(values) < 0 or not positive or max(positive) < 10 * min(positive):
        return float
    least = np.log10(min(positive))
    place_of_zero = float(least - max(0.3, (np.log10(max(positive)) - least) / max(len(positive) - 1, 1)))
    return lambda value: float(np.log10(value)) if value > 0 else place_of_zero


def make_point(setting: Setting, x: str | None, y: str, label: str, place: float = np.nan) -> Point:
    """Return the point of a setting: the means of its scores `x` and `y`, or its `place` on the axis without `x`."""
    x_mean = Mean(place, np.nan, 0) if x is None else mean(setting.scores(x))
    y_mean = mean(setting.scores(y))
    lines = [f"{name} {format_interval(summary)}" for name, summary in ((x, x_mean), (y, y_mean)) if name]
    lines.append(f"{y_mean.n} seed{'s' * (y_mean.n != 1)}")
    return Point(
        x_mean.value,
        y_mean.value,
        x_mean.half if x_mean.n >= MIN_SEEDS else np.nan,
        y_mean.half if y_mean.n >= MIN_SEEDS else np.nan,
        label,
        make_hover(setting.label, lines),
        setting.id,
        y_mean.n,
        locate_runs(setting, x, y, place) if y_mean.n == 2 else (),
    )


def locate_runs(setting: Setting, x: str | None, y: str, place: float) -> tuple[tuple[float, float], ...]:
    """Return x and y of every counted run of a setting that has both."""
    nan = float("nan")
    pairs = [(run.scores.get(x, nan) if x else place, run.scores.get(y, nan)) for run in setting.counted]
    return tuple(pair for pair in pairs if np.isfinite(pair).all())


# ---- texts -------------------------------------------------------------------------------------------------------


def make_hover(title: str, lines: Sequence[str]) -> Markup:
    """Return what a chart says under the pointer; names are escaped, because plotly reads tags in its texts."""
    return Markup("<br>").join([Markup("<b>{}</b>").format(title), *lines])


def add_arrow(name: str, recorded: Directions) -> str:
    """Return the name of a score with an arrow towards its better end."""
    return {1: f"{name} ↑", -1: f"{name} ↓", 0: name}[direction(name, recorded)]


def format_interval(summary: Mean) -> str:
    """Return a mean ± half of its interval."""
    value, half = round_to_interval(summary.value, summary.half)
    return f"{value} ± {half}" if half else value


def round_to_interval(value: float, half: float) -> tuple[str, str]:
    """Return a mean and half of its interval, with as many decimals as the interval gives meaning to.

    The half is "" without an interval, and for seeds that agree: below 1e-9 of the mean it is a rounding error.
    """
    if not np.isfinite(value):
        return "", ""
    if not np.isfinite(half) or half <= 1e-9 * abs(value):
        return use_minus(f"{value:.4g}"), ""
    decimals = min(max(0, 1 - int(np.floor(np.log10(half)))), MAX_DECIMALS)
    half_text = f"{half:.1g}" if half < 10**-MAX_DECIMALS else f"{half:.{decimals}f}"
    return use_minus(f"{value + 0.0:.{decimals}f}"), half_text


def use_minus(number: str) -> str:
    """Return a number with the sign for minus instead of a hyphen."""
    return number.replace("-", "−")
