"""What a configuration may say, checked before torch is imported and before anything is written.

`RULES` names every value that a user sets, with its type and range; a value without a rule fails a test. The checks
answer in one or two lines what is wrong, where, and what is allowed.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from vaezoo.config import DIRECTORY, leaves, parse_overrides
from vaezoo.data.shifts import condition_tree
from vaezoo.errors import UserError, nearest
from vaezoo.workers import count

Rule = Callable[[Any], str | None]  # None, or what the value has to be


def integer(low: int) -> Rule:
    def rule(value: Any) -> str | None:
        good = isinstance(value, int) and not isinstance(value, bool) and value >= low
        return None if good else f"a whole number of at least {low}"

    return rule


def count_of_latents(value: Any) -> str | None:
    """0, too: only `check_latents` knows whether the model has a category instead."""
    return None if integer(0)(value) is None else integer(1)(value)


def odd(value: Any) -> str | None:
    good = integer(1)(value) is None and value % 2 == 1
    return None if good else "an odd whole number"


def number(low: float = 0.0, *, above: bool = False, below: float = float("inf")) -> Rule:
    def rule(value: Any) -> str | None:
        good = isinstance(value, int | float) and not isinstance(value, bool)
        good = good and (value > low if above else value >= low) and value < below
        upper = "" if below == float("inf") else f" and below {below:g}"
        return None if good else f"a number {'above' if above else 'of at least'} {low:g}{upper}"

    return rule


def choice(*allowed: str | int) -> Rule:
    names = [str(name) for name in allowed]

    def rule(value: Any) -> str | None:
        return None if value in allowed else f"one of {', '.join(names)}.{nearest(str(value), names)}".rstrip(".")

    return rule


def boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else "true or false"


def text(value: Any) -> str | None:
    return None if isinstance(value, str) and value else "a text"


def anything(value: Any) -> str | None:
    return None


def existing_path(value: Any) -> str | None:
    good = isinstance(value, str) and Path(value).expanduser().exists()
    return None if good else "a file or folder that exists"


def sizes(value: Any) -> str | None:
    good = isinstance(value, list) and value and all(integer(1)(size) is None for size in value)
    return None if good else "a list of whole numbers of at least 1, such as [32, 64]"


def some_or_none(value: Any) -> str | None:
    good = value == [] or sizes(value) is None
    return None if good else "a list of whole numbers of at least 1, such as [2, 3], or [] for none"


def convolutions(value: Any) -> str | None:
    good = isinstance(value, list) and value and all(sizes(layer) is None and len(layer) == 3 for layer in value)
    return None if good else "a list of [filters, kernel, stride], such as [[64, 4, 2]]"


def category_sizes(value: Any) -> str | None:
    good = isinstance(value, list) and all(size is None or integer(2)(size) is None for size in value)
    return None if good else "a list of whole numbers of at least 2, such as [10]"


def condition(value: Any) -> str | None:
    try:
        condition_tree(value)
    except ValueError as error:
        return f"a condition on factors: {error}".rstrip(".")
    except TypeError:
        return "a condition on factors, such as 'shape != 2 or scale < 3'"
    return None


def correlation(value: Any) -> str | None:
    good = (
        isinstance(value, dict) and set(value) == {"factors", "sigma"} and number(0, above=True)(value["sigma"]) is None
    )
    names = value["factors"] if good else None
    good = isinstance(names, list) and len(names) == 2 and all(text(name) is None for name in names)
    return None if good else "two factors and a number above 0, such as {factors: [scale, posX], sigma: 0.2}"


def optional(rule: Rule) -> Rule:
    def either(value: Any) -> str | None:
        wanted = None if value is None else rule(value)
        return f"{wanted}, or null" if wanted else None

    return either


def share(value: Any) -> str | None:
    good = number(0, above=True)(value) is None and value <= 1
    return None if good else "a number above 0 and at most 1"


def fraction(value: Any) -> str | None:
    good = number(0)(value) is None and value <= 1
    return None if good else "a number from 0 to 1"


def weight(rule: Rule) -> Rule:
    """What `rule` allows, or a schedule of such values: a file of conf/schedule, or a class of the user's."""

    def either(value: Any) -> str | None:
        wanted = None if is_schedule(value) else rule(value)
        return f"{wanted}, or a schedule" if wanted else None

    return either


