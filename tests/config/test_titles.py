"""Titles of runs."""

import pytest

from tests.support.configuration import compose_train
from vaezoo.config.titles import describe_run


@pytest.mark.parametrize(
    ("line", "title"),
    [
        (["model=vae"], "VAE on dsprites, 10 latents, seed 0"),
        (["model=betavae", "model.classifier_weight=3", "seed=7"], "BetaVAE (beta 4) on dsprites, 10 latents, seed 7"),
        (["model=infovae", "latent.dim=3"], "InfoVAE (alpha 0, lambda_mmd 1000) on dsprites, 3 latents, seed 0"),
        (["model=vaegan", "dataset=digits"], "VAEGAN (w 1e-06) on digits, 10 latents, seed 0"),
        (["model=catgan", "dataset=digits"], "CatGAN on digits, 20 categories, seed 0"),
        (["model=betavae", "+schedule@model.beta=linear"], "BetaVAE on dsprites, 10 latents, seed 0"),
        (["model=betavae", "sweep.over=[model.beta,seed]"], "BetaVAE (beta 4) on dsprites, 10 latents, seed 0"),
        (
            ["model=dipvae", "sweep.over=[model,model.kind,optimizer.lr,likelihood,network]"],
            "DIPVAE (kind i, lr 0.0001, likelihood Bernoulli) on dsprites, 10 latents, seed 0",
        ),
        (["model=dipvae", "sweep.over=[seed,latent.dim]", "model.decay=0.5"], "DIPVAE (lambda_od 10) on"),
    ],
)
def test_a_title_has_what_was_swept_or_the_weights_of_the_model(line, title):
    assert describe_run(compose_train(*line)).startswith(title)
