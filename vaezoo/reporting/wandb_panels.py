"""What W&B shows of a study: functions of its swept keys, models and scores. Nothing here asks a server."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces import expr

# Logged terms that are nats per image in every model, so that one axis takes them all.
NATS = ("loss", "rec", "kl", "elbo")
BADLY = ("failed", "crashed", "killed")
TITLE = 128  # letters of the title of a report
ACROSS = 24  # columns of a report's grid
GRADIENT = [wr.GradientPoint("#440154", 0), wr.GradientPoint("#21918c", 50), wr.GradientPoint("#fde725", 100)]


@dataclass(frozen=True)
class Study:
    name: str  # the group of its runs
    keys: dict[str, bool]  # swept, as in the configuration: whether the values are numbers; the seed is not among them
    models: Sequence[str]
    terms: Sequence[str]  # logged while training, such as val/rec
    scores: Sequence[str]  # such as eval/mig_hist, in the order to show
    kl: Sequence[str]  # the score of the KL and those of its parts
    figures: Sequence[str]
    failures: dict[str, str] = field(default_factory=dict)  # folder: why


# ---- how W&B calls things ----------------------------------------------------------------------------------------


def chosen(key: str) -> Any:
    """What to group or plot by. Of a model W&B has the name as the type of the job."""
    return wr.Metric("JobType") if key == "model" else wr.Config(key)


def column(key: str) -> str:
    """Of a table of runs. W&B keeps each entry of a configuration below `value`."""
    head, _, rest = key.partition(".")
    return "run:jobType" if key == "model" else f"config:{head}.value{f'.{rest}' if rest else ''}"


def grouping(study: Study) -> list[str]:
    """Runs that differ in their seed alone are one row of a table and one line of a plot."""
    return ["jobType" if key == "model" else f"config.{key}" for key in study.keys]


def of_study(study: Study, *further: Any) -> Any:
    return expr.And(expr.Metric("Group") == study.name, *further)


# ---- panels ------------------------------------------------------------------------------------------------------


def along_training(term: str, title_y: str | None = None) -> Any:
    return wr.LinePlot(title=term, x="batches", y=[term], title_x="batches", title_y=title_y)


def against(key: str, numbers: bool, score: str) -> Any:
    """A score by a swept key: points along an axis where the values are numbers, else the mean of each value."""
    if numbers:
        return wr.ScatterPlot(title=score, x=chosen(key), y=wr.SummaryMetric(score), regression=False)
    return wr.BarPlot(
        title=score, metrics=[score], groupby=chosen(key), groupby_aggfunc="mean", groupby_rangefunc="stddev"
    )


def trade_off(reconstruction: str, score: str) -> Any:
    x, y = wr.SummaryMetric(reconstruction), wr.SummaryMetric(score)
    return wr.ScatterPlot(title=f"{score} against {reconstruction}", x=x, y=y)


def coordinates(study: Study) -> Any:
    """One line a run, from the swept keys to its scores, coloured by the first score."""
    keys = [wr.ParallelCoordinatesPlotColumn(chosen(key), display_name=key) for key in study.keys]
    scores = [wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(score)) for score in reversed(study.scores[:5])]
    return wr.ParallelCoordinatesPlot(columns=[*keys, *scores], gradient=GRADIENT)


def pictures(figure: str) -> Any:
    return wr.MediaBrowser(title=figure, media_keys=[f"figures/{figure}"], num_columns=3)


def failures_table(study: Study) -> str:
    """As Markdown."""
    rows = "".join(f"| {folder} | {why.replace('|', '/')} |\n" for folder, why in study.failures.items())
    return f"| run | why |\n| --- | --- |\n{rows}"


# ---- workspace and report ----------------------------------------------------------------------------------------


def sections(study: Study) -> list[Any]:
    nats = [term for term in study.terms if term.partition("/")[2] in NATS]
    kl = [term for term in study.terms if "kl" in term.partition("/")[2] and term not in nats]
    found = {
        "losses, nats per image": [along_training(term, "nats per image") for term in nats],
        **{f"scores by {key}": [against(key, n, score) for score in study.scores] for key, n in study.keys.items()},
        "KL": [
            *(along_training(term) for term in kl),
            *(against(key, n, score) for key, n in study.keys.items() for score in study.kl),
        ],
        "figures": [pictures(figure) for figure in study.figures],
        "failures": [wr.MarkdownPanel(markdown=failures_table(study))] if study.failures else [],
    }
    return [ws.Section(name=name, panels=panels, is_open=True) for name, panels in found.items() if panels]


def workspace(study: Study, entity: str, project: str) -> Any:
    group_by = [expr.Metric("JobType") if key == "model" else expr.Config(key) for key in study.keys]
    order = [expr.Ordering(expr.Summary(study.scores[0]), ascending=False)] if study.scores else []
    return ws.Workspace(
        entity=entity,
        project=project,
        name=study.name,
        sections=sections(study),
        settings=ws.WorkspaceSettings(x_axis="batches", max_runs=50),
        runset_settings=ws.RunsetSettings(
            filters=of_study(study),
            groupby=group_by,
            order=order,
            pinned_columns=["run:displayName", "run:state", *map(column, study.keys), *summaries(study)],
        ),
    )


def summaries(study: Study) -> list[str]:
    return [f"summary:{score}" for score in study.scores]


def report(study: Study, entity: str, project: str) -> Any:
    rebuilt = next((score for score in ("eval/recon_mse", "eval/rec") if score in study.scores), None)
    others = [score for score in study.scores if score != rebuilt]
    every = {"filters": of_study(study), "visible_columns": [*map(column, study.keys), *summaries(study)]}
    order = [wr.OrderBy(wr.SummaryMetric(score)) for score in others[:1]]
    swept = ", ".join(study.keys) or "nothing"
    blocks = [
        wr.P(f"{', '.join(study.models)}; swept: {swept}. Seeds of one setting are averaged where runs are grouped."),
        wr.TableOfContents(),
        wr.H1("Settings"),
        wr.P("Means over seeds; open a row for its runs."),
        grid(wr.Runset(name="settings", groupby=grouping(study), order=order, **every), [], 1),
    ]
    if rebuilt and others:
        blocks += [
            wr.H1("Reconstruction against scores"),
            grid(wr.Runset(name="runs", **every), [trade_off(rebuilt, score) for score in others], 2),
        ]
    if study.keys and others:
        importance = [wr.ParameterImportancePlot(with_respect_to=score) for score in others[:2]]
        blocks += [
            wr.H1("What the scores depend on"),
            grid(wr.Runset(name="runs", **every), [coordinates(study)], 1),
            grid(wr.Runset(name="runs", **every), importance, 2),
        ]
    if study.figures:
        blocks += [
            wr.H1("Figures"),
            grid(wr.Runset(name="runs", **every), [pictures(figure) for figure in study.figures], 1),
        ]
    badly = {**every, "filters": of_study(study, expr.Metric("State").isin(list(BADLY)))}
    blocks += [wr.H1("Runs that ended badly"), grid(wr.Runset(name="ended badly", **badly), [], 1)]
    blocks += [wr.MarkdownBlock(failures_table(study))] if study.failures else []
    return wr.Report(entity=entity, project=project, title=study.name[:TITLE], blocks=blocks, width="fluid")


def grid(runset: Any, panels: Sequence[Any], columns: int) -> Any:
    """Panels in rows of that many; without panels the table of the runs alone."""
    width = ACROSS // columns
    for i, panel in enumerate(panels):
        panel.layout = wr.Layout(x=i % columns * width, y=i // columns * 8, w=width, h=8)
    return wr.PanelGrid(runsets=[runset], panels=list(panels))


def specification(built: Any) -> dict[str, Any]:
    """What W&B would be sent, to be looked at. The library has no public name for it."""
    return built._to_model().spec.model_dump(mode="json", by_alias=True, exclude_none=True)
