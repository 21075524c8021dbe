"""Pictures as pure functions from arrays to a matplotlib Figure. They compute no score.

A figure is a function whose parameter names say what it needs, by the rule of `vaezoo.metrics.protocol`. Images are
float32 in [0, 1] with C = 1 or 3; D latents, K factors:

    images, reconstructed (N, C, H, W)       pairs                     samples (N, C, H, W)   decoded from the prior
    traversal (R, V, C, H, W)                one latent a row, one value a column, rows in the order drawn
    traversal_dims (R,), traversal_kl        the latents of the rows and their mean KL (R,), None without a posterior
    traversal_values (V,) or (R, V)          the values of the columns, or of every row its own
    original, reconstruction (C, H, W)       the image whose code is traversed
    history                                  "train/kl" -> (batches, values)
    kl_per_dim (D,)                          nats, mean over images
    factor_correlation (K, D), code_correlation (D, D)
    information (K, D), factor_entropies (K,), factor_names   nats
    laplacian_images (1 + classes, 5)        box plots, all images first; label_names   and of reconstructions, samples
    top_latents (A,), top_columns, top_correlations (A, M)   what goes with the latent of an attribute
    title                                    names the run in the caption

`style.save` writes a figure, `style.to_uint8` gives the same pixels to a dashboard.
"""
