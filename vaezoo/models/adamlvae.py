"""Ada-ML-VAE (Locatello et al., ICML 2020): Ada-GVAE whose averages weigh each image by how sure its posterior is.

    1 / variance = (1 / variance_1 + 1 / variance_2) / 2
    mean = variance (mean_1 / variance_1 + mean_2 / variance_2) / 2

The mean is that of the product of both densities, as in ML-VAE (Bouchacourt et al., AAAI 2018). The variance is twice
that of the product, as in the authors' code, so that two equal posteriors have themselves as their average.
"""

import torch

from vaezoo.latents.gaussian import GaussianPosterior
from vaezoo.models.adagvae import AdaGVAE


class AdaMLVAE(AdaGVAE):
    """An Ada-GVAE that averages precisions in place of variances."""

    def average(self, first: GaussianPosterior, second: GaussianPosterior) -> GaussianPosterior:
        precisions = torch.exp(-first.logvar), torch.exp(-second.logvar)
        precision = (precisions[0] + precisions[1]) / 2
        mean = (first.mean * precisions[0] + second.mean * precisions[1]) / (2 * precision)
        return GaussianPosterior(mean, -precision.log())
