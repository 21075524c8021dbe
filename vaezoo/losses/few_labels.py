"""A few labels (Locatello et al., "Disentangling factors of variation using few labels", ICLR 2020, section 2).

Of a few images the levels of all K factors are known. The first K latents learn them, one each, with a cross-entropy,

    Σ_k -[ v_k ln σ(z_k) + (1 - v_k) ln(1 - σ(z_k)) ]          the mean over labelled images, nats

z_k is the posterior mean and v_k the level divided by the largest one, in [0, 1]. Levels count as numbers.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vaezoo.distributed import draw_rows
from vaezoo.errors import UserError
from vaezoo.losses.extra_term import Encode, ExtraTerm
from vaezoo.numerics import full_precision
from vaezoo.ranges import Count, Natural, Weight
from vaezoo.seeds import derive


class FewLabels(ExtraTerm):
    """The extra term of `images` random training images, which `seed` draws; each step sees as many as its batch has.

    They are drawn with replacement, so that any number of them does.
    """

    def __init__(self, weight: Weight, images: Count, seed: Natural) -> None:
        super().__init__(weight)
        self.images = images
        self.seed = seed
        self.labelled: Any = None  # their images, classes and targets (images, K)

    def prepare(self, data: Any) -> None:
        """Draw the labelled images. Raises UserError for a data set without factors, and for too few images."""
        name, factors, train = data.name, data.source.factors, data.rows.train
        if factors is None:
            raise UserError(f"dataset={name} has no ground-truth factors, and extra=labels knows those of some images.")
        if self.images > len(train):
            raise UserError(
                f"model.extra.labels.images={self.images}: dataset={name} has {len(train)} training images."
            )
        rows = np.random.default_rng(derive(self.seed, "labelled")).choice(train, self.images, replace=False)
        levels = torch.from_numpy(factors[rows] / np.maximum(factors.max(axis=0), 1))
        images, classes, _ = data.batch(torch.from_numpy(rows))
        self.labelled = images, classes, levels.to(images)

    def forward(self, encode: Encode, x: Tensor, labels: Tensor | None) -> Tensor:
        if self.labelled is None:
            raise UserError(
                'extra=labels: call prepare(data) of model.extra_terms["labels"] before a Trainer of yours trains.'
            )
        rows = draw_rows(lambda n: torch.randint(self.images, (n,), device=x.device), len(x))
        images, classes, targets = self.labelled
        images, targets, classes = images[rows], targets[rows], None if classes is None else classes[rows]
        codes = full_precision(encode(images.to(x), classes))
        count = targets.shape[1]
        if codes.shape[1] < count:
            raise UserError(f"latent.dim={codes.shape[1]}: extra=labels needs a latent for each of {count} factors.")
        with torch.autocast(x.device.type, enabled=False):
            logits = codes[:, :count]
            return F.binary_cross_entropy_with_logits(logits, targets.to(logits), reduction="sum") / len(logits)
