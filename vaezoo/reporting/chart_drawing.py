"""Draw charts: for a browser as data for plotly, for paper and for pages without scripts as SVG with matplotlib.

Curves differ in colour, marker and dash at once, so that readers distinguish them in grey and with any colour vision.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import escape
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from vaezoo.reporting.charts import Chart, Curve, Point

# The colours of Okabe and Ito, so ordered that neighbours differ in brightness.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#1a1a1a", "#cc79a7", "#e69f00", "#56b4e9", "#7a7a7a")
# Markers of plotly and of matplotlib, and their outlines in a legend of 28 by 14 pixels.
MARKERS = (
    ("circle", "o", "M10 7a4 4 0 1 0 8 0a4 4 0 1 0-8 0z"),
    ("square", "s", "M10 3h8v8h-8z"),
    ("diamond", "D", "M14 2l5 5-5 5-5-5z"),
    ("triangle-up", "^", "M14 2l5 9H9z"),
    ("triangle-down", "v", "M14 12l5-9H9z"),
    ("cross", "P", "M12.5 2.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z"),
    ("x", "X", "M10 2l4 3.5L18 2l1 1-3.5 4L19 11l-1 1-4-3.5L10 12l-1-1 3.5-4L9 3z"),
    ("star", "*", "M14 1l1.6 4.2 4.4.2-3.4 2.8 1.2 4.3L14 10l-3.8 2.5 1.2-4.3L8 5.4l4.4-.2z"),
    ("pentagon", "p", "M14 2l5 3.700-2 5.800h-6L9 5.700z"),
)
# Dashes of plotly, of matplotlib and of SVG.
DASHES = (("solid", "-", ""), ("dash", "--", "5 3"), ("dot", ":", "1.5 2.5"), ("dashdot", "-.", "5 2 1.5 2"))
# Where the label of a point is: a name for plotly, and points to the right and upwards for matplotlib. Curves take
# turns, so that labels of neighbouring curves do not cover each other.
CORNERS = (("top right", (4, 4)), ("bottom right", (4, -11)), ("top left", (-4, 4)), ("bottom left", (-4, -11)))
INK, FADED, RULE = "#1a1a1a", "#6e6e6e", "#dddddd"
FONTS = "-apple-system, Segoe UI, Roboto, Noto Sans, Liberation Sans, Arial, sans-serif"
INCHES = (4.5, 3.5)
MAX_LABELS = 40  # of one chart; more of them hide one another
RUN_OPACITY = 0.5


@dataclass(frozen=True)
class Style:
    """How the curves of one model look."""

    colour: str
    marker: tuple[str, str, str]
    dash: tuple[str, str, str]
    corner: tuple[str, tuple[int, int]]


def style_of(models: Sequence[str], model: str) -> Style:
    """Return the style of a model by its place among the models of the page."""
    i = models.index(model)
    return Style(
        COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)], DASHES[i % len(DASHES)], CORNERS[i % len(CORNERS)]
    )


def has_labels(chart: Chart) -> bool:
    """Return whether the points have room for their labels."""
    return len(chart.points) <= MAX_LABELS


def axis_range(chart: Chart, axis: str) -> list[float]:
    """Return the ends of the axis "x" or "y".

    All points and runs are inside; an interval ends at the frame where it would press the points together.
    """
    points = chart.points
    centres = np.array([getattr(point, axis) for point in points])
    halves = np.nan_to_num([getattr(point, f"{axis}_half") for point in points])
    places = np.array([*centres, *(run["xy".index(axis)] for point in points for run in point.runs)])
    low, high = places.min(), places.max()
    room = (high - low) or np.inf
    low, high = (
        min(low, max((centres - halves).min(), low - room)),
        max(high, min((centres + halves).max(), high + room)),
    )
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return [float(low - margin), float(high + margin)]


def split_coordinates(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    """Return the x and the y of all points."""
    return [point.x for point in points], [point.y for point in points]


def split_runs(curve: Curve) -> tuple[list[float], list[float]]:
    """Return the x and the y of the runs that are drawn beside the means of a curve."""
    runs = [run for point in curve.points for run in point.runs]
    return [x for x, _ in runs], [y for _, y in runs]


# ---- plotly ------------------------------------------------------------------------------------------------------


def make_plotly_figure(chart: Chart, models: Sequence[str]) -> dict[str, Any]:
    """Return traces and layout as plotly takes them."""
    traces = [make_front_trace(chart.on_front)] if len(chart.on_front) > 1 else []
    traces += [make_run_trace(curve, models) for curve in chart.curves if any(point.runs for point in curve.points)]
    traces += [make_curve_trace(chart, curve, models) for curve in chart.curves]
    return {"data": traces, "layout": make_layout(chart)}


def make_front_trace(points: Sequence[Point]) -> dict[str, Any]:
    """Return the broad line of the Pareto front."""
    xs, ys = split_coordinates(points)
    line = {"color": FADED, "width": 7}
    return {"x": xs, "y": ys, "mode": "lines", "line": line, "opacity": 0.25, "hoverinfo": "skip"}


def make_run_trace(curve: Curve, models: Sequence[str]) -> dict[str, Any]:
    """Return the small points of the runs of a curve."""
    style = style_of(models, curve.model)
    xs, ys = split_runs(curve)
    marker = {"color": style.colour, "symbol": style.marker[0], "size": 5}
    return {"x": xs, "y": ys, "mode": "markers", "marker": marker, "opacity": RUN_OPACITY, "hoverinfo": "skip"}


def make_curve_trace(chart: Chart, curve: Curve, models: Sequence[str]) -> dict[str, Any]:
    """Return the points of a curve, with their intervals and, if the chart is joined, their line."""
    style = style_of(models, curve.model)
    on_front = {id(point) for point in chart.on_front}
    xs, ys = split_coordinates(curve.points)
    trace: dict[str, Any] = {
        "x": xs,
        "y": ys,
        "mode": "markers" + "+lines" * chart.joined + "+text" * has_labels(chart),
        "name": escape(curve.model),
        "text": [escape(point.label) for point in curve.points],
        "textposition": style.corner[0],
        "textfont": {"size": 11, "color": style.colour},
        "hovertext": [point.hover for point in curve.points],
        "hoverinfo": "text",
        "customdata": [point.anchor for point in curve.points],
        "line": {"color": style.colour, "dash": style.dash[0], "width": 1.5},
        "marker": {
            "color": style.colour,
            "symbol": style.marker[0],
            "size": 8,
            "line": {"color": INK, "width": [1.5 if id(point) in on_front else 0 for point in curve.points]},
        },
    }
    for axis in "xy":
        halves = [getattr(point, f"{axis}_half") for point in curve.points]
        if np.isfinite(halves).any():
            array = [half if np.isfinite(half) else None for half in halves]
            trace[f"error_{axis}"] = {"array": array, "thickness": 1, "width": 3, "color": style.colour}
    return trace


def make_layout(chart: Chart) -> dict[str, Any]:
    """Return the layout of a chart for plotly."""
    plain = {"gridcolor": RULE, "zeroline": False, "automargin": True, "ticks": "outside", "linecolor": FADED}
    x_axis = {**plain, "range": axis_range(chart, "x"), "title": {"text": escape(chart.x_label), "standoff": 8}}
    if chart.ticks:
        x_axis |= {"tickvals": [place for place, _ in chart.ticks], "ticktext": [text for _, text in chart.ticks]}
    return {
        "margin": {"l": 30, "r": 20, "t": 8, "b": 44},
        "showlegend": False,
        "hovermode": "closest",
        "font": {"size": 12.5, "color": INK, "family": FONTS},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "xaxis": x_axis,
        "yaxis": {**plain, "range": axis_range(chart, "y")},
        "hoverlabel": {"bgcolor": "white", "font": {"color": INK}},
    }


# ---- matplotlib --------------------------------------------------------------------------------------------------


def draw_svg(chart: Chart, models: Sequence[str]) -> bytes:
    """Draw the chart as SVG; the same data give the same bytes."""
    # Names come from run folders, where a dollar sign begins no formula.
    with rc_context({"svg.hashsalt": "vaezoo", "svg.fonttype": "path", "font.size": 9, "text.parse_math": False}):
        figure = Figure(figsize=INCHES, layout="constrained")
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color=RULE, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel(chart.x_label, color=INK)
        if chart.ticks:
            axes.set_xticks([place for place, _ in chart.ticks], [text for _, text in chart.ticks])
        else:
            axes.locator_params(axis="x", nbins=5)
        if len(chart.on_front) > 1:
            front = split_coordinates(chart.on_front)
            axes.plot(*front, color=FADED, linewidth=6, alpha=0.25, solid_capstyle="round")
        for curve in chart.curves:
            draw_curve(axes, curve, style_of(models, curve.model), chart.joined, has_labels(chart))
        axes.set(xlim=axis_range(chart, "x"), ylim=axis_range(chart, "y"))
        if chart.on_front:
            front = split_coordinates(chart.on_front)
            axes.plot(*front, "o", markersize=10, markerfacecolor="none", markeredgecolor=INK, mew=0.8)
        file = io.BytesIO()
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})
    return file.getvalue()


def draw_curve(axes: Axes, curve: Curve, style: Style, joined: bool, labelled: bool) -> None:
    """Draw the points of a curve with their intervals, runs, line and labels."""
    halves = {
        f"{axis}err": np.nan_to_num([getattr(point, f"{axis}_half") for point in curve.points]).tolist()
        for axis in "xy"
    }
    axes.plot(*split_runs(curve), style.marker[1], color=style.colour, markersize=3, alpha=RUN_OPACITY)
    axes.errorbar(
        *split_coordinates(curve.points),
        **{name: values for name, values in halves.items() if any(values)},
        color=style.colour,
        marker=style.marker[1],
        markersize=5,
        linestyle=style.dash[1] if joined else "none",
        linewidth=1.2,
        elinewidth=0.8,
        capsize=2,
    )
    _, (right, up) = style.corner
    side = "left" if right > 0 else "right"
    for point in curve.points if labelled else ():
        place = (point.x, point.y)
        axes.annotate(point.label, place, (right, up), textcoords="offset points", size=8, color=style.colour, ha=side)