def is_schedule(value: Any) -> bool:
    return isinstance(value, dict) and "_target_" in value


# One line a key; the first pattern that fits decides. The same name means the same thing in every model.
RULES: dict[str, Rule] = {
    "*._target_": text,
    "*._partial_": boolean,
    "*._convert_": text,
    "seed": integer(0),
    "max_batches": integer(1),
    "max_epochs": optional(integer(1)),
    "log_every": integer(1),
    "val_every": integer(1),
    "folder": text,
    "model.beta": weight(number(0)),
    "model.alpha": weight(number(0)),
    "model.estimator": choice("mws", "mss", "mss_uniform"),
    "model.form": choice("terms", "elbo"),
    "model.gamma": weight(number(0)),
    "model.classes": optional(integer(2)),
    "model.classifier": optional(choice("frozen", "joint")),
    "model.classifier_weight": number(0),
    "model.gamma_z": weight(number(0)),
    "model.gamma_c": weight(number(0)),
    "model.capacity_z": weight(number(0)),
    "model.capacity_c": weight(number(0)),
    "model.rho_label": weight(number(0)),
    "model.rho_mi": weight(number(0)),
    "model.encoders": choice("single", "dual"),
    "model.adversary.hidden": sizes,
    "model.clusters": integer(2),
    "model.pretrain_batches": integer(0),
    "model.dropout": number(0, below=1),
    "model.refresh": integer(1),
    "model.pixelcnn.maps": integer(1),
    "model.pixelcnn.blocks": integer(0),
    "model.pixelcnn.first": odd,
    "model.pixelcnn.kernel": odd,
    "model.w_dim": integer(1),
    "model.cond": choice("decoupled", "sampled"),
    "model.free_kl": weight(number(0)),
    "model.samples": integer(1),
    "model.prior.hidden": sizes,
    "model.prior.activation": choice("relu", "tanh"),
    "model.lambda_od": weight(number(0)),
    "model.lambda_d": weight(optional(number(0))),
    "model.lambda_mmd": weight(number(0)),
    "model.kernel": choice("rbf", "imq"),
    "model.bandwidth": optional(number(0, above=True)),
    "model.capacity": weight(number(0)),
    "model.kind": choice("i", "ii"),
    "model.cov": choice("minibatch", "running"),
    "model.decay": number(0, below=1),
    "model.grad_rescale": boolean,
    "model.gradient_clip": optional(number(0, above=True)),
    "model.discriminator.hidden": sizes,
    "model.micro_batches": integer(1),
    "model.disc_batch": choice("concat", "separate"),
    "model.lambda_rec": weight(number(0)),
    "model.spectral_norm": boolean,
    "model.sample_pixels": boolean,
    "model.critic.hidden": sizes,
    "model.critic.slope": number(0),
    "model.critic.logits": integer(1),
    "model.critic.noise": number(0),
    "model.critic.std": optional(number(0, above=True)),
    "model.w": weight(share),
    "model.r": number(0, above=True, below=1),
    "model.fake_sources": choice("both", "recon", "prior"),
    "model.gen_loss": choice("nonsaturating", "saturating"),
    "model.equilibrium": number(0),
    "model.margin": optional(number(0)),
    "model.lambda_adv": weight(number(0)),
    "model.critic": anything,  # that of the network
    "model.lambda_s": weight(number(0)),
    "model.lambda_c": weight(number(0)),
    "model.shared": boolean,
    "model.cont_likelihood": choice("fixed", "learned", "mse"),
    "model.recognition.units": integer(1),
    "model.recognition.slope": number(0),
    "model.recognition.std": optional(number(0, above=True)),
    "model.recognition.bn_std": number(0),
    "model.kappa": weight(number(0)),
    "model.mutual_information": boolean,
    "model.hard_codes": boolean,
    "model.encoder_adversarial": boolean,
    "model.c_loss": choice("squared", "gaussian"),
    "model.train_encoder": boolean,
    "model.optimizers": anything,
    "model.optimizers.*.lr": number(0, above=True),
    "model.optimizers.*.eps": number(0, above=True),
    "model.optimizers.*.alpha": number(0, below=1),
    "model.optimizers.*.momentum": number(0, below=1),
    "model.optimizers.*.weight_decay": number(0),
    "model.optimizers.*.betas": anything,
    # Inside a schedule.
    "model.*.value": number(0),
    "model.*.start": number(0),
    "model.*.end": number(0),
    "model.*.batches": integer(1),
    "model.*.period": integer(1),
    "model.*.rise": share,
    "model.light": weight(number(0)),
    "model.orthogonality": weight(number(0)),
    "latent.dim": count_of_latents,
    "latent.categories": category_sizes,
    "latent.temperature": number(0, above=True),
    "latent.noise": integer(1),
    "latent.prior": choice("normal", "uniform"),
    "latent.noise_prior": choice("normal", "uniform"),
    "latent.scale": choice("exp", "softplus"),
    "likelihood.variance": number(0, above=True),
    "likelihood.link": choice("sigmoid", "identity"),
    "network.image_multiple": integer(1),
    "network.image_side": optional(integer(1)),
    "network.*.channels": sizes,
    "network.*.hidden": sizes,
    "network.*.bottleneck": integer(1),
    "network.*.activation": choice("relu", "tanh"),
    "network.*.convolutions": convolutions,
    "network.*.last": sizes,
    "network.*.bottom": integer(1),
    "network.*.code_hidden": some_or_none,
    "network.*.normed": some_or_none,
    "network.*.joins": sizes,
    "network.*.features": integer(1),
    "network.*.slope": number(0),
    "network.*.maxout": boolean,
    "network.*.padded": boolean,
    "network.*.centred": boolean,
    "network.*.bias": boolean,
    "network.*.pixel_bias": boolean,
    "network.*.batch_norm": boolean,
    "network.*.affine": boolean,
    "network.*.flat_norm": boolean,
    "network.*.input_dropout": number(0, below=1),
    "network.*.dropout": number(0, below=1),
    "network.*.std": optional(number(0, above=True)),
    "network.*.bn_std": number(0),
    "optimizer.lr": number(0, above=True),
    "optimizer.eps": number(0, above=True),
    "optimizer.weight_decay": number(0),
    "optimizer.betas": anything,
    "dataset.name": text,
    "dataset.shape": sizes,
    "dataset.classes": optional(integer(2)),
    "dataset.path": optional(existing_path),
    "dataset.download": boolean,
    "dataset.size": optional(integer(1)),
    "dataset.verify": boolean,
    "dataset.crop": text,
    "dataset.resample": optional(choice("bilinear", "nearest")),
    "dataset.class_attribute": optional(text),
    "dataset.models": choice("subset809", "all"),
    "dataset.mode": choice("mask", "gray", "rgb"),
    "dataset.mask_threshold": fraction,
    "dataset.angles": integer(2),
    "dataset.class_id": optional(integer(0)),
    "dataset.count": optional(integer(1)),
    "dataset.variant": choice("toy", "realistic", "real"),
    "dataset.instances": choice("keep", "drop"),
    "dataset.batch_size": integer(1),
    "dataset.split": choice("random90", "all", "official"),
    "dataset.split_by": choice("image", "source"),
    "dataset.where": optional(condition),
    "dataset.correlate": optional(correlation),
    "dataset.val_images": integer(0),
    "dataset.split_seed": integer(0),
    "dataset.seed": integer(0),
    "dataset.residence": choice("auto", "device", "host"),
    "trainer.accelerator": text,
    "trainer.devices": anything,
    # Weights of half precision would round the small steps of training away; mixed precision keeps them.
    "trainer.precision": choice("32-true", "64-true", "bf16-mixed", "16-mixed", 32, 64),
    "trainer.deterministic": anything,
    "trainer.gradient_clip_val": optional(number(0, above=True)),
    "trainer.*": anything,  # Lightning's own flags, checked by Lightning
    "metric.rows": optional(integer(0)),
    "metric.test_rows": optional(integer(0)),
    "metric.seeds": integer(1),
    "metric.scores": anything,
    "metric.scores.*": anything,  # constants of published protocols, checked where they are used
    "figure.images": integer(1),
    "figure.samples": integer(1),
    "figure.traversal": choice("auto", "prior_quantiles", "data_quantiles", "pm1", "pm3", "pm5", "pm6"),
    "figure.figures": anything,
    "figure.figures.*": anything,
    "callbacks.checkpoints.minutes": number(0, above=True),
    "callbacks.checkpoints.batches": optional(integer(1)),
    "callbacks.checkpoints.monitor": optional(text),
    "callbacks.progress": boolean,
    "callbacks.samples": boolean,
    "logger.*": anything,
    # evaluate and report
    "run": existing_path,
    "runs": existing_path,
    "out": optional(text),
    "checkpoint": choice("last", "previous", "best"),
    "accelerator": choice("auto", "cpu", "gpu"),
    "batch_size": optional(integer(1)),
}

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

