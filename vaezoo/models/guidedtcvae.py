"""Guided-beta-TCVAE (Ding et al., 2020): Guided-VAE whose KL is replaced by alpha MI + beta TC + gamma dwKL."""

from typing import Any

from torch import Tensor

from vaezoo.losses.schedules import scheduled
from vaezoo.losses.total_correlation import Estimator, batch_decomposition
from vaezoo.models.base import Terms
from vaezoo.models.guidedvae import GuidedVAE
from vaezoo.ranges import Weight


class GuidedTCVAE(GuidedVAE):
    """A Guided-VAE with a weight for each part of the KL."""

    compares_images = "the total correlation of Guided-beta-TCVAE"
    needs_train_images = True

    def __init__(self, *, alpha: Weight, beta: Weight, gamma: Weight, estimator: Estimator, **parts: Any) -> None:
        super().__init__(**parts)
        self.alpha, self.beta, self.gamma = alpha, beta, gamma
        self.estimator: Estimator = estimator

    def regularizer(self, z: Tensor, q: Any, terms: Terms) -> tuple[Tensor, Terms]:
        mi, tc, dwkl = batch_decomposition(z, q, self.estimator, self.train_images)
        alpha, beta, gamma = self.now(self.alpha), self.now(self.beta), self.now(self.gamma)
        weights = scheduled(alpha=alpha, beta=beta, gamma=gamma)
        return alpha * mi + beta * tc + gamma * dwkl, {"mi": mi, "tc": tc, "dwkl": dwkl, **weights}
