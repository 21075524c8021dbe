"""List the types of the keys that no class of vaezoo takes: those of the commands, of Hydra and of Lightning.

Each key or pattern has one line, and the first pattern that fits decides. The class that a node builds has the types of
all other keys.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from vaezoo.config.identity import LAST, RECORDED_SOURCE
from vaezoo.config.type_rules import rule_of_type
from vaezoo.ranges import (
    Count,
    ExistingPath,
    Fraction,
    Indices,
    Name,
    Names,
    Natural,
    NonNegative,
    Positive,
    Probability,
    Rule,
    Several,
    Share,
    Sizes,
    are_names,
    exists,
    require,
)


def has_weights(value: Any) -> bool:
    """Return whether the value names the folder of a trained run, or is one that a run has recorded."""
    return isinstance(value, str) and bool(
        RECORDED_SOURCE.fullmatch(value) or (Path(value).expanduser() / LAST).is_file()
    )


def stays_inside(value: Any) -> bool:
    """Return whether the value names a file that lies in a folder or below it."""
    return isinstance(value, str) and value != "" and not value.startswith("/") and ".." not in value


def are_grids(value: Any) -> bool:
    """Return whether the value is a list of grids, each from keys to values as on the command line."""
    return isinstance(value, list) and all(
        isinstance(grid, dict) and grid and all(isinstance(swept, str | int | float) for swept in grid.values())
        for grid in value
    )


def is_folder_name(value: Any) -> bool:
    """Return whether the value can be the name of a folder."""
    return isinstance(value, str) and value.strip(".") != "" and "/" not in value


def builds_object(value: Any) -> bool:
    """Return whether the value is a node that builds an object."""
    return isinstance(value, dict) and "_target_" in value


def are_paths(value: Any) -> bool:
    """Return whether the value is an existing path, or a list of them."""
    return all(map(exists, value)) if isinstance(value, list) and value else exists(value)


def are_decays(value: Any) -> bool:
    """Return whether the value is a pair of numbers with which moving averages decay, each in [0, 1)."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(decay, int | float) and not isinstance(decay, bool) and 0 <= decay < 1 for decay in value)
    )


def refuse(reason: str, default: Any = None) -> Any:
    """Return a type for a flag that has no effect here, which must be left out for this reason, or be its default."""
    return Annotated[Any, require(f"left out: {reason}", lambda value: value is None or value == default)]


BUDGET = "max_batches or max_epochs, without trainer., is the budget"
VALIDATION = "val_every says how often a run validates"
LOADING = "vaezoo.data makes the batches, in each process those of its own"
ALONE = "vaezoo.train trains only; python -m vaezoo.evaluate does the rest"

# Flags of Lightning's Trainer that would do nothing here, or something else than Lightning means by them.
REFUSED_FLAGS: Mapping[str, Any] = {
    "max_epochs": refuse(BUDGET),
    "min_epochs": refuse(BUDGET),
    "max_steps": refuse(f"{BUDGET}; Lightning counts the steps of each optimiser", -1),
    "min_steps": refuse(BUDGET),
    "limit_train_batches": refuse(BUDGET),
    "overfit_batches": refuse("dataset.where selects images, and max_batches is the budget", 0.0),
    "fast_dev_run": refuse("max_batches=1 logger=csv tries a run", False),
    "limit_test_batches": refuse(ALONE),
    "limit_predict_batches": refuse(ALONE),
    "val_check_interval": refuse(VALIDATION),
    "check_val_every_n_epoch": refuse(VALIDATION, 1),
    "num_sanity_val_steps": refuse(VALIDATION),
    "log_every_n_steps": refuse("log_every says how often a run logs"),
    "logger": refuse("logger=csv, wandb, tensorboard, mlflow or none chooses the loggers"),
    "enable_autolog_hparams": refuse("logger=wandb sends the whole configuration", True),
    "callbacks": refuse("callbacks=early_stopping, or +callbacks.NAME._target_=CLASS, adds a callback"),
    "enable_checkpointing": refuse("callbacks.checkpoints says when checkpoints are written"),
    "enable_progress_bar": refuse("callbacks.progress is the progress bar"),
    "enable_model_summary": refuse("a run prints no summary of its layers"),
    "accumulate_grad_batches": refuse("each batch is a training step; dataset.batch_size is its size", 1),
    "gradient_clip_val": refuse("model.gradient_clip clips the norm of gradients"),
    "gradient_clip_algorithm": refuse("model.gradient_clip clips the norm of gradients"),
    "num_nodes": refuse("torchrun or srun starts the processes on several machines, and says how many there are", 1),
    "sync_batchnorm": refuse("trainer=ddp normalises over the images of all processes", False),
    "use_distributed_sampler": refuse(LOADING, True),
    "reload_dataloaders_every_n_epochs": refuse(LOADING, 0),
    "barebones": refuse("logger=csv metric=none figure=none callbacks.progress=false does the least", False),
    "default_root_dir": refuse("hydra.run.dir is the folder of the run"),
    "model_registry": refuse("checkpoints are in the folder of the run"),
}


