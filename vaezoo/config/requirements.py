"""Find parts of a configuration that cannot work together, and say why, and what does work.

Each part states what it needs as attributes of its class, which vaezoo.config.signatures reads:

    needs_labels = True                       the model is given the class of each image
    latents = ("Mixed",)                      the classes of latents that the model has terms for
    compares_images = "the MMD of InfoVAE"    a term that needs two images in a batch
    batches_a_step = 2                        independent batches in each step
    needs_package = "tensorboard"             an optional package, which the extra of the same name installs
    requires = {"dim >= 3": "at least 3 latents"}    conditions on its own parameters and on other keys

Nothing here imports torch.
"""

import ast
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vaezoo.config.overrides import as_written, branches
from vaezoo.config.plugins import list_files
from vaezoo.config.signatures import read_facts, read_signature
from vaezoo.errors import nearest

# Lengths of schedules of torch; one that is null is what the warm-up leaves of the budget.
LENGTHS = ("T_max", "total_iters", "total_steps")
# Schedules of torch that cannot be used, and why.
NO_SCHEDULES = {
    "ReduceLROnPlateau": "it follows validations, but rates change by the batch here; lr_schedule=cosine does.",
    **dict.fromkeys(
        ("SequentialLR", "ChainedScheduler"),
        "it joins schedules that have an optimiser already; lr_schedule.warmup joins a warm-up and one schedule.",
    ),
}
OUR_CALLBACKS = ("checkpoints", "samples", "progress")
BUDGET = "the Trainer has no number of epochs here, because max_batches is the budget"
# Callbacks of Lightning that cannot be used, and why.
NO_CALLBACKS = {
    "StochasticWeightAveraging": f"{BUDGET}; callbacks=ema averages weights.",
    "GradientAccumulationScheduler": "the models optimise manually; model.micro_batches splits a batch.",
    "LearningRateFinder": f"{BUDGET}; sweep optimizer.lr instead: -m optimizer.lr=1e-4,1e-3.",
    "BatchSizeFinder": "dataset.batch_size is a part of the experiment.",
    "BasePredictionWriter": "a run makes no predictions; vaezoo.evaluate writes codes and pictures.",
    "OnExceptionCheckpoint": "callbacks.checkpoints writes one when a run is interrupted.",
    "SpikeDetection": "it needs the loss of automatic optimisation.",
    **dict.fromkeys(("ProgressBar", "TQDMProgressBar", "RichProgressBar"), "callbacks.progress is the progress bar."),
}
LATENTS_LACK = {"Point": " Points have no density and no KL.", "Mixed": " It has no term for categories."}


def find_mismatch(config: DictConfig) -> str | None:
    """Return what is wrong with the first parts that cannot work together; None if all can."""
    if "codes" in config:
        return check_evaluation(config)
    if "run" in config and "runs" in config:  # of explore
        return (
            None if (config.run is None) != (config.runs is None) else "Name one run with run=, or several with runs=."
        )
    if OmegaConf.is_missing(config, "runs") or config.get("runs", "") is None:
        return "runs=: must be a folder, or a list of folders."
    if OmegaConf.is_missing(config, "run") or config.get("run", "") is None:
        return "run=: must be the folder of a run."
    if "dataset" not in config or "network" not in config:
        return None
    return next((mismatch for check in CHECKS if (mismatch := check(config))), None)


def check_evaluation(config: DictConfig) -> str | None:
    """Return what is wrong with an evaluation that scores neither a run nor a file of codes, or both; None if right."""
    if config.run is None and config.codes is None:
        return "run=null: must be the folder of a run; codes=FILE.npz scores arrays without one."
    if config.codes is None:
        return None
    if config.run is not None:
        return f"run={config.run}, codes={config.codes}: only one of both can be scored at a time."
    if config.metric.rows == 0 or not config.metric.scores:
        return "codes=: they are there to be scored, with metric=fast or metric=full and metric.rows above 0."
    return None


def class_name(node: Any) -> str:
    """Return the class that a node builds, such as "BetaVAE"."""
    return str(node["_target_"]).rpartition(".")[2]


def facts_of(node: Any) -> Mapping[str, Any]:
    """Return the facts that the class of a node states."""
    return read_facts(str(node["_target_"]))


