"""What each value of a configuration may be: its type and its range. A value without a rule fails a test."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from vaezoo.config.conditions import read_condition
from vaezoo.errors import nearest

Rule = Callable[[Any], str | None]  # None, or what the value has to be


def integer(low: int, high: float = float("inf")) -> Rule:
    def rule(value: Any) -> str | None:
        good = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return (
            None if good else f"a whole number of at least {low}{'' if high == float('inf') else f', at most {high}'}"
        )

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


def texts(value: Any) -> str | None:
    good = isinstance(value, list) and all(text(item) is None for item in value)
    return None if good else "a list of texts"


def anything(value: Any) -> str | None:
    return None


def absent(why: str) -> Rule:
    return lambda value: None if value is None else f"left out: {why}"


def existing_path(value: Any) -> str | None:
    good = isinstance(value, str) and Path(value).expanduser().exists()
    return None if good else "a file or folder that exists"


def existing_paths(value: Any) -> str | None:
    several = value if isinstance(value, list) and value else [value]
    good = all(existing_path(path) is None for path in several)
    return None if good else "a file or folder that exists, or a list of them"


def names(value: Any) -> str | None:
    good = isinstance(value, list) and value and all(text(name) is None for name in value)
    return None if good else "a list of names, such as [mig_hist,sap_discrete]"


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
        read_condition(value)
    except ValueError as error:
        return f"a condition on factors: {error}".rstrip(".")
    except TypeError:
        return "a condition on factors, such as 'shape != 2 or scale < 3'"
    return None


def indices(value: Any) -> str | None:
    good = isinstance(value, list) and value and all(integer(0)(index) is None for index in value)
    return None if good else "a list of whole numbers of at least 0, such as [0, 3]"


def correlation(value: Any) -> str | None:
    good = (
        isinstance(value, dict) and set(value) == {"factors", "sigma"} and number(0, above=True)(value["sigma"]) is None
    )
    names = value["factors"] if good else None
    good = isinstance(names, list) and len(names) == 2 and all(text(name) is None for name in names)
    return None if good else "two factors and a number above 0, such as {factors: [scale, posX], sigma: 0.2}"


def folder(value: Any) -> str | None:
    good = isinstance(value, str) and value.strip(".") and "/" not in value
    return None if good else "a name without /"


def grids(value: Any) -> str | None:
    good = isinstance(value, list) and all(isinstance(grid, dict) and grid for grid in value)
    good = good and all(isinstance(values, str | int | float) for grid in value for values in grid.values())
    return None if good else 'a list such as [{model.beta: "1,4", seed: "0,1,2"}]'


def grid_values(value: Any) -> str | None:
    good = isinstance(value, str | int) and not isinstance(value, bool)
    return None if good else "values as on the command line, such as 0,1,2 or range(5)"


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
    "model.optimizers.*.fused": boolean,
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
    "optimizer.fused": boolean,
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
    "trainer.engine": choice("eager", "compiled", "graphed"),
    "trainer.chunk": optional(integer(1)),
    # Lightning has these for models that leave their steps to it.
    "trainer.gradient_clip_val": absent("model.gradient_clip clips the norm of gradients"),
    "trainer.accumulate_grad_batches": absent("a batch of ours is a training step"),
    "trainer.*": anything,  # Lightning's own flags, checked by Lightning
    "metric.rows": optional(integer(0)),
    "metric.test_rows": optional(integer(0)),
    "metric.images": optional(integer(2)),
    "metric.inception": optional(existing_path),
    "metric.seeds": integer(1),
    "metric.scores": anything,
    "metric.scores.*": anything,  # constants of published protocols, checked where they are used
    "figure.images": integer(1, 64),
    "figure.samples": integer(1),
    "figure.traversal": choice("auto", "prior_quantiles", "data_quantiles", "pm1", "pm3", "pm5", "pm6"),
    "figure.latents": optional(indices),
    "figure.classes": optional(indices),
    "figure.figures": anything,
    "figure.figures.*": anything,
    "callbacks.checkpoints.minutes": number(0, above=True),
    "callbacks.checkpoints.batches": optional(integer(1)),
    "callbacks.checkpoints.monitor": optional(text),
    "callbacks.progress": boolean,
    "callbacks.samples": boolean,
    "logger.*": anything,
    "launcher.jobs": integer(1),
    "launcher.threads": optional(integer(1)),
    "launcher.minutes": integer(1),
    "launcher.restarts": integer(0),
    "launcher.memory": integer(1),
    "launcher.gpus": integer(0),
    "launcher.partition": optional(text),
    "launcher.account": optional(text),
    "launcher.setup": texts,
    "sweep.name": optional(folder),
    "sweep.seeds": grid_values,
    "sweep.rerun": choice("failed", "all", "none"),
    "sweep.dry": boolean,
    "sweep.objective": optional(text),
    "sweep.direction": choice("maximize", "minimize"),
    "sweep.trials": integer(1),
    "sweep.grids": grids,
    "sweep.over": anything,
    # evaluate, report, results and dashboard
    "run": optional(existing_path),
    "codes": optional(existing_path),
    "runs": existing_paths,
    "scores": optional(names),
    "x": optional(text),
    "y": optional(names),
    "study": existing_path,
    "project": optional(text),
    "entity": optional(text),
    "collect": boolean,
    "udr": boolean,
    "pictures": integer(0),
    "traversals": optional(names),
    "out": optional(text),
    "checkpoint": choice("last", "previous", "best"),
    "accelerator": choice("auto", "cpu", "gpu"),
    "batch_size": optional(integer(1)),
}


def rule_for(key: str) -> Rule | None:
    return next((rule for pattern, rule in RULES.items() if fnmatchcase(key, pattern)), None)


def takes_schedule(key: str) -> bool:
    """Whether the key is that of a weight, such as model.beta."""
    rule = rule_for(key)
    return key.startswith("model.") and rule not in (None, anything) and rule({"_target_": ""}) is None
