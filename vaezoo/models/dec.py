"""DEC (Xie, Girshick & Farhadi, 2016): an autoencoder first, then clusters of its codes that make themselves surer.

    autoencoder    minimises  rec = mean -log p(x|z), z the code of x without some pixels       for `pretrain_batches`
    clustering     minimises  mean_i sum_j p_ij ln(p_ij / q_ij)      from then on, over the encoder and the centres mu

    q_ij = w_ij / sum_k w_ik,   w_ij = 1 / (1 + |z_i - mu_j|^2)         p_ij = v_ij / sum_k v_ik,   v_ij = q_ij^2 / f_j

f_j sums q_ij over all training images, and P is held for `refresh` batches: it is a target and carries no gradient. In
between, K-means on the codes of all training images finds the first centres. The paper pre-trains layer by layer, with
dropout, and then all layers together without; here they are trained together from the beginning. It stops when less
than 0.1 % of the images change their cluster from one P to the next: `changed` is that share, the budget is the user's.
The decoder is left behind when the encoder moves on, so late reconstructions are worse than those of pre-training.
"""

from collections.abc import Sequence, Set
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from vaezoo.distributed import dropout
from vaezoo.models.adversarial import AdversarialModel
from vaezoo.models.base import Terms, images_and_labels
from vaezoo.ranges import Count, Natural, Probability, Several

RESTARTS = 20  # of K-means


def soft_assignments(z: Tensor, centres: Tensor) -> Tensor:
    """Q: codes (B, J) and centres (K, J) to probabilities (B, K), by a Student t kernel of one degree of freedom."""
    kernel = 1 / (1 + (z[:, None] - centres).square().sum(-1))
    return kernel / kernel.sum(1, keepdim=True)


def sharpened(q: Tensor, frequencies: Tensor) -> Tensor:
    """P: q^2 / f, rows normalised; `frequencies` f (K,) are the sums of Q over all images."""
    weights = q.square() / frequencies
    return weights / weights.sum(1, keepdim=True)


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """KL(P || Q) of rows, their mean: nats per image."""
    return (torch.xlogy(p, p) - p * q.log()).sum(1).mean()


def k_means(codes: Tensor, clusters: int) -> Tensor:
    """Centres (K, J) of codes (N, J), the best of several starts, seeded from torch's current generator."""
    seed = int(torch.randint(2**31, ()))
    # Threads would add up in the order in which they end: the same run could end in other last digits.
    with threadpool_limits(limits=1):
        found = KMeans(clusters, n_init=RESTARTS, random_state=seed).fit(codes.double().cpu().numpy())
    return torch.from_numpy(found.cluster_centers_).to(codes)


class Clusters(nn.Module):
    """Centres, all zero until K-means has found them; codes (B, J) to Q (B, K)."""

    def __init__(self, clusters: int, dim: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.zeros(clusters, dim))

    def forward(self, z: Tensor) -> Tensor:
        return soft_assignments(z, self.centres)


class ClusteredPoint(NamedTuple):
    """A code without any noise, and the centres around it."""

    mean: Tensor
    centres: Tensor

    @property
    def clusters(self) -> Tensor:
        """Q, (B, K)."""
        if not self.centres.any():
            raise AttributeError("clusters: there are none before pre-training is over")
        return soft_assignments(self.mean, self.centres)

    def sample(self, *, relaxed: bool = True) -> Tensor:
        return self.mean


def frozen(module: nn.Module) -> Any:
    """A copy whose weights are buffers: saved with a model, but nobody's to train."""
    copy = deepcopy(module)
    for part in copy.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, parameter.detach().clone())
    return copy