def check_image_size(config: DictConfig) -> str | None:
    """Return what is wrong where the network does not take images of this size; None if it does."""
    multiple, side = config.network.get("image_multiple", 1), config.network.get("image_side")
    _, height, width = config.dataset.shape
    if all(length % multiple == 0 and side in (None, length) for length in (height, width)):
        return None
    takes = f"needs image sides divisible by {multiple}" if side is None else f"takes {side}x{side} images alone"
    return (
        f"The chosen network {takes}, but dataset={config.dataset.name} has {height}x{width} images."
        " Networks for any size: network=mlpk, network=mlph, network=mlp002."
    )


def check_batch_statistics(config: DictConfig) -> str | None:
    """Return what is wrong where a term compares images and a batch has only one; None if nothing is."""
    term = facts_of(config.model).get("compares_images")
    for size in ("batch_size", "val_images"):
        if term and config.dataset[size] == 1:
            return f"dataset.{size}=1: {term} needs at least 2 images in a batch."
    return None


def check_labels(config: DictConfig) -> str | None:
    """Return what is wrong where a conditional model or a classifier has no labels; None if nothing is."""
    if config.dataset.classes is not None:
        return None
    without = f"but dataset={config.dataset.name} has no labels."
    if facts_of(config.model).get("needs_labels"):
        return f"{class_name(config.model)} is given the class of each image, {without}"
    if (classifier := config.model.get("classifier")) is not None:
        return f"model.classifier={classifier}: it learns the class of each image, {without}"
    return None


def check_latents(config: DictConfig) -> str | None:
    """Return what is wrong where the model has no terms for latents of this kind; None if it has."""
    facts, kind, dim = facts_of(config.model), class_name(config.latent), config.latent.get("dim")
    able = facts.get("latents")
    if able and kind not in able:
        files = ", ".join(f"latent={name}" for name in latent_files(able, bool(facts.get("category_alone"))))
        why = LATENTS_LACK.get(kind, "") if "Gaussian" in able else ""
        name = class_name(config.model).lower()
        return f"model={name} does not work with these latents ({kind}).{why} It takes {files}."
    if facts.get("category_alone"):
        if (dim, len(config.latent.categories)) != (0, 1):
            fitting = "latent=category" if kind == "Point" else "latent=categorynoise"
            return f"{class_name(config.model)} has one category and no other code; {fitting} does that."
    elif dim == 0:
        return "latent.dim=0: must be a whole number of at least 1."
    return None


def latent_files(kinds: Sequence[str], category_alone: bool) -> Iterator[str]:
    """Yield the names of conf/latent that build one of these classes, without continuous codes or with some."""
    files = list_files("latent").items()
    nodes = {name: yaml.safe_load(path.read_text(encoding="utf-8")) for name, path in files}
    for name, node in sorted(nodes.items()):
        base = node
        while base and "_target_" not in base:
            base = nodes.get(str(next(iter(base.get("defaults", [])), "")))
        if base and class_name(base) in kinds and (node.get("dim") == 0) == category_alone:
            yield name


def check_requirements(config: DictConfig) -> str | None:
    """Return the first condition of a part (`requires`) that does not hold, as a message; None if all hold."""
    container: Any = OmegaConf.to_container(config, resolve=False)
    for key, node in branches(container):
        if not isinstance(node.get("_target_"), str):
            continue
        for condition, needed in facts_of(node).get("requires", {}).items():
            values = Values(config, key)
            if not evaluate(condition, values):
                name = values.first_name(condition)
                return f"{name}={as_written(values.find(name))}: {class_name(node)} needs {needed}."
    return None


class Values(Mapping[str, Any]):
    """The names in a condition: parameters of the part itself first, then keys of the configuration."""

    def __init__(self, config: DictConfig, key: str) -> None:
        self.config = config
        self.key = key
        node = OmegaConf.select(config, key)
        self.parameters = read_signature(node["_target_"]).parameters

    def __getitem__(self, name: str) -> Any:
        for key in (f"{self.key}.{name}", name):
            try:
                value = OmegaConf.select(self.config, key, default=...)
            except OmegaConfBaseException:
                value = ...
            if value is not ...:
                return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_list(value) else value
        parameter = self.parameters.get(name)
        if parameter is None:
            raise KeyError(name)
        return parameter.default

    def __iter__(self) -> Iterator[str]:
        return iter(self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)

    def first_name(self, condition: str) -> str:
        """Return the first dotted name of a condition, as a key of the configuration."""
        nodes = [
            node for node in ast.walk(ast.parse(condition, mode="eval")) if isinstance(node, ast.Name | ast.Attribute)
        ]
        dotted = [ast.unparse(node) for node in nodes if ast.unparse(node) != "len"]
        name = min(dotted, key=lambda text: (condition.index(text), -len(text)))
        return name if name.split(".")[0] in self.config else f"{self.key}.{name}"

    def find(self, name: str) -> Any:
        """Return the value of a key of the configuration, for a message."""
        value = OmegaConf.select(self.config, name)
        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


