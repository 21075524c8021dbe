"""Latent spaces: a prior, and posteriors computed from an encoder's output. One file has one family.

A latent space is an object with

    dim                       how many numbers a decoder takes
    width                     how many of them a code has: all, unless the decoder also takes noise (`Codes`)
    num_params                how many numbers an encoder returns for an image
    categories                the number of values of each categorical variable, () without any
    posterior(params)         the posteriors of B images from an encoder's output (B, num_params)
    sample_prior(count)       draws from the prior, (count, dim)
    mode(codes)               what is decoded for codes (B, width): probabilities of categories become one-hot, except
                              in `Point`, and noise is drawn; (B, dim)

and a posterior of B images is a tuple of tensors with

    mean                      the code of each image, (B, width): means, then the probabilities of each category
    sample()                  one draw for each image, (B, width), with a gradient; `relaxed=False` draws categories
                              one-hot, without a gradient
    clusters                  the probabilities of the first category, (B, K); AttributeError without categories

and, where it has a density (not in `Point`),

    logvar                    the log variances of the Gaussian latents, (B, J)
    kl()                      KL(q(z|x) || p(z)) in nats, a column for each Gaussian latent and each category
    log_prob(codes)           log q(codes|x) in the same columns, for codes with one-hot categories

Posteriors are computed in float32 at least, whatever the precision of the encoder. Draws are the same for any number
of processes (`vaezoo.distributed`).
"""
