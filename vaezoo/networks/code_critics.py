"""Networks that judge: codes or images in, logits out."""

from torch import Tensor, nn

from vaezoo.distributed import normal_like
from vaezoo.networks.layers import initialise
from vaezoo.ranges import Count, NonNegative, Positive, Sizes


class CodeCritic(nn.Module):
    """Codes (B, J) to `logits` numbers each through layers of `hidden` LeakyReLU units of slope `slope`.

    Six layers of 1000 units and two logits are the discriminator of FactorVAE (Kim & Mnih, 2018); some public versions
    have five. Two layers of 1000 ReLU units (slope 0) and one logit are the critic of the adversarial autoencoder
    (Makhzani et al., 2016), whose weights begin as N(0, `std`). Gaussian `noise` on the codes, in training alone, keeps
    a critic from winning before the codes have come near the prior.
    """

    def __init__(
        self,
        latent_dim: int,
        *,
        hidden: Sizes,
        logits: Count = 2,
        slope: NonNegative = 0.2,
        noise: NonNegative = 0.0,
        std: Positive | None = None,
    ) -> None:
        super().__init__()
        self.noise = noise  # standard deviation
        layers: list[nn.Module] = []
        for inputs, outputs in zip([latent_dim, *hidden[:-1]], hidden, strict=True):
            layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(slope)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden[-1], logits))
        initialise(self, std)

    def forward(self, z: Tensor) -> Tensor:
        if self.training and self.noise:
            z = z + self.noise * normal_like(z)
        return self.layers(z)
