"""Title runs in tables and figures."""

from omegaconf import DictConfig


def title_of(config: DictConfig) -> str:
    """Return the title of a run, such as "DIPVAE (lambda_od 10) on dsprites, 10 latents, seed 0"."""
    model = config.model["_target_"].rpartition(".")[2]
    weights = {name: config.model.get(name) for name in ("beta", "lambda_od", "gamma", "lambda_mmd")}
    numbers = ", ".join(f"{name} {value:g}" for name, value in weights.items() if isinstance(value, int | float))
    weighted = f"{model} ({numbers})" if numbers else model
    size = f"{config.latent.dim} latents" if config.latent.dim else f"{config.latent.categories[0]} categories"
    return f"{weighted} on {config.dataset.name}, {size}, seed {config.seed}"
