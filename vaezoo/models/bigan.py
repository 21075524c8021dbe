"""Bidirectional GAN (Donahue et al., 2017): ALI's game with an encoder that adds no noise.

    critic    minimises  -mean ln D(x, E(x)) - mean ln(1 - D(G(z), z))
    pair      minimises  -mean ln(1 - D(x, E(x))) - mean ln D(G(z), z)

At the optimum E and G invert each other on the images and codes that occur. The authors' code halves the losses: its
log begins at 0.6931 where ours does at 1.3863. Codes of the prior U(-1, 1) end at 1, but nothing squashes E(x).
"""

from vaezoo.models.ali import ALI


class BiGAN(ALI):
    """The model is that of ALI: which codes there are, points of a uniform prior, the latents say."""

    latents = ("Point",)
    # Probabilities of categories are never one-hot, so the critic would tell them from draws of the prior.
    requires = {"latent.categories == []": "continuous codes alone, such as latent=uniform"}
