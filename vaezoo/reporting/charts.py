"""Charts as data: what a browser draws with plotly, and the same on paper with matplotlib.

Curves differ in colour, marker and dash at once, so that they are told apart in grey and with any colour vision.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from vaezoo.metrics.directions import direction
from vaezoo.reporting.reading import Run
from vaezoo.reporting.settings import Setting, numeric, text
from vaezoo.reporting.summary import front, mean

# Okabe and Ito's colours, from dark to light as neighbours; the markers and dashes of plotly and of matplotlib.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#1a1a1a", "#cc79a7", "#e69f00", "#56b4e9", "#7a7a7a")
MARKERS = (
    ("circle", "o"),
    ("square", "s"),
    ("diamond", "D"),
    ("triangle-up", "^"),
    ("triangle-down", "v"),
    ("cross", "P"),
    ("x", "X"),
    ("star", "*"),
    ("pentagon", "p"),
)
DASHES = (("solid", "-"), ("dash", "--"), ("dot", ":"), ("dashdot", "-."))
# Where labels stand, so that those of neighbouring curves do not cover each other; and in points from the marker.
CORNERS = (("top right", (4, 4)), ("bottom right", (4, -11)), ("top left", (-4, 4)), ("bottom left", (-4, -11)))
INK, FADED, RULE = "#1a1a1a", "#6e6e6e", "#dddddd"
INCHES = (4.5, 3.5)
LABELLED = 40  # points of a chart that can carry their labels without hiding one another


@dataclass(frozen=True)
class Point:
    x: float
    y: float
    x_half: float  # of the interval over seeds, NaN without one
    y_half: float
    label: str  # beside the point
    hover: str
    anchor: str  # where the page says more


@dataclass(frozen=True)
class Curve:
    model: str
    points: list[Point]


@dataclass(frozen=True)
class Chart:
    """`y_label` stands above, where it can be read, and not along the axis."""

    x_label: str
    y_label: str
    curves: list[Curve]
    joined: bool = True
    ticks: list[tuple[float, str]] | None = None
    on_front: list[Point] = field(default_factory=list)  # by x


def style(models: Sequence[str], model: str) -> tuple[str, tuple[str, str], tuple[str, str]]:
    i = models.index(model)
    return COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)], DASHES[i % len(DASHES)]


def arrow(name: str) -> str:
    return {1: f"{name} ↑", -1: f"{name} ↓", 0: name}[direction(name)]


# ---- from settings to charts -------------------------------------------------------------------------------------


def weight(group: Sequence[Setting]) -> str | None:
    """The key along which settings of one model are joined: its own number with the most values, else any number."""
    keys = dict.fromkeys(key for setting in group for key in setting.values)
    counts = {key: len(numbers(group, key)) for key in keys}
    several = [key for key in keys if counts[key] > 1]
    return max(several, key=lambda key: (key.startswith("model."), counts[key]), default=None)


def numbers(group: Sequence[Setting], key: str) -> list[float]:
    """The different values of a key, where they are numbers."""
    return sorted({float(setting.values[key]) for setting in group if numeric(setting.values.get(key))})


def number_keys(group: Sequence[Setting]) -> list[str]:
    """Swept keys whose values are numbers."""
    keys = dict.fromkeys(key for setting in group for key in setting.values)
    return [key for key in keys if len(numbers(group, key)) > 1]


def by_model(group: Sequence[Setting]) -> dict[str, list[Setting]]:
    found: dict[str, list[Setting]] = {}
    for setting in group:
        found.setdefault(model_of(setting), []).append(setting)
    return found


def model_of(setting: Setting) -> str:
    return text((setting.counted or setting.runs)[0].config.get("model")) or "model"


def lines(group: Sequence[Setting], along: str | None) -> list[list[Setting]]:
    """Settings of one model that differ in `along`, and in what follows from it, alone; in its order."""
    if along is None:
        return [[setting] for setting in group]
    others = [key for key in group[0].values if key != along and not follows(group, key, along)]
    found: dict[tuple[str, ...], list[Setting]] = {}
    for setting in group:
        if numeric(setting.values.get(along)):
            found.setdefault(tuple(str(setting.values[key]) for key in others), []).append(setting)
    return [sorted(line, key=lambda setting: float(setting.values[along])) for line in found.values()]


def follows(group: Sequence[Setting], key: str, along: str) -> bool:
    """Whether the value of `key` is known where that of `along` is."""
    known: dict[str, str] = {}
    return all(
        known.setdefault(str(setting.values.get(along)), str(setting.values.get(key))) == str(setting.values.get(key))
        for setting in group
    )


def trade_off(group: Sequence[Setting], x: str, y: str) -> Chart:
    """`y` against `x`, a curve for each model along its weight, and which settings no other beats in both."""
    curves = []
    for model, members in by_model(group).items():
        along = weight(members)
        for line in lines(members, along):
            points = [point(setting, x, y, "" if along is None else f"{setting.values[along]:g}") for setting in line]
            curves.append(Curve(model, [one for one in points if np.isfinite([one.x, one.y]).all()]))
    points = [one for curve in curves for one in curve.points]
    xs, ys = np.array([one.x for one in points]), np.array([one.y for one in points])
    best = front(xs, ys, (direction(x), direction(y))) if direction(x) and direction(y) else np.zeros(len(points), bool)
    on_front = sorted((one for one, on in zip(points, best, strict=True) if on), key=lambda one: one.x)
    return Chart(arrow(x), arrow(y), [curve for curve in curves if curve.points], on_front=on_front)


def along_key(group: Sequence[Setting], key: str, y: str) -> Chart:
    """A score against a swept number, a curve for each model."""
    values = numbers(group, key)
    where = positions(values)
    curves = []
    for model, members in by_model(group).items():
        for line in lines(members, key):
            points = [point(setting, None, y, "", place=where(float(setting.values[key]))) for setting in line]
            curves.append(Curve(model, [one for one in points if np.isfinite(one.y)]))
    few = values if len(values) <= 10 else [values[i] for i in np.linspace(0, len(values) - 1, 8).astype(int)]
    ticks = [(where(value), f"{value:g}") for value in few]
    return Chart(key, arrow(y), [curve for curve in curves if curve.points], ticks=ticks)


def udr_chart(runs: Sequence[Run], of: Mapping[Path, Setting], x: str, y: str) -> Chart:
    """A point a run."""
    curves: dict[str, list[Point]] = {}
    for run in runs:
        setting = of[run.folder]
        told = [f"<b>{setting.label}</b>", f"seed {run.config.get('seed')}"]
        hover = "<br>".join([*told, *(f"{name} {run.scores[name]:.4g}" for name in (x, y))])
        one = Point(run.scores[x], run.scores[y], np.nan, np.nan, "", hover, setting.id)
        if np.isfinite([one.x, one.y]).all():
            curves.setdefault(model_of(setting), []).append(one)
    return Chart(arrow(x), arrow(y), [Curve(*item) for item in curves.items()], joined=False)


def positions(values: Sequence[float]) -> Callable[[float], float]:
    """Logarithms where the values span a decade; zero then stands one step before the smallest."""
    above = [value for value in values if value > 0]
    if min(values) < 0 or not above or max(above) < 10 * min(above):
        return float
    least = np.log10(min(above))
    before = float(least - max(0.3, (np.log10(max(above)) - least) / max(len(above) - 1, 1)))
    return lambda value: float(np.log10(value)) if value > 0 else before


def point(setting: Setting, x: str | None, y: str, label: str, place: float = np.nan) -> Point:
    across = None if x is None else mean(setting.scores(x))
    up = mean(setting.scores(y))
    told = [f"<b>{setting.label}</b>", *(f"{name} {said(one)}" for name, one in ((x, across), (y, up)) if one)]
    told.append(f"{up.n} seed{'s' * (up.n != 1)}")
    return Point(
        across.value if across else place,
        up.value,
        across.half if across else np.nan,
        up.half,
        label,
        "<br>".join(told),
        setting.id,
    )


def said(one: Any) -> str:
    """A mean and its interval as a reader wants them: as many decimals as the interval has meaning for."""
    value, half = rounded(one.value, one.half)
    return f"{value} ± {half}" if half else value


def rounded(value: float, half: float) -> tuple[str, str]:
    if not np.isfinite(value):
        return "", ""
    if not np.isfinite(half) or half == 0:
        return minus(f"{value:.4g}"), "" if not np.isfinite(half) else "0"
    decimals = min(max(0, 1 - int(np.floor(np.log10(half)))), 6)
    return minus(f"{value + 0.0:.{decimals}f}"), f"{half:.{decimals}f}"


def minus(number: str) -> str:
    return number.replace("-", "−")


# ---- from charts to pictures -------------------------------------------------------------------------------------


def for_browser(chart: Chart, models: Sequence[str]) -> dict[str, Any]:
    """Traces and layout as plotly takes them."""
    crowded = sum(len(curve.points) for curve in chart.curves) > LABELLED
    traces: list[dict[str, Any]] = []
    if len(chart.on_front) > 1:
        traces.append(
            {
                "x": [one.x for one in chart.on_front],
                "y": [one.y for one in chart.on_front],
                "mode": "lines",
                "name": "Pareto front",
                "line": {"color": FADED, "width": 7},
                "opacity": 0.25,
                "hoverinfo": "skip",
            }
        )
    for curve in chart.curves:
        colour, marker, dash = style(models, curve.model)
        front_too = {id(one) for one in chart.on_front}
        trace: dict[str, Any] = {
            "x": [one.x for one in curve.points],
            "y": [one.y for one in curve.points],
            "mode": "markers" + "+lines" * chart.joined + "+text" * (not crowded),
            "name": curve.model,
            "text": [one.label for one in curve.points],
            "textposition": CORNERS[models.index(curve.model) % len(CORNERS)][0],
            "textfont": {"size": 11, "color": colour},
            "hovertext": [one.hover for one in curve.points],
            "hoverinfo": "text",
            "customdata": [one.anchor for one in curve.points],
            "line": {"color": colour, "dash": dash[0], "width": 1.5},
            "marker": {
                "color": colour,
                "symbol": marker[0],
                "size": 8,
                "line": {"color": INK, "width": [1.5 if id(one) in front_too else 0 for one in curve.points]},
            },
        }
        for axis in "xy":
            halves = [getattr(one, f"{axis}_half") for one in curve.points]
            if np.isfinite(halves).any():
                shown = [half if np.isfinite(half) else None for half in halves]
                trace[f"error_{axis}"] = {"array": shown, "thickness": 1, "width": 3, "color": colour}
        traces.append(trace)
    plain = {"gridcolor": RULE, "zeroline": False, "automargin": True, "ticks": "outside", "linecolor": FADED}
    x_axis = {**plain, "range": limits(chart, "x"), "title": {"text": chart.x_label, "standoff": 8}}
    if chart.ticks:
        x_axis |= {"tickvals": [at for at, _ in chart.ticks], "ticktext": [told for _, told in chart.ticks]}
    layout = {
        "margin": {"l": 30, "r": 20, "t": 8, "b": 44},
        "showlegend": False,
        "hovermode": "closest",
        "font": {
            "size": 12.5,
            "color": INK,
            "family": "-apple-system, Segoe UI, Roboto, Noto Sans, Liberation Sans, Arial, sans-serif",
        },
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "xaxis": x_axis,
        "yaxis": {**plain, "range": limits(chart, "y")},
        "hoverlabel": {"bgcolor": "white", "font": {"color": INK}},
    }
    return {"data": traces, "layout": layout}


def for_paper(chart: Chart, models: Sequence[str]) -> bytes:
    """The chart as SVG; the same data give the same bytes."""
    with rc_context({"svg.hashsalt": "vaezoo", "svg.fonttype": "path", "font.size": 9}):
        figure = Figure(figsize=INCHES, layout="constrained")
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color=RULE, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel(chart.x_label, color=INK)
        if chart.ticks:
            axes.set_xticks([at for at, _ in chart.ticks], [told for _, told in chart.ticks])
        else:
            axes.locator_params(axis="x", nbins=5)
        if len(chart.on_front) > 1:
            axes.plot(*across(chart.on_front), color=FADED, linewidth=6, alpha=0.25, solid_capstyle="round")
        crowded = sum(len(curve.points) for curve in chart.curves) > LABELLED
        for curve in chart.curves:
            draw(axes, curve, models, chart.joined, not crowded)
        axes.set(xlim=limits(chart, "x"), ylim=limits(chart, "y"))
        if chart.on_front:
            axes.plot(*across(chart.on_front), "o", markersize=10, markerfacecolor="none", markeredgecolor=INK, mew=0.8)
        file = io.BytesIO()
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})
    return file.getvalue()


def limits(chart: Chart, axis: str) -> list[float]:
    """The ends of an axis: all points, and as much of their intervals as leaves the points apart."""
    points = [one for curve in chart.curves for one in curve.points]
    at = np.array([getattr(one, axis) for one in points])
    halves = np.nan_to_num([getattr(one, f"{axis}_half") for one in points])
    low, high = at.min(), at.max()
    room = (high - low) or np.inf
    low, high = max((at - halves).min(), low - room), min((at + halves).max(), high + room)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return [float(low - margin), float(high + margin)]


def across(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    return [one.x for one in points], [one.y for one in points]


def draw(axes: Axes, curve: Curve, models: Sequence[str], joined: bool, labelled: bool) -> None:
    colour, marker, dash = style(models, curve.model)
    _, (right, up) = CORNERS[models.index(curve.model) % len(CORNERS)]
    xs, ys = across(curve.points)
    halves = [
        [0.0 if np.isnan(getattr(one, f"{axis}_half")) else getattr(one, f"{axis}_half") for one in curve.points]
        for axis in "xy"
    ]
    axes.errorbar(
        xs,
        ys,
        xerr=halves[0] if any(halves[0]) else None,
        yerr=halves[1] if any(halves[1]) else None,
        color=colour,
        marker=marker[1],
        markersize=5,
        linestyle=dash[1] if joined else "none",
        linewidth=1.2,
        elinewidth=0.8,
        capsize=2,
    )
    for one in curve.points if labelled else ():
        side = "left" if right > 0 else "right"
        axes.annotate(one.label, (one.x, one.y), (right, up), textcoords="offset points", size=8, color=colour, ha=side)


def key_svg(models: Sequence[str], model: str) -> str:
    """A sample of a curve, for the legend."""
    colour, (symbol, _), (dash, _) = style(models, model)
    shapes = {
        "circle": '<circle cx="14" cy="7" r="4"/>',
        "square": '<path d="M10 3h8v8h-8z"/>',
        "diamond": '<path d="M14 2l5 5-5 5-5-5z"/>',
        "triangle-up": '<path d="M14 2l5 9H9z"/>',
        "triangle-down": '<path d="M14 12l5-9H9z"/>',
        "cross": '<path d="M12.5 2.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z"/>',
        "x": '<path d="M10 2l4 3.5L18 2l1 1-3.5 4L19 11l-1 1-4-3.5L10 12l-1-1 3.5-4L9 3z"/>',
        "star": '<path d="M14 1l1.6 4.2 4.4.2-3.4 2.8 1.2 4.3L14 10l-3.8 2.5 1.2-4.3L8 5.4l4.4-.2z"/>',
        "pentagon": '<path d="M14 2l5 3.700-2 5.800h-6L9 5.700z"/>',
    }
    dashes = {"solid": "", "dash": ' stroke-dasharray="5 3"', "dot": ' stroke-dasharray="1.5 2.5"'}
    pattern = dashes.get(dash, ' stroke-dasharray="5 2 1.5 2"')
    return (
        f'<svg width="28" height="14" aria-hidden="true" fill="{colour}"><path d="M0 7h28" fill="none" '
        f'stroke="{colour}" stroke-width="1.5"{pattern}/>{shapes[symbol]}</svg>'
    )
