"""Scores and figures of a trained run: `python -m vaezoo.evaluate run=DIR metric=full`.

Training ends with the same function. It writes metrics.json, latents.npz and figures/ into the run folder. Scores of
the same weights that are there already stay, so that `metric=score/irs` adds one. `figure=tsne` alone scores nothing
and draws from the folder, without the data set. `codes=FILE.npz` scores arrays from anywhere, without a model
(`vaezoo.evaluation.codes_file`).
"""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from vaezoo.config.directory import DIRECTORY
from vaezoo.config.titles import describe_run
from vaezoo.config.trust import list_trusted
from vaezoo.config.values import check_config
from vaezoo.errors import UserError, command, describe_write_error
from vaezoo.ranges import exists
from vaezoo.runs.folder import relative_to_cwd
from vaezoo.runs.start import Command, start_command


def evaluate_run(config: DictConfig) -> None:
    """Score and draw the run in `config.run` with the weights of one of its checkpoints; print scores and files.

    They are written into the folder of the run, or into `config.out`.
    """
    import torch
    from hydra.utils import instantiate

    from vaezoo.evaluation.closing_table import print_scores
    from vaezoo.evaluation.evaluate_model import evaluate_model
    from vaezoo.runs.folder import load_config, lock_scores, refuse_configuration
    from vaezoo.runs.shared_file import is_unpacked, open_folder
    from vaezoo.runs.weights import load_weights, restore_weights

    check_config(config)
    folder = open_folder(config.run)
    if is_unpacked(folder) and not config.out:
        raise UserError(f"run={config.run}: is the file of a shared run, which stays as it is. Add out=FOLDER.")
    trained = load_config(folder, list_trusted(config.trust))
    move_data(trained, config.dataset.path)
    out = make_folder(config.out, run=folder) if config.out else folder
    weights = load_weights(folder, config.checkpoint)
    try:
        title, model, data = describe_run(trained), instantiate(trained.model), instantiate(trained.dataset)
    except UserError:
        raise
    except Exception as error:  # The constructors of a damaged configuration may raise anything.
        raise refuse_configuration(folder, error) from error
    restore_weights(model, weights, folder)
    device = torch.device("cuda" if config.accelerator != "cpu" and torch.cuda.is_available() else "cpu")
    if config.accelerator == "gpu" and device.type == "cpu":
        raise UserError("accelerator=gpu: PyTorch finds no GPU here. Use accelerator=auto or accelerator=cpu.")
    try:
        with lock_scores(out):
            scores, pictures = evaluate_model(
                model.to(device),
                data,
                folder,
                title=title,
                metric=config.metric,
                figure=config.figure,
                seed=config.seed,
                batch_size=config.batch_size,
                checkpoint=config.checkpoint,
                out=out,
            )
    except OSError as error:
        if (reason := describe_write_error(error)) is None:
            raise
        raise UserError(f"{reason} out=FOLDER writes scores and figures elsewhere.") from error
    if scores.values or scores.skipped:
        print_scores(scores, title)
        print(f"scores   {relative_to_cwd(out) / 'metrics.json'}")
    for path in pictures.values():
        print(f"figure   {relative_to_cwd(path)}")


def make_folder(place: str, run: Path | None = None) -> Path:
    """Return the folder for scores as an absolute path, and create it.

    Raises UserError if it cannot be created, or belongs to another run than `run`, whose scores would be lost.
    """
    from vaezoo.runs.folder import CONFIG

    folder = Path(place).expanduser().resolve()
    if folder != run and (folder / CONFIG).is_file():
        raise UserError(f"{folder} is the folder of a run, whose scores would be lost; choose another with out=DIR.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"out={folder}: cannot be made a folder ({error.strerror}).") from None
    return folder


def move_data(trained: DictConfig, path: str | None) -> None:
    """Set the place where the data of a run lie now; None leaves it. Raises UserError where nothing lies there."""
    if path is None:
        return
    if "path" not in trained.dataset:
        raise UserError(f"dataset.path={path}: dataset={trained.dataset.name} reads no files.")
    if not exists(path):
        raise UserError(f"dataset.path={path}: must be a file or folder that exists.")
    trained.dataset.path = path


def evaluate_codes(config: DictConfig) -> dict[str, float]:
    """Score the arrays in `config.codes`, write metrics.json beside them or in `config.out`, and return the scores."""
    from hydra.utils import instantiate

    from vaezoo.evaluation import codes_file, records
    from vaezoo.evaluation.closing_table import print_scores
    from vaezoo.evaluation.scores import evaluate_metrics

    check_config(config)
    path = Path(config.codes).expanduser().resolve()
    arrays = codes_file.read(path)
    folder = make_folder(config.out or str(path.parent))
    scored = codes_file.draw_rows(arrays, config.metric.rows, config.seed)
    inputs = codes_file.FileInputs(scored, config.seed)
    metrics = instantiate(config.metric.scores)
    options = config.metric
    scores = evaluate_metrics(metrics, inputs, seed=config.seed, repeats=options.seeds, floors=options.floors)
    print_scores(scores, path.name)
    about = {
        "codes": path.name,
        "arrays": {name: array.shape for name, array in arrays.items()},
        "rows": len(arrays["codes"]),
        "scored_rows": len(scored["codes"]),
    }
    records.write(scores, about, folder)
    print(f"scores   {relative_to_cwd(folder) / 'metrics.json'}")
    return scores.values


@hydra.main(version_base="1.3", config_path=DIRECTORY, config_name="evaluate")
def job(config: DictConfig) -> None:
    """Score a run or a file of codes."""
    with command():  # also here, because Hydra would print a traceback
        evaluate_run(config) if config.codes is None else evaluate_codes(config)


def main() -> None:
    """Check the command line before Hydra reads it, then evaluate."""
    names_metric = any(argument.lstrip("+~").startswith("metric") for argument in sys.argv)
    if not names_metric and any(argument.startswith("figure=") for argument in sys.argv):
        sys.argv.append("metric=none")  # because `figure=` alone asks for pictures of what is scored already
    start_command("evaluate", job)


sys.modules[__name__].__class__ = Command  # so that vaezoo.evaluate(...) works, too

if __name__ == "__main__":
    main()
