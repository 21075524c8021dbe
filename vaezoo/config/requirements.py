"""Parts of a configuration that cannot work together, each with the reason and what does work.

Nothing here imports torch, so models and networks are known by the names of their classes.
"""

from collections.abc import Callable, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vaezoo.config.rules import integer

# Models with a term that compares the images of a batch with one another.
BATCH_STATISTICS = {
    "DIPVAE": "the covariance of DIP-VAE",
    "InfoVAE": "the MMD of InfoVAE",
    "BetaTCVAE": "the total correlation of beta-TCVAE",
    "GuidedTCVAE": "the total correlation of Guided-beta-TCVAE",
    "FactorVAE": "the permutation of FactorVAE",
    "ASVAE": "the permutation of AS-VAE",
    "CatGAN": "the mean category of CatGAN",
}

# Models that cannot do without the label of each image.
LABELLED = ("CVAE", "MIVAE")

# The kinds of latents that a model has terms for; those that are not named need the density of Gaussian ones.
LATENTS = {
    "AE": ("Point",),
    **dict.fromkeys(("VAE", "BetaVAE", "AnnealedVAE", "CVAE"), ("Gaussian", "Mixed")),
    **dict.fromkeys(("JointVAE", "MIVAE"), ("Mixed",)),
    "AAE": ("Point", "Gaussian"),
    "AAECluster": ("Point",),
    "BiGAN": ("Point",),
    **dict.fromkeys(("CatGAN", "InfoGAN", "InfoVAEGAN", "InfoVAEGAN2"), ("Codes",)),
    "DEC": ("Point",),
    "PixelGAN": ("Point",),
}
LATENTS_LACK = {"Point": " Points have no density and no KL.", "Mixed": " It has no term for categories."}
LATENT_FILES = {
    "Gaussian": ["gaussian"],
    "Mixed": ["mixed", "classes"],
    "Point": ["point", "uniform", "clusters"],
    "Codes": ["codes"],
}

# Models whose code is a category and nothing else, and the latents made for them.
CATEGORY_ALONE = {"CatGAN": ["categorynoise"], "PixelGAN": ["category"]}

# Networks that normalise numbers of which each image has only one.
BATCH_NORMALISED = (".Conv001Decoder", ".ConvGMDecoder", ".Generator", ".DenseGenerator")

# Options with the few values that data sets have for them.
OPTIONS: dict[str, dict[tuple[str, ...], tuple[str | int, ...]]] = {
    "size": {
        ("digits", "rotateddigits"): (8, 16, 32, 64),
        ("mnist", "fashionmnist", "rotatedmnist", "rotatedfashionmnist"): (28, 32),
        ("celeba",): (32, 64, 128),
    },
    "crop": {
        ("celeba",): ("center148", "schik118", "center128", "center108", "none"),
        ("chairs3d",): ("center400", "center300", "per_model"),
    },
}


def mismatch(config: DictConfig) -> str | None:
    """What is wrong with the first pair that cannot work; None if all can."""
    if "codes" in config:
        return evaluated(config)
    if "dataset" not in config or "network" not in config:
        return None
    return next((complaint for pair in PAIRS if (complaint := pair(config))), None)


def evaluated(config: DictConfig) -> str | None:
    """Either a run or a file of codes."""
    if config.run is None and config.codes is None:
        return "run=null: must be the folder of a run; codes=FILE.npz scores arrays without one."
    if config.codes is None:
        belongs = f"out={config.out}: belongs to codes=; a run keeps its scores in its own folder."
        return belongs if config.out is not None else None
    if config.run is not None:
        return f"run={config.run}, codes={config.codes}: only one of both can be scored at a time."
    if config.metric.rows == 0 or not config.metric.scores:
        return "codes=: they are there to be scored, with metric=fast or metric=full and metric.rows above 0."
    return None


def model_of(config: DictConfig) -> str:
    """The class of the model, such as "BetaVAE"."""
    name: str = config.model["_target_"].rpartition(".")[2]
    return name