class DEC(AdversarialModel):
    """Who moves depends on the phase; the other sits out.

    `past` are encoder and centres as they were at the last refresh: from them follows P of any image. That is the P of
    the paper without a table of the whole data set, and a run that goes on needs nothing else.
    """

    paper = (
        "Xie, Girshick & Farhadi (2016). Unsupervised Deep Embedding for Clustering Analysis. ICML. arXiv:1511.06335"
    )
    latents = ("Point",)
    gated = ("autoencoder", "clustering")
    frequencies: Tensor
    changed: Tensor

    def __init__(
        self,
        *,
        clusters: Several,
        pretrain_batches: Natural,
        dropout: Probability,
        refresh: Count,
        latent: Any,
        **parts: Any,
    ) -> None:
        super().__init__(latent=latent, **parts)
        self.pretrain_batches, self.refresh = pretrain_batches, refresh
        self.dropout = dropout
        self.clusters = Clusters(clusters, latent.dim)
        self.past = frozen(self.present())
        self.register_buffer("frequencies", torch.ones(clusters))
        self.register_buffer("changed", torch.ones(()))

    def present(self) -> nn.ModuleDict:
        return nn.ModuleDict({"encoder": self.encoder, "clusters": self.clusters})

    def players(self) -> dict[str, Sequence[nn.Module]]:
        return {"autoencoder": [self.encoder, self.decoder], "clustering": [self.encoder, self.clusters]}

    def sitting_out(self, parts: Sequence[tuple[Tensor, Terms]]) -> Set[str]:
        return {"autoencoder"} if self.count_batches() >= self.pretrain_batches else {"clustering"}

    def encode(self, x: Tensor, labels: Tensor | None = None) -> ClusteredPoint:
        return ClusteredPoint(super().encode(x).mean, self.clusters.centres)

    def autoencoder_objective(self, x: Tensor, drawn: Terms) -> Terms:
        z = self.encode(dropout(x, self.dropout, self.training)).mean
        return {"loss": self.decode(z).rec(x).mean()}

    def clustering_objective(self, x: Tensor, drawn: Terms) -> Terms:
        q = self.clusters(self.encode(x).mean)
        return {"loss": divergence(self.target(x), q), "changed": self.changed}

    @torch.no_grad()
    def target(self, x: Tensor) -> Tensor:
        """P of images, as the networks of the last refresh have it: (B, K)."""
        past = self.past.eval()
        q = past["clusters"](self.latent.posterior(past["encoder"](x)).mean)
        return sharpened(q, self.frequencies)

    def on_train_batch_start(self, batch: Any, batch_index: int = 0) -> None:
        since = self.count_batches() - self.pretrain_batches
        if since == 0:
            self.find_centres()
        if since >= 0 and since % self.refresh == 0:
            self.renew()

    @torch.no_grad()
    def find_centres(self) -> None:
        (codes,) = self.training_codes(self.encoder)
        self.clusters.centres.copy_(k_means(codes, len(self.clusters.centres)))

    @torch.no_grad()
    def renew(self) -> None:
        """Replace the networks that P follows from by the present ones."""
        past_codes, codes = self.training_codes(self.past["encoder"], self.encoder)
        before, q = self.past["clusters"](past_codes), self.clusters(codes)
        self.changed.copy_((before.argmax(1) != q.argmax(1)).float().mean())
        self.frequencies.copy_(q.sum(0))
        self.past.load_state_dict(self.present().state_dict())

    def training_codes(self, *encoders: nn.Module) -> list[Tensor]:
        """Return the codes of all training images by each encoder in evaluation mode, (N, J).

        All encoders see the images in one pass, since a shuffling loader gives another order in the next.
        """
        modes = [encoder.training for encoder in encoders]
        codes: list[list[Tensor]] = [[] for _ in encoders]
        for encoder in encoders:
            encoder.eval()
        batches: Any = self.trainer.train_dataloader if self.training_batches is None else self.training_batches
        for batch in batches:
            x = images_and_labels(batch)[0].to(self.clusters.centres)
            for encoder, parts in zip(encoders, codes, strict=True):
                parts.append(self.latent.posterior(encoder(x)).mean)
        for encoder, training in zip(encoders, modes, strict=True):
            encoder.train(training)
        return [torch.cat(parts) for parts in codes]