ALLOWED = (
    *(ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.Compare, ast.cmpop),
    *(ast.Name, ast.Attribute, ast.Load, ast.Constant, ast.List, ast.Tuple),
)


def evaluate(condition: str, values: Mapping[str, Any]) -> bool:
    """Return whether a condition holds; it is made of comparisons, `and`, `or`, `not`, names and plain values."""
    tree = ast.parse(condition, mode="eval")
    for node in ast.walk(tree):
        if not isinstance(node, ALLOWED):
            raise ValueError(f"requires: '{condition}' has a {type(node).__name__}, which conditions do not know.")
    return bool(eval(compile(tree, "requires", "eval"), {"__builtins__": {}}, values))


def count_processes(devices: Any) -> int:
    """Return how many processes `trainer.devices` asks for."""
    return len(devices) if isinstance(devices, Sequence) and not isinstance(devices, str) else int(devices)


def check_devices(config: DictConfig) -> str | None:
    """Return what is wrong with the number of processes; None if they can share each batch evenly.

    Several processes need a strategy that averages their gradients.
    """
    devices = config.trainer.devices
    if "strategy" not in config.trainer:
        if devices in (1, "1", "auto", [0]):
            return None
        return f"trainer.devices={devices}: this trainer uses one device; several: trainer=ddp."
    is_list = OmegaConf.is_list(devices) and len(devices) > 0
    if not is_list and not (isinstance(devices, int) and devices >= 1):
        return f"trainer.devices={devices}: trainer=ddp needs a number of processes, or a list of GPUs."
    processes = count_processes(devices)
    for size in ("batch_size", "val_images"):
        if (images := config.dataset[size]) % processes:
            return f"dataset.{size}={images} is that of all {processes} processes: it must be divisible by {processes}."
    return None


def check_independent_batches(config: DictConfig) -> str | None:
    """Return what is wrong where the validation images do not fill the independent batches of a step; None if they do.

    Each process validates on as many batches of equal size as its training steps take.
    """
    batches = facts_of(config.model).get("batches_a_step", 1)
    parts = batches * (count_processes(config.trainer.devices) if "strategy" in config.trainer else 1)
    images = config.dataset.val_images
    if batches == 1 or images % parts == 0:
        return None
    name = class_name(config.model)
    return f"dataset.val_images={images}: {name} takes {batches} batches a step; it must be divisible by {parts}."


def check_engine(config: DictConfig) -> str | None:
    """Return what is wrong where the engine does not work with this trainer or optimiser; None if it does.

    Only one process can compile or record its steps, and CUDA graphs need a GPU.
    """
    engine = config.trainer.get("engine", "eager")
    if engine != "eager" and "strategy" in config.trainer:
        return f"trainer.engine={engine}: it makes the steps of one process; trainer=ddp trains with eager."
    if engine != "graphed":
        return None
    if config.trainer.accelerator == "cpu":
        return "trainer.engine=graphed: CUDA graphs need a GPU; on a CPU compiled is the fastest."
    if str(config.trainer.precision) == "16-mixed":
        return "trainer.engine=graphed: the scaling of 16-mixed is decided step by step on the host; take bf16-mixed."
    if (name := class_name(config.optimizer)) in ("Adagrad", "SGD"):
        return f"trainer.engine=graphed: {name} cannot be recorded; optimizer=adam can."
    if config.lr_schedule.warmup or "_target_" in config.lr_schedule:
        return "trainer.engine=graphed: a recorded step keeps its learning rate; lr_schedule needs compiled or eager."
    return None