# The source that has no data of its own.
OWN_DATA = "vaezoo.data.sources.arrays.arrays"

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

# Groups whose keys are ours: a key that is not in their yaml is a slip of the pen, even when added with `+`.
CLOSED = ("", "model", "latent", "likelihood", "network", "dataset", "callbacks", "metric", "figure")

# Hydra's flags that name another configuration than ours.
OTHER_CONFIGURATION = ("--config", "-cp", "-cn", "-cd", "--experimental-rerun")


def branches(config: Any, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Dotted keys of the nodes that hold values, and what they hold."""
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield f"{prefix}{key}", value
            yield from branches(value, f"{prefix}{key}.")


def rule_for(key: str) -> Rule | None:
    return next((rule for pattern, rule in RULES.items() if fnmatchcase(key, pattern)), None)


def check(config: DictConfig) -> None:
    """Raise UserError for the first value of the wrong type or range, and for parts that cannot work together."""
    container = OmegaConf.to_container(config, resolve=False)
    if OmegaConf.select(config, "dataset.source._target_") == OWN_DATA and config.dataset.path is None:
        raise UserError("dataset.path=null: must be your .npz, .npy or .h5 file, or a folder of pictures.")
    for key, node in branches(container):
        rule = rule_for(key)
        if rule and (wanted := rule(node)):
            raise UserError(f"{key}={{{', '.join(node)}}}: must be {wanted}.")
        if takes_schedule(key):
            check_schedule(key, node)
    for key, written in leaves(container):
        rule = rule_for(key)
        if rule is None:
            continue
        try:
            value = OmegaConf.select(config, key)
        except InterpolationKeyError:
            raise UserError(f"{key}={written}: it points to a key that does not exist.") from None
        except OmegaConfBaseException as error:
            if mistake := mistake_behind(error):
                raise mistake from None
            continue  # known only once Hydra runs the job, such as its folder
        if OmegaConf.is_config(value):
            value = OmegaConf.to_container(value, resolve=True)
        if wanted := rule(value):
            raise UserError(f"{key}={written}: must be {wanted}.")
    check_together(config)


def mistake_behind(error: BaseException | None) -> UserError | None:
    """What a function that the configuration calls had to say; OmegaConf wraps it more than once."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error


def takes_schedule(key: str) -> bool:
    """Whether the key is that of a weight, such as model.beta."""
    rule = rule_for(key)
    return key.startswith("model.") and rule not in (None, anything) and rule({"_target_": ""}) is None


def check_schedule(key: str, node: dict[str, Any]) -> None:
    """Our schedules take the values of their files, no more and no fewer."""
    for path in (Path(DIRECTORY) / "schedule").glob("*.yaml"):
        known: Any = OmegaConf.load(path)
        if known["_target_"] == node["_target_"] and set(known) != set(node):
            takes, given = (", ".join(name for name in names if name != "_target_") for names in (known, node))
            raise UserError(f"{key}: a {path.stem} schedule takes {takes}, not {given}.")


def check_together(config: DictConfig) -> None:
    """Pairs that cannot work."""
    if "dataset" not in config or "network" not in config:
        return
    check_options(config.dataset)
    multiple, side = config.network.image_multiple, config.network.get("image_side")
    _, height, width = config.dataset.shape
    if any(length % multiple or side not in (None, length) for length in (height, width)):
        takes = f"needs image sides divisible by {multiple}" if side is None else f"takes {side}x{side} images alone"
        raise UserError(
            f"The chosen network {takes}, but dataset={config.dataset.name} has {height}x{width} images."
            " Networks for any size: network=mlpk, network=mlph, network=mlp002."
        )
    decoder = config.network.decoder
    normalised = decoder["_target_"].endswith(BATCH_NORMALISED) and decoder.get("batch_norm", True)
    normalised = normalised or config.model.get("shared", False)  # InfoGAN's Q on the trunk
    if config.dataset.batch_size == 1 and normalised:
        raise UserError("dataset.batch_size=1: this network's batch normalisation needs at least 2 images in a batch.")
    name = config.model["_target_"].rpartition(".")[2]
    if config.dataset.classes is None:
        without = f"but dataset={config.dataset.name} has no labels."
        if name in LABELLED:
            raise UserError(f"{name} is told the class of each image, {without}")
        if config.model.classifier is not None:
            raise UserError(f"model.classifier={config.model.classifier}: it learns the class of each image, {without}")
    if "light_decoder" in config.model and config.latent.dim < 3:
        raise UserError(
            f"latent.dim={config.latent.dim}: Guided-VAE needs at least 3, for scale, rotation and content."
        )
    check_latents(name, config)
    if name == "MIVAE" and list(config.latent.categories) != [config.dataset.classes]:
        raise UserError(
            f"latent.categories={config.latent.categories}: mivae needs one categorical latent with as many values as"
            f" dataset={config.dataset.name} has classes, [{config.dataset.classes}]; latent=classes does that."
        )
    if name == "AAECluster" and not config.latent.categories:
        raise UserError("latent.categories=[]: aaecluster needs a category of clusters; latent=clusters has one.")
    if name == "BiGAN" and config.latent.categories:
        raise UserError(
            f"latent.categories={config.latent.categories}: BiGAN has continuous codes alone; probabilities of"
            " categories are never one-hot, so its critic would know them from the prior's."
        )
    if name == "ASVAE" and config.model.sample_pixels and "variance" not in config.likelihood:
        raise UserError("model.sample_pixels=true: it draws Gaussian pixels; likelihood=gaussian has them.")
    for size in ("batch_size", "val_images"):
        if name in BATCH_STATISTICS and config.dataset[size] == 1:
            raise UserError(f"dataset.{size}=1: {BATCH_STATISTICS[name]} needs at least 2 images in a batch.")
    if name == "InfoVAE" and (highest := max(values_of(config.model.alpha))) > 1:
        raise UserError(f"model.alpha={highest}: InfoVAE needs at most 1; beyond it, it would reward the KL.")
    check_devices(config)


def check_devices(config: DictConfig) -> None:
    """Several processes share each batch evenly, and only where a strategy says how they average gradients."""
    devices = config.trainer.devices
    if "strategy" not in config.trainer:
        if devices not in (1, "1", "auto", [0]):
            raise UserError(f"trainer.devices={devices}: this trainer uses one device; several: trainer=ddp.")
        return
    listed = OmegaConf.is_list(devices) and len(devices) > 0
    if not listed and integer(1)(devices):
        raise UserError(f"trainer.devices={devices}: trainer=ddp needs a number of processes, or a list of GPUs.")
    if config.dataset.batch_size % (processes := count(devices)):
        raise UserError(
            f"dataset.batch_size={config.dataset.batch_size} is that of all {processes} processes together: it must be"
            f" divisible by {processes}."
        )


def check_latents(name: str, config: DictConfig) -> None:
    """The kind of latents must be one that the model has terms for."""
    kind = config.latent["_target_"].rpartition(".")[2]
    able = LATENTS.get(name, ("Gaussian",))
    if kind not in able:
        fitting = CATEGORY_ALONE.get(name) or [file for one in able for file in LATENT_FILES[one]]
        files = ", ".join(f"latent={file}" for file in fitting)
        why = LATENTS_LACK.get(kind, "") if "Gaussian" in able else ""
        raise UserError(f"model={name.lower()} does not work with these latents ({kind}).{why} It takes {files}.")
    if name not in CATEGORY_ALONE and (wanted := integer(1)(config.latent.dim)):
        raise UserError(f"latent.dim={config.latent.dim}: must be {wanted}.")
    if name in CATEGORY_ALONE and (config.latent.dim, len(config.latent.categories)) != (0, 1):
        raise UserError(f"{name} has one category and no other code; latent={CATEGORY_ALONE[name][0]} does that.")


def check_options(dataset: DictConfig) -> None:
    """What a data set can be had in."""
    for option, sets in OPTIONS.items():
        able = next((values for names, values in sets.items() if dataset.name in names), None)
        if able and dataset[option] not in able:
            raise UserError(f"dataset.{option}={dataset[option]}: must be one of {', '.join(map(str, able))}.")


def values_of(weight: Any) -> list[float]:
    """The number itself, or those between which a schedule moves."""
    if not OmegaConf.is_config(weight):
        return [weight]
    return [weight[name] for name in ("value", "start", "end") if name in weight] or [0.0]


def groups() -> set[str]:
    """Names of the configuration groups, such as "model" and "metric/score"."""
    root = Path(DIRECTORY)
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_dir()}


