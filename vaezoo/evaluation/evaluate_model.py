"""Score and draw a trained model: encode once, and let every metric and figure index the table."""

import time
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from vaezoo.evaluation import calibration, decoded, figure_inputs, outputs, records
from vaezoo.evaluation.scores import Scores, evaluate_metrics, without_categories
from vaezoo.evaluation.table import LatentTable, encode, fingerprint
from vaezoo.runs.files import write_whole
from vaezoo.runs.folder import read_history


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
) -> tuple[Scores, dict[str, Path]]:
    """Encode once (or read the table that is already there), score, draw; returns the new scores and the pictures."""
    model.float()  # scores compare only at one precision, whatever the training's was
    metrics, figures = instantiate(metric.scores), instantiate(figure.figures)
    if not metrics and not figures:
        return Scores(), {}
    weights = fingerprint(model.state_dict())
    rows = f"{metric.rows} of all, {metric.test_rows} of {data.split} {data.split_seed}, seed {seed}"
    path = folder / "latents.npz"
    began = time.perf_counter()
    identity = {"checkpoint": weights, "rows": rows}
    table = LatentTable.load(path, **identity if metrics else {"checkpoint": weights})  # pictures take any rows
    if metrics or table is None:
        data.place(next(model.parameters()).device)
    if table is None:
        if model.recalibrates:
            calibration.recalibrate(model, calibration.real_batches(data, seed))
        table = encode(model, data, rows=metric.rows, test_rows=metric.test_rows, seed=seed, batch_size=batch_size)
        made = table
        if len(made.index):  # a table of nothing would take the place of one that other weights have left
            write_whole(path, lambda beside: made.save(beside, **identity))
    encoding = time.perf_counter() - began

    told = outputs.Outputs(model, data, table, title, seed)
    scores, everything = Scores(), records.read(folder, weights)
    if metrics:
        images = decoded.Decoded(told, metric.get("images"), metric.get("inception"))
        known = {**told.metric_fixtures(), **images.fixtures()}
        scores = evaluate_metrics(metrics, known, seed=seed, repeats=metric.seeds)
        if table.categories.size:
            scores.add(evaluate_metrics(*without_categories(metrics, known), seed=seed, repeats=metric.seeds))
        about = {
            **identity,
            "checkpoint_file": checkpoint,
            "batches": int(model.batches),
            "data": data.source.identity,
            "dataset": data.name,
            "scored_rows": int(table.scored.sum()),
            "held_out_rows": int(table.held_out.sum()),
            "likelihood": "none" if model.likelihood_free else likelihood_name(model),
            "code_layout": code_layout(table),
            "batch_norm": calibration.STATISTICS[model.recalibrates],
            "encoding_seconds": round(encoding, 3),
        }
        everything = everything.replaced_by(scores)
        records.write(everything, about, folder)
    options = {str(name): value for name, value in figure.items() if name != "figures"}
    fixtures = figure_inputs.figure_fixtures(
        told, everything.arrays, everything.values, read_history(folder), **options
    )
    return scores, figure_inputs.draw(figures, fixtures, folder / "figures")


def likelihood_name(model: Any) -> str:
    """Such as "Gaussian(variance=0.5, link=sigmoid)": a log-likelihood means nothing without it."""
    cls = getattr(model.likelihood, "func", model.likelihood)
    options = getattr(model.likelihood, "keywords", {})
    return f"{cls.__name__}({', '.join(f'{key}={value}' for key, value in options.items())})"


def code_layout(table: LatentTable) -> str:
    """What the columns of the codes are, such as "10 means, probabilities of 3 and 10 categories"."""
    sizes = table.categories.tolist()
    layout = f"{table.codes.shape[1] - sum(sizes)} means"
    return f"{layout}, probabilities of {' and '.join(map(str, sizes))} categories" if sizes else layout