def check_players(config: DictConfig) -> str | None:
    """Return what is wrong where a player changes what the common optimiser does not have.

    A node with `_target_` is an optimiser of its own, and has whatever its class takes.
    """
    for player, difference in (config.model.get("optimizers") or {}).items():
        name = f"model.optimizers.{player}"
        if not OmegaConf.is_dict(difference):
            return f"{name}={difference}: must be what differs from the common optimizer, such as {{lr: 1.0e-3}}."
    differences = [
        (f"model.optimizers.{player}.{key}", key)
        for player, difference in (config.model.get("optimizers") or {}).items()
        for key in (difference if "_target_" not in difference else ())
    ]
    if lacking := [(name, key) for name, key in differences if key not in config.optimizer]:
        common = [key for key in config.optimizer if not key.startswith("_")]
        name, key = lacking[0]
        return (
            f"{name}: the common optimizer, {config.optimizer['_target_']}, has no {key}, only {', '.join(common)}."
            f" Choose another optimizer, or leave out what it lacks: {' '.join(f'~{name}' for name, _ in lacking)}"
        )
    return None


def check_lr_schedule(config: DictConfig) -> str | None:
    """Return what is wrong where a schedule of learning rates cannot work, or would change nothing; None if it can."""
    node = config.lr_schedule
    warmup, last = node.warmup, config.max_batches if config.max_epochs is None else None
    if last is not None and warmup >= last:
        return f"lr_schedule.warmup={warmup}: must be less than the {last} batches of the budget."
    if "_target_" not in node:
        if others := [key for key in node if key != "warmup"]:
            return (
                f"lr_schedule.{others[0]}={as_written(node[others[0]])}: this schedule has a warm-up alone. Choose"
                " another, such as lr_schedule=cosine or +lr_schedule._target_=torch.optim.lr_scheduler.MultiStepLR."
            )
        return None
    if reason := NO_SCHEDULES.get(class_name(node)):
        return f"lr_schedule._target_={node['_target_']}: {reason}"
    step = node.get("step_size")
    if last is not None and step is not None and warmup + step >= last:
        return f"lr_schedule.step_size={step}: the rate would never change in {last} batches; take fewer."
    return None


def check_callbacks(config: DictConfig) -> str | None:
    """Return what is wrong with a callback that the configuration adds; None if nothing is."""
    for name, node in config.callbacks.items():
        key = f"callbacks.{name}"
        if name in OUR_CALLBACKS or node is None:
            continue
        if not OmegaConf.is_dict(node) or not isinstance(node.get("_target_"), str):
            hint = nearest(str(name), OUR_CALLBACKS)
            return f"{key}={as_written(node)}: must be a callback: +{key}._target_=CLASS and its arguments.{hint}"
        if reason := NO_CALLBACKS.get(class_name(node)):
            return f"{key}: {class_name(node)} cannot be used: {reason}"
    return None


def follows_budget(config: DictConfig) -> bool:
    """Return whether the learning rates of a run fall over its whole budget, which then cannot change."""
    return any((config.get("lr_schedule") or {}).get(key, ...) is None for key in LENGTHS)


def is_installed(package: str) -> bool:
    """Return whether a package can be imported; nothing is imported."""
    return importlib.util.find_spec(package) is not None


def check_packages(config: DictConfig) -> str | None:
    """Return which logger needs a package that is not installed, and how to install it; None if all are there."""
    for key, node in config.get("logger", {}).items():
        package = facts_of(node).get("needs_package") if OmegaConf.is_dict(node) and "_target_" in node else None
        if package and not is_installed(package):
            return f"logger={key}: the package {package} is not installed. pip install 'vaezoo[{package}]' brings it."
    return None


def check_search(config: DictConfig) -> str | None:
    """Return which key of a study has no effect on a search, whose jobs are not known before; None without one."""
    if config.get("sweep", {}).get("trials") is None:
        return None
    if config.sweep.dry:
        return "sweep.dry=true: a search chooses its jobs while it runs, so that they cannot be listed. Leave it out."
    if config.sweep.rerun != "failed":
        return f"sweep.rerun={config.sweep.rerun}: a search makes new trials in any case. Leave it out."
    return None


CHECKS: tuple[Callable[[DictConfig], str | None], ...] = (
    check_image_size,
    check_labels,
    check_latents,
    check_requirements,
    check_batch_statistics,
    check_devices,
    check_engine,
    check_independent_batches,
    check_players,
    check_lr_schedule,
    check_callbacks,
    check_packages,
    check_search,
)
