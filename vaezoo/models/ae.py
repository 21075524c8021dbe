"""Autoencoder: minimises the reconstruction term alone, -log p(x|z) at the code of x."""

from torch import Tensor

from vaezoo.models.base import LatentModel, Terms


class AE(LatentModel):
    """An autoencoder; with the Gaussian likelihood of variance 1/2 its loss is the summed squared error per image."""

    latents = ("Point",)

    def objective(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        rec = self.decode(self.encode(x).sample()).rec(x).mean()
        return {"loss": rec, "rec": rec}
