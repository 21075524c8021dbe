"""Bidirectional GAN (Donahue et al., 2017): the game of ALI with an encoder that adds no noise.

    critic    minimises  -mean ln D(x, E(x)) - mean ln(1 - D(G(z), z))
    pair      minimises  -mean ln(1 - D(x, E(x))) - mean ln D(G(z), z)

At the optimum E and G invert each other on the images and codes that occur. Codes of the prior U(-1, 1) end at 1, but
nothing bounds E(x).
"""

from vaezoo.models.ali import ALI


class BiGAN(ALI):
    """ALI with codes that are points of a uniform prior."""

    paper = "Donahue, Krähenbühl & Darrell (2017). Adversarial Feature Learning. ICLR. arXiv:1605.09782"
    latents = ("Point",)
    # Categories are excluded, because a softmax is never one-hot and the critic would recognise it at once.
    requires = {"latent.categories == []": "continuous codes alone, such as latent=uniform"}