def check_command_line(config_name: str, arguments: Sequence[str]) -> None:
    """Refuse a command line that no job can follow, before Hydra makes a folder. Each value of a sweep is tried."""
    if any(argument.startswith(OTHER_CONFIGURATION) for argument in arguments):
        return  # `check` still sees the composed result
    first = [(override, plain(override)) for override in parse_overrides(arguments)]
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        check_keys(config_name, first)
        check_sweep(config_name, first)
        check(compose_or_refuse(config_name, [line for _, line in first]))
        for swept, _ in first:
            if not swept.is_choice_sweep():
                continue
            for value in list(swept.sweep_string_iterator())[1:]:
                job = [(one, assignment(one, value) if one is swept else line) for one, line in first]
                if is_group(swept):
                    check_keys(config_name, job)
                check(compose_or_refuse(config_name, [line for _, line in job]))


def check_keys(config_name: str, job: Sequence[tuple[Override, str]]) -> None:
    """What is set must exist once the groups are chosen; `job` pairs overrides with their lines in a single run."""
    choices = [(override, line) for override, line in job if is_group(override)]
    schedules = [override for override, _ in choices if override.key_or_group == "schedule"]
    if schedules:
        others = [line for override, line in choices if override not in schedules]
        before = compose_or_refuse(config_name, others)
        for override in schedules:
            check_place(override, before)
    base = compose_or_refuse(config_name, [line for _, line in choices])
    for override, line in job:
        if (override, line) not in choices:
            check_key(override, base)


