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
    attribute_names (K,), _accuracy, _majority, _balanced (K,)   of binary attributes
    top_latents (A,), top_columns, top_correlations (A, M)   what goes with the latent of an attribute
    animation (R, F, C, H, W), animation_values (R, F), animation_dims   one latent a row, one frame a column
    class_traversal (L, R, V, C, H, W)       a latent a block, a class a row, a value a column; category_traversal also
    swap (R, K, C, H, W)                     the style of one image with the class of another
    plane_points (n, 2), plane_levels (n, P), plane_names (P,)   codes in the plane and what colours them
    title                                    names the run in the caption

`style.save` writes a figure. A figure that moves is a list of frames.
"""
