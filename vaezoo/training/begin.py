"""Begin a run in its folder: nothing in it is touched before the lock is held and the folder is known to be its own."""

import json
import shlex
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from vaezoo.config.identity import PATH, hash_training, list_conflicts
from vaezoo.config.names import is_in_study
from vaezoo.config.overrides import as_written
from vaezoo.config.requirements import follows_budget
from vaezoo.errors import UserError
from vaezoo.runs.files import write_whole
from vaezoo.runs.folder import (
    CONFIG,
    DONE,
    ERROR,
    HYDRA,
    has_checkpoint,
    make_run_option,
    read_config,
    read_done,
    relative_to_cwd,
)
from vaezoo.runs.provenance import check_data

OVERRIDES = CONFIG.with_name("overrides.yaml")


def check_folder(config: DictConfig, folder: Path) -> None:
    """Raise UserError if the folder holds the training of another job or data, or more batches than the budget."""
    done = read_done(folder)
    if not done and not has_checkpoint(folder):
        return
    try:
        trained = OmegaConf.create(read_config(folder))
    except UserError as lost:
        if done.get("job") != hash_training(config) and not repeats_command(folder):
            raise UserError(f"{lost} The present command line is that of another job.") from None
        check_budget(config, folder)
        return
    if conflicts := list_conflicts(trained, config):
        raise UserError(describe_conflict(conflicts[0], trained, config, folder))
    check_path(trained, config, folder)
    if (config.max_batches, config.max_epochs) != (trained.get("max_batches"), trained.get("max_epochs")):
        if follows_budget(config):
            raise UserError(
                f"max_batches={config.max_batches}, max_epochs={as_written(config.max_epochs)}: the learning rate of"
                f" this run falls over the budget that it began with ({trained.max_batches} batches,"
                f" max_epochs={as_written(trained.max_epochs)}), which cannot be changed."
            )
        check_budget(config, folder)


def repeats_command(folder: Path) -> bool:
    """Return whether this command line has the overrides of the one that trained in the folder last."""
    try:
        words = shlex.split(json.loads((folder / "environment.json").read_text(encoding="utf-8"))["command"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    overrides = {word for word in words if "=" in word and not word.startswith("hydra.")}
    return HydraConfig.initialized() and overrides == set(HydraConfig.get().overrides.task)


def describe_conflict(key: str, trained: DictConfig, config: DictConfig, folder: Path) -> str:
    """Return the message that a folder belongs to another job, with the command for each of the two."""
    before, now = (as_written(OmegaConf.select(job, key)) for job in (trained, config))
    place = relative_to_cwd(folder)
    if not HydraConfig.initialized() or is_in_study():
        own = "leave hydra.sweep.subdir out; each job of a study then has a folder of its own"
    else:
        words = [*HydraConfig.get().overrides.task, f"hydra.run.dir={place}-2"]
        own = f"python -m vaezoo.train {shlex.join(words)}"
    return (
        f"{place}: another job was trained there, with {key}={before}; this one has {key}={now}."
        f" To go on with that one: python -m vaezoo.train {make_run_option(folder, trained)}. To train this one: {own}."
    )


def check_path(trained: DictConfig, config: DictConfig, folder: Path) -> None:
    """Raise UserError if the data lie in another place now and are not those that the run began with."""
    if OmegaConf.select(trained, PATH) == OmegaConf.select(config, PATH):
        return
    data = instantiate(config.dataset)
    data.setup()
    check_data(folder, data.source.identity)


def check_budget(config: DictConfig, folder: Path) -> None:
    """Raise UserError if the newest checkpoint has seen more than `max_batches`.

    What `max_epochs` means is known only with the data: `vaezoo.training.run.check_finished` checks it.
    """
    if config.max_epochs is not None:
        return
    from vaezoo.runs.weights import find_checkpoint  # imports torch

    newest = find_checkpoint(folder)
    batches = int(newest[1]["state_dict"]["batches"]) if newest else 0
    if batches > config.max_batches:
        raise UserError(f"max_batches={config.max_batches}: must be more: this run has seen {batches} batches already.")


def begin(config: DictConfig, folder: Path) -> None:
    """Write the configuration of a run that trains, or is evaluated, from here on, and forget why it failed before.

    A training that is complete stays so while other scores are made.
    """
    # First what a full disk can refuse, so that a finished run then stays one.
    write_config(config, folder)
    if read_done(folder).get("job") != hash_training(config):
        (folder / DONE).unlink(missing_ok=True)
    (folder / ERROR).unlink(missing_ok=True)


def write_config(config: DictConfig, folder: Path) -> None:
    """Write the resolved configuration, and beside it what Hydra writes: its own settings and the overrides."""
    if HydraConfig.initialized():
        hydra = HydraConfig.instance().cfg
        write_whole(folder / HYDRA, lambda beside: OmegaConf.save(hydra, beside))
        write_whole(folder / OVERRIDES, lambda beside: OmegaConf.save(HydraConfig.get().overrides.task, beside))
    write_whole(folder / CONFIG, lambda beside: OmegaConf.save(config, beside, resolve=True))
