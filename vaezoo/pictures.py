"""Draws the chosen figures of a run from its outputs, its scores and its history."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures.ranges import traversal_values
from vaezoo.figures.style import save, to_uint8
from vaezoo.fixtures import Missing, call
from vaezoo.outputs import Outputs
from vaezoo.runs import write_arrays

log = logging.getLogger(__name__)


def figure_fixtures(
    outputs: Outputs,
    arrays: Mapping[str, Mapping[str, np.ndarray]],
    history: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    images: int,
    samples: int,
    traversal: str,
) -> dict[str, Callable[[], Any]]:
    """What figures may ask for; each is computed when the first figure asks."""
    table = outputs.table
    gaussian, categories = table.logvars.shape[1], table.categories
    # The parts of other densities, such as that of a mixture, are not those of single latents.
    kl = outputs.kl_per_dim if gaussian else None
    continuous = table.codes.shape[1] - int(categories.sum())
    # Most informative latents first; an autoencoder has no KL and keeps its order.
    order = np.arange(continuous) if kl is None else np.argsort(-kl[:gaussian])
    shown = outputs.shown(images)
    base = shown[len(shown) // 2 : len(shown) // 2 + 1]  # away from the corner of a factor grid

    # The scale of an autoencoder's codes is arbitrary: only the data know how far to go.
    uniform = getattr(outputs.model.latent, "prior", "normal") == "uniform"
    fitting = "pm1" if uniform else "data_quantiles" if kl is None else "prior_quantiles"
    preset = fitting if traversal == "auto" else traversal
    rebuilt = outputs.model.reconstructs

    def values() -> np.ndarray:
        chosen = traversal_values(preset, table.codes[table.held_out])
        return chosen[order] if chosen.ndim == 2 else chosen

    def of_metric(metric: str, name: str) -> Callable[[], np.ndarray | None]:
        return lambda: arrays.get(metric, {}).get(name)

    return {
        "title": lambda: outputs.title,
        "images": lambda: outputs.images(shown) if len(shown) else None,
        "reconstructed": lambda: outputs.reconstruct(shown) if len(shown) and rebuilt else None,
        "samples": lambda: outputs.samples(samples),
        "original": lambda: outputs.images(base)[0] if len(base) else None,
        "reconstruction": lambda: outputs.reconstruct(base)[0] if len(base) and rebuilt else None,
        "traversal": lambda: (
            outputs.traversal(base[0], order, values()) if len(base) and rebuilt and len(order) else None
        ),
        "traversal_values": values,
        "traversal_dims": lambda: order,
        "traversal_kl": lambda: None if kl is None else kl[order],
        "history": lambda: history or None,
        "kl_per_dim": lambda: kl,
        "kl_names": lambda: [*map(str, range(continuous)), *(f"s{i}" for i in range(len(categories)))],
        "class_grid": lambda: outputs.class_grid(shown[:8]) if len(shown) else None,
        "class_grid_originals": lambda: outputs.images(shown[:8]) if len(shown) else None,
        "category_names": lambda: category_names(outputs) or None,
        "code_correlation": of_metric("correlation", "codes"),
        "factor_correlation": of_metric("correlation", "factors"),
        "factor_names": lambda: outputs.data.source.factor_names or None,
        "information": lambda: None if (known := of_metric("mig_hist", "information")()) is None else known.T,
        "factor_entropies": of_metric("mig_hist", "factor_entropies"),
        "laplacian_images": of_metric("laplacian", "box_images"),
        "laplacian_reconstructions": of_metric("laplacian", "box_reconstructions"),
        "laplacian_samples": of_metric("laplacian", "box_samples"),
        "label_names": lambda: outputs.data.source.label_names or None,
        "top_latents": of_metric("top_attributes", "latents"),
        "top_columns": of_metric("top_attributes", "columns"),
        "top_correlations": of_metric("top_attributes", "correlations"),
    }


def category_names(outputs: Outputs) -> list[str]:
    """What the values of the first categorical latent are called: by the classes where the model is told them."""
    if not outputs.table.categories.size:
        return []
    values, names = int(outputs.table.categories[0]), outputs.data.source.label_names
    told = getattr(outputs.model, "names_categories", False) and len(names) == values
    return list(names) if told else [str(value) for value in range(values)]


def draw(
    figures: Mapping[str, Callable[..., Figure]], fixtures: Mapping[str, Callable[[], Any]], folder: Path
) -> dict[str, np.ndarray]:
    """Write every figure that the run has the arrays for as NAME.png, with NAME.npz, the numbers behind it.

    Returns the pictures as uint8 arrays (H, W, 3), the very pixels of the files. A figure that fails does not take the
    others along.
    """
    pictures = {}
    for name, figure in figures.items():
        numbers: dict[str, Any] = {}

        def keep(key: str, get: Callable[[], Any], numbers: dict[str, Any] = numbers) -> Callable[[], Any]:
            def kept() -> Any:
                numbers[key] = get()
                return numbers[key]

            return kept

        try:
            drawn = call(figure, {key: keep(key, get) for key, get in fixtures.items()})
        except Missing as missing:
            log.info("figure %s: not drawn, this run has no %s", name, missing.args[0])
            continue
        except Exception:
            log.exception("The figure %s failed; the others go on.", name)
            continue
        save(drawn, folder / f"{name}.png")
        write_arrays(folder / f"{name}.npz", arrays_of(numbers))
        pictures[name] = to_uint8(drawn)
    return pictures


def arrays_of(numbers: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What was handed to a figure, as arrays; curves as NAME/batches and NAME/values."""
    arrays = {}
    for key, value in numbers.items():
        if isinstance(value, Mapping):
            for name, (batches, values) in value.items():
                arrays[f"{name}/batches"], arrays[f"{name}/values"] = batches, values
        elif value is not None:
            arrays[key] = np.asarray(value)
    return arrays
