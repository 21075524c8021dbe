"""InfoVAEGAN2 (Ye & Bors, 2021): InfoVAEGAN with a second generator G2, of codes alone, for reconstructions.

    the players of InfoVAEGAN, and
    second       minimises mean |x - G2(u_E(x))|^2,      over G2 alone, on real images

G also takes noise, so it makes another image of the same kind from a code. In the paper's text this loss, with both
KLs, replaces that of the encoder, over encoder and G2 (`train_encoder`); the authors' code has it for G2 alone.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vaezoo.models.base import Terms
from vaezoo.models.infovaegan import InfoVAEGAN


class InfoVAEGAN2(InfoVAEGAN):
    """An InfoVAEGAN with a second generator, which reconstructs images from their codes without noise."""

    def __init__(self, *, train_encoder: bool, decoder: Callable[..., nn.Module], **parts: Any) -> None:
        super().__init__(decoder=decoder, **parts)
        self.train_encoder = train_encoder
        self.second_decoder = decoder(self.latent.width, self.image_shape)

    def players(self) -> dict[str, Sequence[nn.Module]]:
        players = super().players()
        if not self.train_encoder:
            return {**players, "second": [self.second_decoder]}
        del players["encoder"]
        return {**players, "second": [self.encoder, self.second_decoder]}

    def reconstruct(self, z: Tensor, labels: Tensor | None = None) -> Any:
        return self.likelihood(self.second_decoder(z[:, : self.latent.width]))

    def second_objective(self, x: Tensor, drawn: Terms) -> Terms:
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.train_encoder):
            q = self.encode(x)
            codes = q.sample()
        p = self.reconstruct(codes)
        return self.vae_terms(p, q, x) if self.train_encoder else {"loss": p.rec(x).mean()}
