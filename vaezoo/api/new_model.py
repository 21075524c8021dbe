"""Build a model for a Trainer of one's own."""

from typing import Any

from hydra.utils import get_class

from vaezoo.models.base import LatentModel
from vaezoo.models.building import choose_values, make


def build(name: str, **values: Any) -> LatentModel:
    """Return the model that `model=NAME` stands for, ready for any Trainer of Lightning.

    `image_shape` (C, H, W) is needed. `latent_dim` is the number of continuous latents, `classes` that of labels. The
    other values are those of conf/model/NAME.yaml; `network`, `latent`, `likelihood` and `optimizer` may be names of
    options, such as network="convh". Without `network` it is convh for images of 64x64 and larger whose sides divide
    by 16, convj32 for 32x32, and mlp002 otherwise. Raises UserError for names and values that do not exist or fit.

    >>> import vaezoo
    >>> model = vaezoo.build("betavae", image_shape=(1, 28, 28), latent_dim=10, beta=4.0)
    >>> model.latent.dim, model.beta
    (10, 4.0)
    """
    recipe = choose_values(name, values)
    model: LatentModel = make(get_class(recipe.pop("_target_")), recipe)
    return model
