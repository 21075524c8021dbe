"""The plumbing that every model shares; the one file that everything passes through, so it stays short."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set, Sized
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from vaezoo.errors import UserError
from vaezoo.losses.extra_term import ExtraTerm
from vaezoo.models.building import Buildable
from vaezoo.models.initial_weights import Scheme, draw_initial_weights
from vaezoo.numerics import full_precision
from vaezoo.ranges import Count, NonNegative, Positive, Several, Weight

Terms = dict[str, Tensor]


class LinearClassifier(nn.Linear):
    """Codes (B, J) to the logits of `classes`; a log-softmax and its likelihood make it a softmax regression.

    It begins at zero, which is as good as anywhere for a convex loss and takes no random numbers: the model beside it
    is the same with it and without.
    """

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


class LatentModel(LightningModule, metaclass=Buildable):
    """An encoder, a latent space, a decoder and a likelihood; a subclass says which terms make its loss.

    The parts come ready-made from the configuration: `latent` knows how many numbers the encoder must give and the
    decoder takes, so nobody computes a size. A subclass writes `objective`, which can be called without a trainer.
    A call that leaves parts out, such as BetaVAE(image_shape=(1, 28, 28), latent_dim=10, beta=4.0), gets those that
    the configuration would choose (vaezoo.models.building).

    It is an ordinary LightningModule: any Trainer trains it with any DataLoader of images, or of (images, labels).

    `batches` counts the finished training batches, whatever the number of optimisers. It is saved with the weights, and
    schedules follow it. `train_images` is the size of the training split, which estimators of the aggregate posterior
    need; where it is still 0 when training starts, it becomes the length of the trainer's training data set. Models
    that look at all training images find them in `training_batches`, or, where it is None, in the trainer's DataLoader.

    A training step is one function, `step`: gradients, the update, and the terms of the batch. It never waits for the
    device, so it can be repeated, compiled or recorded. What the host decides by the values of a batch, such as which
    players skip the step, is the model's `idle`.

    Any model can carry a linear classifier of its codes, as an extra term of the loss: `classifier="frozen"` leaves the
    codes alone, `"joint"` lets the cross-entropy train them, too. `extra` holds further terms by their names.
    """

    batches: Tensor
    train_images: Tensor

    paper: str | None = None  # that a user of the model should cite
    kl_weight: Weight | None = None  # of models that minimise rec + weight KL, a beta
    likelihood_free = False  # the decoder's mean is an image, but its density is no part of the model
    reconstructs = True  # a code says how its image looks
    draws_pixels = False  # decoding draws each pixel at random, so that it is no function of a code
    # Facts that a configuration is checked by (vaezoo.config.requirements).
    latents: tuple[str, ...] = ("Gaussian",)  # the classes of latents that the model has terms for
    needs_labels = False  # it is given the class of each image
    compares_images: str | None = None  # a term that needs two images in a batch
    category_alone = False  # the code is one category and nothing else
    batches_a_step = 1  # independent batches that a step sees as one; `x.chunk(batches_a_step)` separates them
    pairs = False  # the second half of each batch are partners, which share factors with the images of the first half
    changed_factors: int | None = None  # that may differ within a pair; None: a random number for each pair
    requires: ClassVar[dict[str, str]] = {}  # conditions on parameters and other keys, and what is needed instead
    conditional = False  # encoder and decoder are told the class of each image
    recalibrates = False  # the encoder is trained on generated images: its batch norms are not those of real ones
    gated: tuple[str, ...] = ()  # the players that may skip a step
    needs_train_images = False  # its terms depend on the number of training images
    recipe: Mapping[str, Any] | None = None  # the plain values that it was built from (vaezoo.models.building)
    training_batches: Iterable[Any] | None = None
    batch_counter: Callable[[], int] | None = None  # of a trainer that knows the value of `batches`

    def __init__(
        self,
        *,
        image_shape: Sequence[int],
        latent: Any,
        likelihood: Callable[[Tensor], Any],
        encoder: Callable[..., nn.Module],
        decoder: Callable[..., nn.Module],
        optimizer: Callable[..., torch.optim.Optimizer],
        init: Scheme | None = None,
        gradient_clip: Positive | None = None,
        classifier: Literal["frozen", "joint"] | None = None,
        classifier_weight: NonNegative = 1.0,
        classes: Several | None = None,
        train_images: Count | None = None,
        extra: Mapping[str, ExtraTerm] | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.image_shape = tuple(image_shape)  # (C, H, W)
        self.latent = latent
        self.likelihood = likelihood
        self.encoder = encoder(self.image_shape, latent.num_params)
        self.decoder = decoder(latent.dim, self.image_shape)
        draw_initial_weights(self.encoder, init)
        draw_initial_weights(self.decoder, init)
        self.optimizer = optimizer
        self.gradient_clip = gradient_clip  # largest norm of the gradient, of each player's where there are several
        self.classes = classes
        self.classifier = None if classifier is None else LinearClassifier(latent.width, classes or 0)
        self.classifier_trains_codes = classifier == "joint"
        self.classifier_weight = classifier_weight
        self.extra_terms: Any = nn.ModuleDict(extra or {})
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))
        self.register_buffer("train_images", torch.tensor(train_images or 0))

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Any:
        """Images (B, C, H, W) in [0, 1] to their posteriors q(z|x); conditional models use the `labels` (B,), too."""
        return self.latent.posterior(self.encoder(x))

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Any:
        """Latents (B, J) to distributions over images p(x|z)."""
        return self.likelihood(self.decoder(z))

    def reconstruct(self, z: Tensor, labels: Tensor | None = None) -> Any:
        """Latents that stand for an image (B, J), `latent.mode` of its code, to a distribution over that image."""
        return self.decode(z, labels)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """The code of each image, its posterior mean: (B, J)."""
        return self.encode(x, labels).mean

    def count_batches(self) -> int:
        """Return `batches` as an integer; waits for the device only where no trainer counts the batches."""
        return int(self.batches) if self.batch_counter is None else self.batch_counter()

    def now(self, weight: Weight) -> Tensor | float:
        """The present value of a weight: a number, or a schedule of the batches done so far."""
        return weight(self.batches) if callable(weight) else weight

    def sample_prior(self, count: int, *, device: torch.device | str = "cpu") -> Tensor:
        """`count` latents from the prior, to be decoded: (count, J)."""
        return self.latent.sample_prior(count, device=device)

    def objective(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        """Named terms of a batch, unweighted and in nats per image; "loss" is what is minimised."""
        raise NotImplementedError

    def classified(self, terms: Terms, x: Tensor, labels: Tensor | None) -> Terms:
        """`terms` and those of the classifier, if there is one; it sees draws in training and means in evaluation."""
        if self.classifier is None or labels is None:
            return terms
        gradient = torch.set_grad_enabled(torch.is_grad_enabled() and self.classifier_trains_codes)
        with (
            gradient,
            statistics_kept(self.encoder.modules()),
        ):  # the objective has learned them from these images already
            q = self.encode(x, labels)
            codes = q.sample() if self.training else q.mean
        logits = full_precision(self.classifier(codes))
        ce = F.cross_entropy(logits, labels)
        accuracy = (logits.argmax(dim=1) == labels).float().mean()
        loss = terms["loss"] + self.classifier_weight * ce
        return {**terms, "loss": loss, "class_ce": ce, "class_accuracy": accuracy}

    def extended(self, terms: Terms, x: Tensor, labels: Tensor | None) -> Terms:
        """Return `terms` and those beside the model: of the classifier, and the extra ones."""
        terms = self.classified(terms, x, labels)
        for name, term in self.extra_terms.items():
            with statistics_kept(self.encoder.modules()):
                value = term(self.encode_means, x, labels)
            terms = {**terms, "loss": terms["loss"] + self.now(term.weight) * value, name: value}
        return terms

    def encode_means(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the means of the continuous latents of images, (B, J), without the probabilities of categories."""
        codes: Tensor = self.encode(x, labels).mean
        return codes[:, : codes.shape[1] - sum(self.latent.categories)]

    def begin_at(self, mean_image: Callable[[], Tensor]) -> None:
        """Start the decoder from the mean training image (C, H, W), which is computed only if a layer can use it."""
        layers: list[Any] = [layer for layer in self.decoder.modules() if hasattr(layer, "begin_at")]
        if layers:
            mean = mean_image()
            for layer in layers:
                layer.begin_at(mean)

    def on_train_start(self) -> None:
        # Under fp16 a fused optimiser would unscale gradients inside its step, which is too late to clip them.
        for optimizer in self.trainer.optimizers:
            optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]
        dataset = getattr(self.trainer.train_dataloader, "dataset", None)
        if self.train_images == 0 and isinstance(dataset, Sized):
            self.train_images.fill_(len(dataset))
        if self.needs_train_images and self.train_images == 0:
            raise UserError(
                f"{type(self).__name__} needs the number of training images, and the data have no length."
                " Build the model with train_images=N."
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the model was built from, so that `load_from_checkpoint` builds it again."""
        if self.recipe is not None:
            checkpoint["hyper_parameters"] = {k: v for k, v in self.recipe.items() if not k.startswith("_")}

    def terms_of(self, name: str, x: Tensor, drawn: Terms) -> Terms:
        """Return the terms that a step of `name` minimises; `drawn` holds the "labels" of the batch, if it has any."""
        labels = drawn.get("labels")
        return self.extended(self.objective(x, labels), x, labels)

    def step(self, x: Tensor, labels: Tensor | None = None, idle: Set[str] | None = None) -> Terms:
        """Make one training step on a batch and return its terms, without their graph.

        `idle` are the players that skip the step; None lets the step decide.
        """
        (optimizer,) = self.all_optimizers()
        torch.clear_autocast_cache()  # mixed precision would show the weights as they were before the last update
        optimizer.zero_grad(set_to_none=True)
        terms = self.terms_of("model", x, {} if labels is None else {"labels": labels})
        self.manual_backward(terms["loss"])
        optimizer.step()
        self.batches += 1
        return {key: term.detach() for key, term in terms.items()}

    def idle(self, x: Tensor, labels: Tensor | None = None) -> Set[str]:
        """Return the players that skip the step on this batch, the only thing that the host decides in a step."""
        return frozenset()

    def validate(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        """Return the terms of a batch without a training step."""
        return self.extended(self.objective(x, labels), x, labels)

    def training_step(self, batch: Any, batch_index: int = 0) -> Terms:
        """Train on a batch as a DataLoader gives it: images, (images, labels), or a vaezoo.data.batches.Batch."""
        x, labels = images_and_labels(batch)
        terms = self.step(x, labels)
        self.log_dict({f"train/{name}": value for name, value in spread(terms)}, batch_size=len(x))
        return terms

    def validation_step(self, batch: Any, batch_index: int = 0) -> Terms:
        x, labels = images_and_labels(batch)
        terms = self.validate(x, labels)
        self.log_dict({f"val/{name}": value for name, value in spread(terms)}, batch_size=len(x), sync_dist=True)
        return terms

    def all_optimizers(self) -> list[Any]:
        optimizers = self.optimizers()
        return optimizers if isinstance(optimizers, list) else [optimizers]

    def configure_optimizers(self) -> Any:
        return self.optimizer(self.parameters())

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        # Here gradients are already unscaled under fp16; inside the training step they are not.
        if self.gradient_clip is not None:
            nn.utils.clip_grads_with_norm_(parameters_of(optimizer), self.gradient_clip, gradient_norm(optimizer))


def images_and_labels(batch: Any) -> tuple[Tensor, Tensor | None]:
    """Return the images of a batch, and its labels or None: of images alone, or of a tuple that begins with both."""
    if isinstance(batch, Tensor):
        return batch, None
    images, *others = batch
    return images, others[0] if others else None


def spread(terms: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yield the name and the value of each number: entry i of the vector `name` is called `name/i`."""
    for name, term in terms.items():
        if term.ndim == 0:
            yield name, term
        else:
            yield from ((f"{name}/{i}", value) for i, value in enumerate(term.flatten()))


def parameters_of(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def gradient_norm(optimizer: torch.optim.Optimizer) -> Tensor:
    """Return the norm of the gradient that the optimiser is about to follow."""
    gradients = [parameter.grad for parameter in parameters_of(optimizer) if parameter.grad is not None]
    return nn.utils.get_total_norm(gradients)


@contextmanager
def statistics_kept(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Batch normalisation goes by the batch, as in training, but its running statistics learn nothing from it."""
    learning = [layer for layer in modules if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    for layer in learning:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in learning:
            layer.track_running_stats = True
