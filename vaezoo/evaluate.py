"""Scores and figures of a trained run: `python -m vaezoo.evaluate run=DIR metric=full`.

Training ends with the same function. It writes metrics.json, latents.npz and figures/ into the run folder. Scores of
the same weights that are there already stay: `metric=score/irs` adds one. `figure=tsne` alone scores nothing and draws
from the folder: the data are not looked at. `codes=FILE.npz` scores arrays from anywhere, without a model
(`vaezoo.evaluation.codes`).
"""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig

from vaezoo.checks import check, check_command_line
from vaezoo.config import DIRECTORY
from vaezoo.errors import UserError, report

if TYPE_CHECKING:
    from vaezoo.evaluation.scores import Scores
    from vaezoo.evaluation.table import LatentTable


def evaluate(
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
) -> "tuple[Scores, dict[str, Path]]":
    """Encode once (or read the table that is already there), score, draw; returns the new scores and the pictures."""
    from hydra.utils import instantiate

    from vaezoo import runs
    from vaezoo.evaluation import calibration, decoded, outputs, pictures, records
    from vaezoo.evaluation.scores import Scores, evaluate_metrics, without_categories
    from vaezoo.evaluation.table import LatentTable, encode, fingerprint

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
            runs.write_whole(path, lambda beside: made.save(beside, **identity))
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
    fixtures = pictures.figure_fixtures(told, everything.arrays, everything.values, runs.history(folder), **options)
    return scores, pictures.draw(figures, fixtures, folder / "figures")


def likelihood_name(model: Any) -> str:
    """Such as "Gaussian(variance=0.5, link=sigmoid)": a log-likelihood means nothing without it."""
    cls = getattr(model.likelihood, "func", model.likelihood)
    options = getattr(model.likelihood, "keywords", {})
    return f"{cls.__name__}({', '.join(f'{key}={value}' for key, value in options.items())})"


def code_layout(table: "LatentTable") -> str:
    """What the columns of the codes are, such as "10 means, probabilities of 3 and 10 categories"."""
    sizes = table.categories.tolist()
    layout = f"{table.codes.shape[1] - sum(sizes)} means"
    return f"{layout}, probabilities of {' and '.join(map(str, sizes))} categories" if sizes else layout


def show(scores: "Scores", title: str) -> None:
    """The closing table."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("score")
    table.add_column("value", justify="right")
    table.add_column("protocol", overflow="fold", style="dim")
    told: set[str] = set()
    for key, metric in scores.metrics.items():
        value, sd = scores.values[key], scores.values.get(f"{key}/sd")
        number = f"{value:.0f}" if value.is_integer() else f"{value:.4g}"
        protocol = scores.protocols[metric].items() if metric not in told else []  # once, beside its first value
        told.add(metric)
        constants = ", ".join(f"{name} {held}" for name, held in protocol if name != "seconds" and held is not None)
        table.add_row(key.removeprefix("eval/"), number if sd is None else f"{number} ± {sd:.2g}", constants)
    for name, reason in scores.skipped.items():
        table.add_row(name, "–", escape(f"skipped: {reason}"))  # brackets, as in vaezoo[fid], are no markup
    Console().print(table)


def title_of(config: DictConfig) -> str:
    """How tables and figures call a run, such as "DIPVAE (lambda_od 10) on dsprites, 10 latents, seed 0"."""
    model = config.model["_target_"].rpartition(".")[2]
    weights = {name: config.model.get(name) for name in ("beta", "lambda_od", "gamma", "lambda_mmd")}
    told = ", ".join(f"{name} {value:g}" for name, value in weights.items() if isinstance(value, int | float))
    weighted = f"{model} ({told})" if told else model
    size = f"{config.latent.dim} latents" if config.latent.dim else f"{config.latent.categories[0]} categories"
    return f"{weighted} on {config.dataset.name}, {size}, seed {config.seed}"


def evaluate_run(config: DictConfig) -> None:
    """Score and draw the run in `config.run` with the weights of one of its checkpoints."""
    import torch
    from hydra.utils import instantiate

    from vaezoo import runs

    check(config)
    folder = Path(config.run).expanduser().resolve()
    trained = runs.load_config(folder)
    state = runs.load_checkpoint(folder, config.checkpoint)
    model = instantiate(trained.model)
    runs.restore(model, state, folder)
    device = torch.device("cuda" if config.accelerator != "cpu" and torch.cuda.is_available() else "cpu")
    if config.accelerator == "gpu" and device.type == "cpu":
        raise UserError("accelerator=gpu: PyTorch finds no GPU here. Use accelerator=auto or accelerator=cpu.")
    scores, drawn = evaluate(
        model.to(device),
        instantiate(trained.dataset),
        folder,
        title=title_of(trained),
        metric=config.metric,
        figure=config.figure,
        seed=config.seed,
        batch_size=config.batch_size,
        checkpoint=config.checkpoint,
    )
    if scores.values or scores.skipped:
        show(scores, title_of(trained))
        print(f"scores   {folder / 'metrics.json'}")
    for path in drawn.values():
        print(f"figure   {path}")


def evaluate_codes(config: DictConfig) -> None:
    """Score the arrays in `config.codes`, and leave metrics.json beside them or in `config.out`."""
    from hydra.utils import instantiate

    from vaezoo import runs
    from vaezoo.evaluation import codes, records
    from vaezoo.evaluation.scores import evaluate_metrics

    check(config)
    path = Path(config.codes).expanduser().resolve()
    folder = Path(config.out).expanduser().resolve() if config.out else path.parent
    if (folder / runs.CONFIG).is_file():
        raise UserError(f"{folder} is the folder of a run, whose scores would be lost; choose another with out=DIR.")
    arrays = codes.read(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"out={folder}: cannot be made a folder ({error.strerror}).") from None
    scored = codes.some_rows(arrays, config.metric.rows, config.seed)
    scores = evaluate_metrics(
        instantiate(config.metric.scores),
        codes.fixtures(scored, config.seed),
        seed=config.seed,
        repeats=config.metric.seeds,
        reasons=codes.REASONS,
    )
    show(scores, path.name)
    rows = {"rows": len(arrays["codes"]), "scored_rows": len(scored["codes"])}
    records.write(scores, {"codes": path.name, "arrays": {name: a.shape for name, a in arrays.items()}, **rows}, folder)
    print(f"scores   {folder / 'metrics.json'}")


@hydra.main(version_base="1.3", config_path=DIRECTORY, config_name="evaluate")
def job(config: DictConfig) -> None:
    try:
        evaluate_run(config) if config.codes is None else evaluate_codes(config)
    except UserError as error:
        report(error)


def main() -> None:
    scored = any(argument.lstrip("+~").startswith("metric") for argument in sys.argv)
    if not scored and any(argument.startswith("figure=") for argument in sys.argv):
        sys.argv.append("metric=none")  # who asks for a picture has the scores
    try:
        check_command_line("evaluate", sys.argv[1:])
    except UserError as error:
        report(error)
    job()


if __name__ == "__main__":
    main()