def plain(override: Override) -> str:
    """The override as a single run would be given it: of a sweep, its first value."""
    if override.is_choice_sweep() or override.is_range_sweep():
        return assignment(override, next(iter(override.sweep_string_iterator())))
    return override.input_line or ""


def assignment(override: Override, value: str) -> str:
    return f"{(override.input_line or '').partition('=')[0]}={value}"


def is_group(override: Override) -> bool:
    return override.key_or_group in groups() or override.key_or_group.startswith("hydra/")


def check_sweep(config_name: str, job: Sequence[tuple[Override, str]]) -> None:
    """Before the jobs of a sweep Hydra composes what they share, without any choice of a swept group."""
    if not any(is_group(override) and override.is_sweep_override() for override, _ in job):
        return
    shared = [(override, line) for override, line in job if not override.is_sweep_override()]
    known = keys_of(compose_or_refuse(config_name, [line for override, line in shared if is_group(override)]))
    for override, line in shared:
        key = override.key_or_group
        plus = override.is_add() or override.is_force_add()
        if not (plus or is_group(override) or key in known or key.startswith("hydra.")):
            raise UserError(f"'{line}': this key comes with a group that is swept; Hydra then wants ++{line}.")


def check_place(override: Override, base: DictConfig) -> None:
    """A schedule takes the place of a weight that the model has."""
    node: Any = OmegaConf.to_container(base, resolve=False)
    now = {key: value for key, value in [*leaves(node), *branches(node)] if takes_schedule(key)}
    key = override.package
    if key not in now:
        has = f" This model has {', '.join(now)}." if now else " This model has none."
        hint = nearest(key or "", now) or has
        raise UserError(f"'{override.get_key_element()}': a schedule takes the place of a weight.{hint}")
    if not is_schedule(now[key]) and not override.is_add():
        raise UserError(f"{key}={now[key]} is no schedule yet; the first is added with +: +{override.input_line}.")
    if is_schedule(now[key]) and override.is_add():
        line = (override.input_line or "").lstrip("+")
        raise UserError(f"{key} is a schedule already; another is chosen without +: {line}.")


