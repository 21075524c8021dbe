"""Score and draw a trained model: encode once, and let every metric and figure index the table."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from vaezoo.errors import UserError
from vaezoo.evaluation import calibration, records
from vaezoo.evaluation.drawing import draw_figures
from vaezoo.evaluation.figure_inputs import FigureInputs
from vaezoo.evaluation.metric_inputs import MetricInputs
from vaezoo.evaluation.outputs import Outputs
from vaezoo.evaluation.scores import Metrics, Scores, evaluate_metrics, select_continuous
from vaezoo.evaluation.table import LatentTable, encode, fingerprint
from vaezoo.metrics.array_checks import check_finite
from vaezoo.runs.files import write_whole
from vaezoo.runs.folder import read_history
from vaezoo.runs.provenance import check_data, hash_data

TABLE = "latents.npz"


def evaluate_model(
    model: Any,
    data: Any,
    folder: Path,
    *,
    title: str,
    metric: DictConfig,
    figure: DictConfig,
    seed: int,
    batch_size: int | None = None,
    checkpoint: str = "last",
    out: Path | None = None,
) -> tuple[Scores, dict[str, Path]]:
    """Score and draw a model into the folder of its run; return the new scores, and the files of the pictures.

    `out` is another folder for all that is written, such as for a run that may only be read.
    `metric` and `figure` are the nodes of the configuration. A latent table of the same weights and data is read
    instead of encoding the images again, and scores of the same weights and data stay beside the new ones.
    """
    metrics, figures = instantiate(metric.scores), instantiate(figure.figures)
    if not metrics and not figures:
        return Scores(), {}
    model.float()  # scores of other precisions would not compare
    identity = {
        "checkpoint": fingerprint(model.state_dict()),
        "rows": f"{metric.rows} of all, {metric.test_rows} of {data.split} {data.split_seed}, seed {seed}",
    }
    began = time.perf_counter()
    out = folder if out is None else out
    table = load_or_encode(model, data, folder, out, identity, metric, seed, batch_size)
    encoding_seconds = round(time.perf_counter() - began, 3)

    outputs = Outputs(model, data, table, title, seed)
    scores = Scores()
    earlier = out if (out / "metrics.json").is_file() else folder
    all_scores = records.read(earlier, identity["checkpoint"], data.source.identity if metrics else None)
    if metrics:
        scores = score_outputs(outputs, metrics, metric)
        all_scores = all_scores.replaced_by(scores)
        about = {
            **identity,
            "checkpoint_file": checkpoint,
            **describe(outputs),
            "encoding_seconds": encoding_seconds,
        }
        records.write(all_scores, about, out)
    options = {str(name): value for name, value in figure.items() if name not in ("figures", "format")}
    inputs = FigureInputs(outputs, all_scores, read_history(folder), **options)
    return scores, draw_figures(figures, inputs, out / "figures", figure.get("format", "png"))


def load_or_encode(
    model: Any,
    data: Any,
    folder: Path,
    out: Path,
    identity: dict[str, str],
    metric: DictConfig,
    seed: int,
    batch_size: int | None,
) -> LatentTable:
    """Return the latent table in `out` or `folder`, or encode the rows that `metric` asks for and write it to `out`.

    Raises UserError if the data are not those that the run began with.
    """
    # Figures alone take the table of these weights whatever its rows are, and do not look at the data.
    table = None if metric.scores else load_table((out, folder), checkpoint=identity["checkpoint"])
    if table is None:
        data.setup()
        check_data(folder, data.source.identity)
        data.place(next(model.parameters()).device)
        identity = {**identity, "data": hash_data(data.source.identity)}
        table = load_table((out, folder), **identity)
    if table is not None:
        check_table(table, model)
        return table
    if model.recalibrates:
        calibration.recalibrate(model, calibration.real_batches(data, seed))
    table = encode(model, data, rows=metric.rows, test_rows=metric.test_rows, seed=seed, batch_size=batch_size)
    check_table(table, model)
    if len(table.index):  # an empty table must not replace the table of other weights
        write_whole(out / TABLE, lambda beside: table.save(beside, **identity))
    return table


def load_table(folders: Iterable[Path], **identity: str) -> LatentTable | None:
    """Return the first table of this identity in one of the folders, or None."""
    tables = (LatentTable.load(folder / TABLE, **identity) for folder in dict.fromkeys(folders))
    return next((table for table in tables if table is not None), None)


def check_table(table: LatentTable, model: Any) -> None:
    """Raise UserError where the model gives numbers that are not finite; the message counts the images."""
    columns = {"codes": table.codes, "logvars": table.logvars, "clusters": table.clusters}
    if model.reconstructs:
        columns["reconstructions"] = table.squared_error[table.held_out]
        if not model.likelihood_free:
            columns["log_likelihood"] = table.log_likelihood[table.held_out]
    for name, values in columns.items():
        try:
            check_finite(name, values)
        except UserError as wrong:
            raise UserError(
                f"The model cannot be evaluated: {wrong} Its training has diverged or its checkpoint is damaged; see"
                " the last values in metrics.csv, or evaluate another checkpoint (checkpoint=best or previous)."
            ) from None


def score_outputs(outputs: Outputs, metrics: Metrics, metric: DictConfig) -> Scores:
    """Return the scores of all metrics, and in models with categories those of the continuous latents alone."""
    inputs = MetricInputs(outputs, metric.get("images"), metric.get("inception"))
    options = {"seed": outputs.seed, "repeats": metric.seeds, "floors": metric.get("floors", True)}
    scores = evaluate_metrics(metrics, inputs, **options)
    if outputs.table.categories.size:
        again, alone = select_continuous(metrics), inputs.without_categories()
        scores.add(evaluate_metrics(again, alone, **options))
    return scores


def describe(outputs: Outputs) -> dict[str, Any]:
    """Return what the scores depend on, as the entry "about" of metrics.json has it."""
    model, data, table = outputs.model, outputs.data, outputs.table
    return {
        "batches": int(model.batches),
        "data": data.source.identity,
        "dataset": data.name,
        "scored_rows": int(table.scored.sum()),
        "held_out_rows": int(table.held_out.sum()),
        "likelihood": "none" if model.likelihood_free else describe_likelihood(model),
        "code_layout": describe_codes(table),
        "batch_norm": calibration.STATISTICS[model.recalibrates],
    }


def describe_likelihood(model: Any) -> str:
    """Return the likelihood, without which a log-likelihood has no meaning: "Gaussian(variance=0.5, link=sigmoid)"."""
    cls = getattr(model.likelihood, "func", model.likelihood)
    options = getattr(model.likelihood, "keywords", {})
    return f"{cls.__name__}({', '.join(f'{key}={value}' for key, value in options.items())})"


def describe_codes(table: LatentTable) -> str:
    """Return the columns of the codes, such as "10 means, probabilities of 3 and 10 categories"."""
    sizes = table.categories.tolist()
    layout = f"{table.codes.shape[1] - sum(sizes)} means"
    return f"{layout}, probabilities of {' and '.join(map(str, sizes))} categories" if sizes else layout