def options(config: DictConfig) -> str | None:
    """What a data set can be had in."""
    for option, sets in OPTIONS.items():
        able = next((values for names, values in sets.items() if config.dataset.name in names), None)
        if able and (value := config.dataset[option]) not in able:
            return f"dataset.{option}={value}: must be one of {', '.join(map(str, able))}."
    return None


def image_size(config: DictConfig) -> str | None:
    multiple, side = config.network.image_multiple, config.network.get("image_side")
    _, height, width = config.dataset.shape
    if all(length % multiple == 0 and side in (None, length) for length in (height, width)):
        return None
    takes = f"needs image sides divisible by {multiple}" if side is None else f"takes {side}x{side} images alone"
    return (
        f"The chosen network {takes}, but dataset={config.dataset.name} has {height}x{width} images."
        " Networks for any size: network=mlpk, network=mlph, network=mlp002."
    )


def batch_normalisation(config: DictConfig) -> str | None:
    decoder = config.network.decoder
    normalised = decoder["_target_"].endswith(BATCH_NORMALISED) and decoder.get("batch_norm", True)
    normalised = normalised or config.model.get("shared", False)  # InfoGAN's Q on the trunk
    if config.dataset.batch_size > 1 or not normalised:
        return None
    return "dataset.batch_size=1: this network's batch normalisation needs at least 2 images in a batch."


def batch_statistics(config: DictConfig) -> str | None:
    term = BATCH_STATISTICS.get(model_of(config))
    for size in ("batch_size", "val_images"):
        if term and config.dataset[size] == 1:
            return f"dataset.{size}=1: {term} needs at least 2 images in a batch."
    return None


def labels(config: DictConfig) -> str | None:
    if config.dataset.classes is not None:
        return None
    without = f"but dataset={config.dataset.name} has no labels."
    if (name := model_of(config)) in LABELLED:
        return f"{name} is told the class of each image, {without}"
    if (classifier := config.model.classifier) is not None:
        return f"model.classifier={classifier}: it learns the class of each image, {without}"
    return None


def latents(config: DictConfig) -> str | None:
    """The kind of latents must be one that the model has terms for."""
    name, dim = model_of(config), config.latent.dim
    if "light_decoder" in config.model and dim < 3:
        return f"latent.dim={dim}: Guided-VAE needs at least 3, for scale, rotation and content."
    kind = config.latent["_target_"].rpartition(".")[2]
    able = LATENTS.get(name, ("Gaussian",))
    if kind not in able:
        fitting = CATEGORY_ALONE.get(name) or [file for one in able for file in LATENT_FILES[one]]
        files = ", ".join(f"latent={file}" for file in fitting)
        why = LATENTS_LACK.get(kind, "") if "Gaussian" in able else ""
        return f"model={name.lower()} does not work with these latents ({kind}).{why} It takes {files}."
    if name not in CATEGORY_ALONE:
        return (wanted := integer(1)(dim)) and f"latent.dim={dim}: must be {wanted}."
    if (dim, len(config.latent.categories)) != (0, 1):
        return f"{name} has one category and no other code; latent={CATEGORY_ALONE[name][0]} does that."
    return None


def categories(config: DictConfig) -> str | None:
    name, values = model_of(config), config.latent.get("categories")
    if name == "MIVAE" and list(values) != [config.dataset.classes]:
        return (
            f"latent.categories={values}: mivae needs one categorical latent with as many values as"
            f" dataset={config.dataset.name} has classes, [{config.dataset.classes}]; latent=classes does that."
        )
    if name == "AAECluster" and not values:
        return "latent.categories=[]: aaecluster needs a category of clusters; latent=clusters has one."
    if name == "BiGAN" and values:
        return (
            f"latent.categories={values}: BiGAN has continuous codes alone; probabilities of"
            " categories are never one-hot, so its critic would know them from the prior's."
        )
    return None


def sampled_pixels(config: DictConfig) -> str | None:
    if model_of(config) == "ASVAE" and config.model.sample_pixels and "variance" not in config.likelihood:
        return "model.sample_pixels=true: it draws Gaussian pixels; likelihood=gaussian has them."
    return None


