"""The panels of a study on W&B, made from its swept keys, models and scores. No function here contacts a server."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces import expr

# These terms are in nats per image in every model, so they share one axis.
NATS = ("loss", "rec", "kl", "elbo")
FAILED_STATES = ("failed", "crashed", "killed")
REFUSED_SIGNS = ("So", "Sk", "Sm", "Sc", "Cs")  # categories of Unicode that the name of a workspace may not have
TITLE_LENGTH = 128  # characters that W&B allows in the title of a report
GRID_WIDTH = 24  # columns of the grid of a report
GRADIENT = [wr.GradientPoint("#440154", 0), wr.GradientPoint("#21918c", 50), wr.GradientPoint("#fde725", 100)]


@dataclass(frozen=True)
class Study:
    """The facts about a study that its panels depend on."""

    name: str  # the W&B group of its runs
    keys: dict[str, bool]  # swept keys of the configuration without the seed: whether their values are numbers
    models: Sequence[str]
    terms: Sequence[str]  # terms that were logged during training, such as val/rec
    scores: Sequence[str]  # scores in the order of their panels, such as eval/mig_hist
    kl: Sequence[str]  # the scores of the KL and of its parts
    figures: Sequence[str]
    failures: dict[str, str] = field(default_factory=dict)  # the reason for each folder of a failed run


# ---- W&B's names for swept keys ----------------------------------------------------------------------------------


def axis(key: str) -> Any:
    """Return a swept key as W&B groups and plots by it. W&B holds the name of the model as the type of the job."""
    return wr.Metric("JobType") if key == "model" else wr.Config(key)


def column(key: str) -> str:
    """Return the column of a swept key in a table of runs. W&B holds each entry of a configuration below `value`."""
    head, _, rest = key.partition(".")
    return "run:jobType" if key == "model" else f"config:{head}.value{f'.{rest}' if rest else ''}"


def grouping(study: Study) -> list[str]:
    """Return the keys to group by, so that runs that differ only in their seed are one row or one line."""
    return ["jobType" if key == "model" else f"config.{key}" for key in study.keys]


def filter_runs(study: Study, *conditions: Any) -> Any:
    """Return the filter for the runs of the study that also meet these conditions."""
    return expr.And(expr.Metric("Group") == escape_signs(study.name), *conditions)


def escape_signs(name: str) -> str:
    """Return a name for a filter, which wandb-workspaces writes between quotes without escapes and parses as Python."""
    return "".join(letter if letter.isalnum() or letter in " -_./" else f"\\U{ord(letter):08x}" for letter in name)


# ---- panels ------------------------------------------------------------------------------------------------------


def plot_term(term: str, title_y: str | None = None) -> Any:
    """Plot a logged term over the batches."""
    return wr.LinePlot(title=term, x="batches", y=[term], title_x="batches", title_y=title_y)


def plot_score(key: str, is_numeric: bool, score: str) -> Any:
    """Plot a score by a swept key: a point for each run if the values are numbers, else a mean for each value."""
    if is_numeric:
        return wr.ScatterPlot(title=score, x=axis(key), y=wr.SummaryMetric(score), regression=False)
    return wr.BarPlot(
        title=score, metrics=[score], groupby=axis(key), groupby_aggfunc="mean", groupby_rangefunc="stddev"
    )


def plot_trade_off(reconstruction: str, score: str) -> Any:
    """Plot a score against a reconstruction error, with a point for each run."""
    x, y = wr.SummaryMetric(reconstruction), wr.SummaryMetric(score)
    return wr.ScatterPlot(title=f"{score} against {reconstruction}", x=x, y=y)


def plot_coordinates(study: Study) -> Any:
    """Plot each run as a line from its swept keys to its first five scores, coloured by the first score."""
    keys = [wr.ParallelCoordinatesPlotColumn(axis(key), display_name=key) for key in study.keys]
    scores = [wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(score)) for score in reversed(study.scores[:5])]
    return wr.ParallelCoordinatesPlot(columns=[*keys, *scores], gradient=GRADIENT)


def show_figure(figure: str) -> Any:
    """Show the pictures of all runs side by side."""
    return wr.MediaBrowser(title=figure, media_keys=[f"figures/{figure}"], num_columns=3)


def failures_table(study: Study) -> str:
    """Return a table of the failed runs and the reasons in Markdown."""
    rows = "".join(f"| {folder} | {reason.replace('|', '/')} |\n" for folder, reason in study.failures.items())
    return f"| run | reason |\n| --- | --- |\n{rows}"


# ---- workspace and report ----------------------------------------------------------------------------------------


def make_sections(study: Study) -> list[Any]:
    """Return the sections of the workspace that have any panel."""
    nats = [term for term in study.terms if term.partition("/")[2] in NATS]
    kl = [term for term in study.terms if "kl" in term.partition("/")[2] and term not in nats]
    panels_by_section = {
        "losses, nats per image": [plot_term(term, "nats per image") for term in nats],
        **{
            f"scores by {key}": [plot_score(key, is_numeric, score) for score in study.scores]
            for key, is_numeric in study.keys.items()
        },
        "KL": [
            *(plot_term(term) for term in kl),
            *(plot_score(key, is_numeric, score) for key, is_numeric in study.keys.items() for score in study.kl),
        ],
        "figures": [show_figure(figure) for figure in study.figures],
        "failures": [wr.MarkdownPanel(markdown=failures_table(study))] if study.failures else [],
    }
    return [ws.Section(name=name, panels=panels, is_open=True) for name, panels in panels_by_section.items() if panels]


def remove_signs(name: str) -> str:
    """Return a name with "-" for each sign, such as "=" or an emoji, which wandb-workspaces refuses in names."""
    return "".join("-" if unicodedata.category(letter) in REFUSED_SIGNS else letter for letter in name)


def make_workspace(study: Study, entity: str, project: str) -> Any:
    """Return the workspace of a study, which is not on W&B until it is saved."""
    group_by = [expr.Metric("JobType") if key == "model" else expr.Config(key) for key in study.keys]
    order = [expr.Ordering(expr.Summary(study.scores[0]), ascending=False)] if study.scores else []
    return ws.Workspace(
        entity=entity,
        project=project,
        name=remove_signs(study.name),
        sections=make_sections(study),
        settings=ws.WorkspaceSettings(x_axis="batches", max_runs=50),
        runset_settings=ws.RunsetSettings(
            filters=filter_runs(study),
            groupby=group_by,
            order=order,
            pinned_columns=["run:displayName", "run:state", *map(column, study.keys), *score_columns(study)],
        ),
    )


def score_columns(study: Study) -> list[str]:
    """Return the columns of the scores in a table of runs."""
    return [f"summary:{score}" for score in study.scores]


def make_report(study: Study, entity: str, project: str) -> Any:
    """Return the report of a study, which is not on W&B until it is saved."""
    reconstruction = next((score for score in ("eval/recon_mse", "eval/rec") if score in study.scores), None)
    others = [score for score in study.scores if score != reconstruction]
    all_runs = {"filters": filter_runs(study), "visible_columns": [*map(column, study.keys), *score_columns(study)]}
    order = [wr.OrderBy(wr.SummaryMetric(score)) for score in others[:1]]
    swept = ", ".join(study.keys) or "nothing"
    blocks = [
        wr.P(f"{', '.join(study.models)}; swept: {swept}. Seeds of one setting are averaged where runs are grouped."),
        wr.TableOfContents(),
        wr.H1("Settings"),
        wr.P("Each row is a mean over seeds; open it to see its runs."),
        make_grid(wr.Runset(name="settings", groupby=grouping(study), order=order, **all_runs), [], 1),
    ]
    if reconstruction and others:
        blocks += [
            wr.H1("Reconstruction against scores"),
            make_grid(
                wr.Runset(name="runs", **all_runs), [plot_trade_off(reconstruction, score) for score in others], 2
            ),
        ]
    if study.keys and others:
        importance = [wr.ParameterImportancePlot(with_respect_to=score) for score in others[:2]]
        blocks += [
            wr.H1("What the scores depend on"),
            make_grid(wr.Runset(name="runs", **all_runs), [plot_coordinates(study)], 1),
            make_grid(wr.Runset(name="runs", **all_runs), importance, 2),
        ]
    if study.figures:
        blocks += [
            wr.H1("Figures"),
            make_grid(wr.Runset(name="runs", **all_runs), [show_figure(figure) for figure in study.figures], 1),
        ]
    failed_runs = {**all_runs, "filters": filter_runs(study, expr.Metric("State").isin(list(FAILED_STATES)))}
    blocks += [wr.H1("Failed runs"), make_grid(wr.Runset(name="failed runs", **failed_runs), [], 1)]
    blocks += [wr.MarkdownBlock(failures_table(study))] if study.failures else []
    return wr.Report(entity=entity, project=project, title=study.name[:TITLE_LENGTH], blocks=blocks, width="fluid")


def make_grid(runset: Any, panels: Sequence[Any], columns: int) -> Any:
    """Arrange panels in so many columns. Without panels, W&B shows only the table of the runs."""
    width = GRID_WIDTH // columns
    for i, panel in enumerate(panels):
        panel.layout = wr.Layout(x=i % columns * width, y=i // columns * 8, w=width, h=8)
    return wr.PanelGrid(runsets=[runset], panels=list(panels))


def dump_specification(view: Any) -> dict[str, Any]:
    """Return what would be sent to W&B. The method is private because the library has no public one."""
    return view._to_model().spec.model_dump(mode="json", by_alias=True, exclude_none=True)
