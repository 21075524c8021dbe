"""Supervised mutual-information VAE (Ye & Bors, 2021, section 3): a label is read from s, and z must not tell it.

    vae           minimises  rec + KL_z + KL_s + rho_label CE(y, s) + rho_mi L_MI
    adversary     minimises  -mean ln q(y|z),   over its own parameters alone

s = q(s|x) is a softmax, a head of its own; its relaxed draw is decoded together with z. L_MI = mean sum_k q(k|z) ln
q(k|z), in [-ln K, 0]: the VAE raises the entropy of the adversary's answer, down to I(z; y) = 0. The printed equations
12 to 14 differ (docs/lessons.md).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaezoo.losses.elbo import elbo_terms
from vaezoo.losses.schedules import scheduled
from vaezoo.models.adversarial import AdversarialModel
from vaezoo.models.base import Terms
from vaezoo.numerics import full_precision
from vaezoo.ranges import Weight


def negative_entropy(logits: Tensor) -> Tensor:
    """Return L_MI: the mean over the batch of sum_k p_k ln p_k, p the softmax of logits (B, K); in [-ln K, 0] nats."""
    log_p = full_precision(logits).log_softmax(dim=1)
    return (log_p.exp() * log_p).sum(dim=1).mean()


class TwoEncoders(nn.Module):
    """An encoder for each part of the parameters, of `sizes` numbers; their outputs are concatenated, (B, P)."""

    def __init__(
        self,
        image_shape: Sequence[int],
        num_params: int,
        *,
        sizes: Sequence[int],
        encoder: Callable[..., nn.Module],
    ) -> None:
        super().__init__()
        assert num_params == sum(sizes)
        self.parts = nn.ModuleList(encoder(image_shape, size) for size in sizes)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([part(x) for part in self.parts], dim=1)


class MIVAE(AdversarialModel):
    """A VAE with a category that learns the class from labels, and an adversary that looks for the class in z.

    `encoders="single"` is one network with outputs for z and s, `"dual"` a network for each.
    """

    paper = (
        "Ye & Bors (2021). Learning joint latent representations based on information maximization. Information "
        "Sciences 567."
    )
    needs_labels = True
    latents = ("Mixed",)
    requires = {
        "latent.categories == [dataset.classes]": "one categorical latent with a value for each class (latent=classes)"
    }
    leader = "vae"
    names_categories = True  # because the values of its category are the classes

    def __init__(
        self,
        *,
        rho_label: Weight,
        rho_mi: Weight,
        encoders: Literal["single", "dual"],
        adversary: Callable[..., nn.Module],
        latent: Any,
        encoder: Callable[..., nn.Module],
        **parts: Any,
    ) -> None:
        if encoders == "dual":
            sizes = [2 * latent.continuous, sum(latent.categories)]
            encoder = partial(TwoEncoders, sizes=sizes, encoder=encoder)
        super().__init__(latent=latent, encoder=encoder, **parts)
        self.rho_label, self.rho_mi = rho_label, rho_mi
        self.adversary = adversary(latent.continuous, logits=latent.categories[0])

    def players(self) -> dict[str, Sequence[nn.Module]]:
        return {"vae": [self.encoder, self.decoder], "adversary": [self.adversary]}

    def vae_objective(self, x: Tensor, drawn: Terms) -> Terms:
        q = self.encode(x)
        draw = q.sample()
        z = draw[:, : self.latent.continuous]
        drawn["z"] = z.detach()
        terms = elbo_terms(self.decode(draw), q, x)
        logits = q.categorical[0].logits
        ce_label = F.cross_entropy(logits, drawn["labels"])
        mi = negative_entropy(self.adversary(z))
        rho_label, rho_mi = self.now(self.rho_label), self.now(self.rho_mi)
        loss = terms["rec"] + terms["kl"] + rho_label * ce_label + rho_mi * mi
        own_terms = {"ce_label": ce_label, "mi": mi, "label_accuracy": accuracy(logits, drawn["labels"])}
        return {"loss": loss, **terms, **own_terms, **scheduled(rho_label=rho_label, rho_mi=rho_mi)}

    def adversary_objective(self, x: Tensor, drawn: Terms) -> Terms:
        logits = full_precision(self.adversary(drawn["z"]))
        loss = F.cross_entropy(logits, drawn["labels"])
        return {"loss": loss, "adversary_accuracy": accuracy(logits, drawn["labels"])}


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the share of logits (B, K) whose largest entry is that of the label (B,)."""
    return (logits.argmax(dim=1) == labels).float().mean()