def keys_of(config: DictConfig) -> list[str]:
    """Dotted keys of all values, then of the nodes that hold them."""
    container: Any = OmegaConf.to_container(config, resolve=False)
    return [key for walk in (leaves, branches) for key, _ in walk(container)]


def check_key(override: Override, base: DictConfig) -> None:
    """The key of a value override must exist, whatever Hydra's `+` would add to our own groups."""
    key = override.key_or_group
    head = key.rpartition(".")[0]
    if key.startswith("hydra.") or key.split(".")[0] == "hydra":
        return
    closed = head.split(".")[0] in CLOSED
    if (override.is_add() or override.is_force_add()) and not closed:
        return
    known = keys_of(base)
    if key in known:
        return
    options = [name for name in dict.fromkeys([*known, *groups()]) if "_target_" not in name]
    inside = [name for name in options if name.rpartition(".")[0] == head]
    if takes_schedule(head) and head in known and not inside:
        raise UserError(f"'{key}': {head} is a single number. A schedule has values: add +schedule@{head}=linear.")
    listed = f" {head} has {', '.join(name.rpartition('.')[2] for name in inside)}." if inside else ""
    hint = nearest(key, options) or listed
    raise UserError(f"'{key}' is not a key of this configuration.{hint}")


def compose_or_refuse(config_name: str, overrides: list[str]) -> DictConfig:
    try:
        return compose(config_name, overrides)
    except MissingConfigException as error:
        match = re.match(r".*?(\S+)/([^/']+)'", str(error).splitlines()[0])
        group, name = match.groups() if match else ("", str(error.missing_cfg_file))
        options = sorted(error.options or [])
        group = group.strip("'")
        raise UserError(
            f"{group}={name}: there is no such {group}.{nearest(name, options)} Known: {', '.join(options)}."
        ) from None
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(str(error).splitlines()[0]) from None
