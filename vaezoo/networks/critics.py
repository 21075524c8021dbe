"""Networks that judge: codes or images in, logits out."""

from collections.abc import Sequence

from torch import Tensor, nn


class CodeCritic(nn.Module):
    """Codes (B, J) to `logits` numbers each through layers of `hidden` LeakyReLU units of slope `slope`.

    Six layers of 1000 units and two logits are the discriminator of FactorVAE (Kim & Mnih, 2018); some public versions
    have five.
    """

    def __init__(self, latent_dim: int, *, hidden: Sequence[int], logits: int = 2, slope: float = 0.2) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in zip([latent_dim, *hidden[:-1]], hidden, strict=True):
            layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(slope)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden[-1], logits))

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)
