"""How a metric is called, and how it declines.

A metric is a function whose parameter names say what it needs, the way pytest hands out fixtures:

    codes (N, D)          posterior means, float32            logvars (N, D)   log variances of the posteriors
    factors (N, K)        ground-truth classes, integers      factor_names     their names, K texts
    labels (N,)           classes, integers                   held_out (N,)    which rows are held out, booleans
    rng                   a numpy Generator of its own
    test_codes (M, D), test_logvars (M, D), test_factors (M, K)     the same for the held-out images alone
    test_clusters (M, K), train_clusters (L, K)   probabilities of the clusters of held-out and of training images
    test_labels (M,), train_labels (L,)           their classes, integers        train_codes (L, D)   and codes
    log_likelihood, squared_error, absolute_error, cross_entropy   (M,) sums over pixels for each held-out image
    kl_per_dim            mean KL of each latent, nats      kl_weight    what multiplies the KL in the loss, a beta
    pixels                values in one image, C*H*W
    traversals            (how many images) -> decoded at their codes (B, C, H, W), and with one latent at a time moved
                          (B, R, V, C, H, W)
    small_classifier      (which of the training images, their classes, seed) -> logits for the held-out images (M, C)
    log_weights           (rows, samples) -> blocks of importance weights: vaezoo.metrics.importance

    images, reconstructions (M, C, H, W)     some held-out images in random order, and what the model makes of them
    image_labels (M,)     their classes                       prior_samples (L, C, H, W)     decoded draws
    train_features, sample_features, test_features, noise_features  (., 64) of training images, samples, held-out images
                          and white noise, by the network called `extractor`, `extractor_accuracy` its accuracy
    train_inception, sample_inception (L, 2048)                     of training images and samples, by Inception

    factor_names, label_names                                 what the columns and classes are called

A parameter of these that has a default (`factors=None`, `factor_names=()`) is handed over where it is known; without
one, the metric is skipped where it is not. A metric that takes `rng` is stochastic: repeat it over seeds. Any other
gives the same number every time.

Everything else is a constant of the protocol and is keyword-only, with the default of the published protocol. The
result maps names to numbers (scores), booleans (facts) and arrays (what lies behind them); the entry "score" is the
metric's own value. It may be nan or inf where the formula says so.
"""

import numpy as np

Result = dict[str, float | int | bool | np.ndarray]


class Skip(Exception):
    """The metric does not apply here; the message is the reason that the report gives."""
