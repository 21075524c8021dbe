"""Encoders, decoders and critics. `conf/network` chooses them, and each file says whose networks it has.

A model builds them from the shapes of its data and latents, so that no configuration has to compute a size:

    encoder(image_shape, num_params)            images (B, C, H, W) in [0, 1] to (B, num_params)
    decoder(latent_dim, image_shape)            latents (B, J) to the parameters of a likelihood, (B, C, H, W)
    critic(image_shape, condition, outputs)     images, with codes (B, condition) beside them, to logits (B, outputs)
    code_critic(latent_dim)                     codes (B, J) to logits (B, logits)

A decoder does not end in a sigmoid, because the likelihood applies it.
"""
