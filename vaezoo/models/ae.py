"""Autoencoder: minimises the reconstruction term alone, -log p(x|z) at the code of x."""

from torch import Tensor

from vaezoo.models.base import LatentModel, Terms


class AE(LatentModel):
    """With the Gaussian likelihood of variance 1/2 the loss is the summed squared error per image.

    Code that averages over the channels of a pixel trains on a third of it for RGB images.
    """

    latents = ("Point",)

    def objective(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        rec = self.decode(self.encode(x).sample()).rec(x).mean()
        return {"loss": rec, "rec": rec}