# Generators of numpy and Lightning take no larger one.
Seed = Annotated[
    int,
    require(
        f"a whole number from 0 to {2**32 - 1}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32,
    ),
]
Texts = Annotated[Any, require("a list of strings", are_names)]
SweptValues = Annotated[
    Any,
    require(
        "values as on the command line, such as 0,1,2 or range(5)",
        lambda value: isinstance(value, str | int) and not isinstance(value, bool),
    ),
]

TYPES: Mapping[str, Any] = {
    "*._target_": Name,
    "*._partial_": bool,
    "*._convert_": Name,
    # Keys of train.
    "seed": Seed,
    "max_batches": Count,
    "max_epochs": Count | None,
    "init_from": Annotated[str, require(f"the folder of a run with {LAST}", has_weights)] | None,
    "log_every": Count,
    "val_every": Count,
    "folder": Name,
    # Constructors of torch have annotations without ranges.
    **{
        f"{optimizer}.{name}": kind
        for optimizer in ("optimizer", "model.optimizers.*")
        for name, kind in {
            "lr": Positive,
            "eps": Positive,
            "alpha": Probability,
            "momentum": Probability,
            "nesterov": bool,
            "weight_decay": NonNegative,
            "betas": Annotated[Any, require("two numbers from 0 to below 1, such as [0.9,0.999]", are_decays)],
            "fused": bool,
        }.items()
    },
    "model.optimizers": Any,
    # Lengths of schedules are counted in batches; null is what the warm-up leaves of the budget.
    "lr_schedule.warmup": Natural,
    "lr_schedule.T_max": Count | None,
    "lr_schedule.total_iters": Count | None,
    "lr_schedule.total_steps": Count | None,
    "lr_schedule.step_size": Count,
    "lr_schedule.eta_min": NonNegative,
    "lr_schedule.gamma": Positive,
    "lr_schedule.start_factor": Share,
    "lr_schedule.end_factor": Fraction,
    "lr_schedule.last_epoch": refuse("the checkpoint says where a run goes on", -1),
    # Values that other keys refer to, and that no class takes as they are.
    "network.image_multiple": Count,
    "network.image_side": Count | None,
    "dataset.shape": Sizes,
    "dataset.classes": Several | None,
    # Flags of Lightning's Trainer, and those that vaezoo adds to them.
    "trainer.accelerator": Name,
    # Weights in half precision are refused, because they would round the small steps of training away.
    "trainer.precision": Literal["32-true", "64-true", "bf16-mixed", "16-mixed", 32, 64],
    "trainer.engine": Literal["eager", "compiled", "graphed"],
    "trainer.chunk": Count | None,
    "trainer.strategy": Annotated[
        Any,
        require("a node such as that of trainer=ddp", builds_object),
    ],
    "trainer.profiler": Annotated[
        Any,
        require(
            "a node with a file to write to, such as"
            " {_target_: pytorch_lightning.profilers.SimpleProfiler, dirpath: ., filename: profile}",
            lambda value: value is None or builds_object(value),
        ),
    ],
    **{f"trainer.{flag}": kind for flag, kind in REFUSED_FLAGS.items()},
    "trainer.*": Any,
    "logger": Annotated[Any, require("a choice, such as logger=csv", lambda value: isinstance(value, dict))],
    "logger.*.pictures": bool | None,
    # Scores and figures.
    "metric.rows": Natural | None,
    "metric.test_rows": Natural | None,
    "metric.images": Several | None,
    "metric.inception": ExistingPath | None,
    "metric.seeds": Count,
    "metric.floors": bool,
    "metric.scores": Any,
    "figure.images": Annotated[
        int,
        require(
            "a whole number of at least 1, at most 64",
            lambda value: isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 64,
        ),
    ],
    "figure.samples": Count,
    "figure.traversal": Literal["auto", "prior_quantiles", "data_quantiles", "pm1", "pm3", "pm5", "pm6"],
    "figure.latents": Indices | None,
    "figure.classes": Indices | None,
    "figure.format": Literal["png", "pdf", "svg"],
    "figure.figures": Any,
    "callbacks.checkpoints.minutes": Positive,
    "callbacks.checkpoints.batches": Count | None,
    "callbacks.checkpoints.monitor": Name | None,
    "callbacks.progress": bool,
    "callbacks.samples": bool,
    "callbacks.*.dirpath": refuse("its checkpoints lie in checkpoints/NAME of the run"),
    "callbacks.*.filename": Annotated[str, require("a name without .. that does not begin with /", stays_inside)]
    | None,
    # Studies.
    "launcher.jobs": Count,
    "launcher.threads": Count | None,
    "launcher.minutes": Count,
    "launcher.restarts": Natural,
    "launcher.memory": Count,
    "launcher.gpus": Natural,
    "launcher.partition": Name | None,
    "launcher.account": Name | None,
    "launcher.setup": Texts,
    "sweep.name": Annotated[str, require("a name without /", is_folder_name)] | None,
    "sweep.seeds": SweptValues,
    "sweep.rerun": Literal["failed", "all", "none"],
    "sweep.dry": bool,
    "sweep.objective": Name | None,
    "sweep.direction": Literal["maximize", "minimize"],
    "sweep.trials": Count,
    "sweep.grids": Annotated[Any, require('a list such as [{model.beta: "1,4", seed: "0,1,2"}]', are_grids)],
    "sweep.over": Any,
    # Keys of evaluate, report, results, dashboard, share, export and explore.
    "run": Annotated[
        str,
        require(
            "a file or folder that exists, or an address such as hf://owner/name",
            lambda value: exists(value) or str(value).startswith("hf://"),
        ),
    ]
    | None,
    "trust": Name | Names | None,
    "codes": ExistingPath | None,
    "to": Name,
    "latents": bool,
    "figures": bool | None,
    "license": Name | None,
    "runs": Annotated[
        Any, require("a file or folder that exists, or a list of them", lambda value: value is None or are_paths(value))
    ],
    "scores": Names | None,
    "x": Name | None,
    "y": Names | None,
    "study": ExistingPath,
    "project": Name | None,
    "entity": Name | None,
    "collect": bool,
    "udr": bool,
    "pictures": Natural,
    "traversals": Names | None,
    "out": Name | None,
    "checkpoint": Literal["last", "previous", "best"],
    "accelerator": Literal["auto", "cpu", "gpu"],
    "batch_size": Count | None,
}


@cache
def type_of_command_key(key: str) -> Any:
    """Return the type of a key of the commands; None for a key that belongs to a class."""
    return next((kind for pattern, kind in TYPES.items() if fnmatchcase(key, pattern)), None)


@cache
def rule_of_command(key: str) -> Rule | None:
    """Return the rule for a key of the commands; None where it has none or accepts every value."""
    kind = type_of_command_key(key)
    return None if kind is None else rule_of_type(kind)