def information_weight(config: DictConfig) -> str | None:
    if model_of(config) == "InfoVAE" and (highest := max(values_of(config.model.alpha))) > 1:
        return f"model.alpha={highest}: InfoVAE needs at most 1; beyond it, it would reward the KL."
    return None


def count_processes(devices: Any) -> int:
    """Return how many processes `trainer.devices` asks for."""
    return len(devices) if isinstance(devices, Sequence) and not isinstance(devices, str) else int(devices)


def devices(config: DictConfig) -> str | None:
    """Several processes share each batch evenly, and only where a strategy says how they average gradients."""
    wanted = config.trainer.devices
    if "strategy" not in config.trainer:
        if wanted in (1, "1", "auto", [0]):
            return None
        return f"trainer.devices={wanted}: this trainer uses one device; several: trainer=ddp."
    listed = OmegaConf.is_list(wanted) and len(wanted) > 0
    if not listed and integer(1)(wanted):
        return f"trainer.devices={wanted}: trainer=ddp needs a number of processes, or a list of GPUs."
    processes = count_processes(wanted)
    for size in ("batch_size", "val_images"):
        if (images := config.dataset[size]) % processes:
            return f"dataset.{size}={images} is that of all {processes} processes: it must be divisible by {processes}."
    return None


def engine(config: DictConfig) -> str | None:
    chosen = config.trainer.get("engine", "eager")
    if chosen != "eager" and "strategy" in config.trainer:
        return f"trainer.engine={chosen}: it makes the steps of one process; trainer=ddp trains with eager."
    if chosen != "graphed":
        return None
    if config.trainer.accelerator == "cpu":
        return "trainer.engine=graphed: CUDA graphs need a GPU; on a CPU compiled is the fastest."
    if str(config.trainer.precision) == "16-mixed":
        return "trainer.engine=graphed: the scaling of 16-mixed is decided step by step on the host; take bf16-mixed."
    optimizer = config.optimizer["_target_"].rpartition(".")[2]
    if optimizer == "Adagrad":
        return "trainer.engine=graphed: Adagrad cannot be recorded; optimizer=adam can."
    return None


def second_batch(config: DictConfig) -> str | None:
    """Validation, too, comes in two batches of the same size, on each process."""
    parts = 2 * (count_processes(config.trainer.devices) if "strategy" in config.trainer else 1)
    images = config.dataset.val_images
    if model_of(config) != "FactorVAE" or images % parts == 0:
        return None
    return f"dataset.val_images={images}: FactorVAE judges itself on a second batch; it must be divisible by {parts}."


def check_players(config: DictConfig) -> str | None:
    """Return a complaint where a player changes what the common optimiser does not have.

    A node with `_target_` is an optimiser of its own, and has whatever its class takes.
    """
    for player, difference in (config.model.get("optimizers") or {}).items():
        name = f"model.optimizers.{player}"
        if not OmegaConf.is_dict(difference):
            return f"{name}={difference}: must be what differs from the common optimizer, such as {{lr: 1.0e-3}}."
        for key in difference if "_target_" not in difference else ():
            if key not in config.optimizer:
                common = [key for key in config.optimizer if not key.startswith("_")]
                return (
                    f"{name}.{key}: the common optimizer, {config.optimizer['_target_']}, has no {key}, only"
                    f" {', '.join(common)}. Choose another optimizer, or leave the key out: ~{name}.{key}."
                )
    return None


def values_of(weight: Any) -> list[float]:
    """The number itself, or those between which a schedule moves."""
    if not OmegaConf.is_config(weight):
        return [weight]
    return [weight[name] for name in ("value", "start", "end") if name in weight] or [0.0]


PAIRS: tuple[Callable[[DictConfig], str | None], ...] = (
    options,
    image_size,
    batch_normalisation,
    labels,
    latents,
    categories,
    sampled_pixels,
    batch_statistics,
    information_weight,
    devices,
    engine,
    second_batch,
    check_players,
)
