"""Critics of codes: the discriminators of FactorVAE and of the adversarial autoencoder."""

from torch import Tensor, nn

from vaezoo.distributed import normal_like
from vaezoo.networks.layers import initialise
from vaezoo.ranges import Count, NonNegative, Positive, Sizes


class CodeCritic(nn.Module):
    """A network from codes (B, J) to `logits` numbers each, with layers of `hidden` LeakyReLU units of slope `slope`.

    Six layers of 1000 units and two logits are the discriminator of FactorVAE (Kim & Mnih, 2018). Two layers of 1000
    ReLU units (slope 0) and one logit are the critic of the adversarial autoencoder (Makhzani et al., 2016), whose
    weights begin as N(0, `std`). During training, Gaussian noise with the deviation `noise` is added to the codes, so
    that the critic does not win before the codes are near the prior.
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
