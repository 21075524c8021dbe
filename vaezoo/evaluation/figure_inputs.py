"""Draws the chosen figures of a run from its outputs, its scores and its history."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vaezoo.errors import UserError
from vaezoo.evaluation.embedding import Plane
from vaezoo.evaluation.embedding import plane as in_the_plane
from vaezoo.evaluation.fixtures import Missing, call
from vaezoo.evaluation.outputs import Outputs
from vaezoo.figures.animation import FRAMES
from vaezoo.figures.animation import LATENTS as MOVING
from vaezoo.figures.style import Drawn, save
from vaezoo.figures.traversal_values import SAMPLED, traversal_values
from vaezoo.runs.files import write_arrays

LEADING = 3  # latents of figures that show classes or categories in rows, where none are chosen
PANELS = 6  # factors that colour the plane

log = logging.getLogger(__name__)


def figure_fixtures(
    outputs: Outputs,
    arrays: Mapping[str, Mapping[str, np.ndarray]],
    scores: Mapping[str, float],
    history: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    images: int,
    samples: int,
    traversal: str,
    latents: Sequence[int] | None,
    classes: Sequence[int] | None,
) -> dict[str, Callable[[], Any]]:
    """What figures may ask for; each is computed when the first figure asks.

    `arrays` are those of the metrics by name, `scores` their values by key, `history` the columns of metrics.csv.
    """
    table = outputs.table
    gaussian, categories = table.logvars.shape[1], table.categories
    # The parts of other densities, such as that of a mixture, are not those of single latents.
    kl = outputs.kl_per_dim if gaussian else None
    continuous = table.codes.shape[1] - int(categories.sum())
    # Most informative latents first; an autoencoder has no KL and keeps its order.
    ranked = np.arange(continuous) if kl is None else np.argsort(-kl[:gaussian])
    order = ranked if latents is None else chosen_latents(latents, continuous)
    leading = ranked[:LEADING] if latents is None else order
    shown = outputs.shown(images)
    base = shown[len(shown) // 2 : len(shown) // 2 + 1]  # away from the corner of a factor grid
    of_classes = outputs.classes_shown()
    if classes is not None:
        of_classes = of_classes[np.isin(table.labels[of_classes], classes)]
    rebuilt = outputs.model.reconstructs and len(base) > 0
    movable = rebuilt and len(order) > 0

    preset = outputs.usual_range if traversal == "auto" else traversal

    def values(dims: np.ndarray) -> np.ndarray:
        chosen = traversal_values(preset, table.codes[table.held_out])
        return chosen[dims] if chosen.ndim == 2 else chosen

    def between(dims: np.ndarray) -> np.ndarray:
        """From the first to the last of the values in even steps, (R, FRAMES)."""
        ends = np.broadcast_to(values(dims), (len(dims), values(dims).shape[-1]))
        return np.linspace(ends[:, 0], ends[:, -1], FRAMES, axis=1)

    def moved(positions: np.ndarray, dims: np.ndarray, along: np.ndarray) -> np.ndarray:
        return outputs.traversal(positions, dims, along, drawn=preset in SAMPLED)

    @cache
    def plane() -> Plane:
        labels = table.labels[table.held_out] if table.labels.size else None
        return in_the_plane(table.codes[table.held_out], labels, outputs.seed)

    def levels() -> np.ndarray | None:
        """What the points of the plane are coloured by: labels, else factors."""
        known = table.labels[:, None] if table.labels.size else table.factors[:, :PANELS]
        return known[table.held_out][plane().rows] if known.size and len(base) else None

    def of_metric(metric: str, name: str) -> Callable[[], np.ndarray | None]:
        return lambda: arrays.get(metric, {}).get(name)

    return {
        "title": lambda: outputs.title,
        "images": lambda: outputs.originals(shown) if len(shown) else None,
        "reconstructed": lambda: outputs.reconstruct(shown) if rebuilt else None,
        "samples": lambda: outputs.samples(samples),
        "original": lambda: outputs.originals(base)[0] if len(base) else None,
        "reconstruction": lambda: outputs.reconstruct(base)[0] if rebuilt else None,
        "traversal": lambda: moved(base, order, values(order))[0] if movable else None,
        "traversal_values": lambda: values(order),
        "traversal_dims": lambda: order,
        "traversal_kl": lambda: None if kl is None else kl[order],
        "animation": lambda: moved(base, order[:MOVING], between(order[:MOVING]))[0] if movable else None,
        "animation_values": lambda: between(order[:MOVING]),
        "animation_dims": lambda: order[:MOVING],
        "class_traversal": lambda: (
            moved(of_classes, leading, values(leading)).swapaxes(0, 1) if movable and len(of_classes) else None
        ),
        "class_traversal_values": lambda: values(leading),
        "class_traversal_dims": lambda: leading,
        "class_traversal_names": lambda: named(table.label_names, table.labels[of_classes]),
        "class_traversal_originals": lambda: outputs.originals(of_classes),
        "category_traversal": lambda: (
            outputs.category_traversal(base[0], leading, values(leading)) if movable and len(categories) else None
        ),
        "category_traversal_values": lambda: values(leading),
        "category_traversal_dims": lambda: leading,
        "swap": lambda: outputs.swap(shown[:8], of_classes) if rebuilt and len(of_classes) else None,
        "swap_rows": lambda: outputs.originals(shown[:8]),
        "swap_columns": lambda: outputs.originals(of_classes),
        "history": lambda: history or None,
        "kl_per_dim": lambda: kl,
        "kl_names": lambda: [*map(str, range(continuous)), *(f"s{i}" for i in range(len(categories)))],
        "class_grid": lambda: outputs.class_grid(shown[:8]) if len(shown) else None,
        "class_grid_originals": lambda: outputs.originals(shown[:8]) if len(shown) else None,
        "category_names": lambda: category_names(outputs) or None,
        "code_correlation": of_metric("correlation", "codes"),
        "factor_correlation": of_metric("correlation", "factors"),
        "factor_names": lambda: table.factor_names.tolist() or None,
        "information": lambda: None if (known := of_metric("mig_hist", "information")()) is None else known.T,
        "factor_entropies": of_metric("mig_hist", "factor_entropies"),
        "laplacian_images": of_metric("laplacian", "box_images"),
        "laplacian_reconstructions": of_metric("laplacian", "box_reconstructions"),
        "laplacian_samples": of_metric("laplacian", "box_samples"),
        "label_names": lambda: table.label_names.tolist() or None,
        "top_latents": of_metric("top_attributes", "latents"),
        "top_columns": of_metric("top_attributes", "columns"),
        "top_correlations": of_metric("top_attributes", "correlations"),
        "attribute_names": lambda: (
            None if (known := of_metric("attribute_vectors", "names")()) is None else known.tolist()
        ),
        "attribute_accuracy": of_metric("attribute_vectors", "accuracy"),
        "attribute_majority": of_metric("attribute_vectors", "majority"),
        "attribute_balanced": of_metric("attribute_vectors", "balanced"),
        "plane_points": lambda: plane().points if len(base) else None,
        "plane_levels": levels,
        "plane_names": lambda: ["class"] if table.labels.size else table.factor_names.tolist()[:PANELS],
        "plane_perplexity": lambda: plane().perplexity,
        "knn_purity": lambda: scores.get("eval/knn_purity"),
    }


def chosen_latents(latents: Sequence[int], count: int) -> np.ndarray:
    if wrong := [d for d in latents if d >= count]:
        raise UserError(f"figure.latents: there is no latent {wrong[0]}; this model has {count}, from 0.")
    return np.array(latents, np.int64)


def named(names: np.ndarray, levels: np.ndarray) -> list[str]:
    return [str(names[level]) if level < len(names) else str(level) for level in levels]


def category_names(outputs: Outputs) -> list[str]:
    """What the values of the first categorical latent are called: by the classes where the model is told them."""
    if not outputs.table.categories.size:
        return []
    values, names = int(outputs.table.categories[0]), outputs.table.label_names.tolist()
    told = getattr(outputs.model, "names_categories", False) and len(names) == values
    return names if told else [str(value) for value in range(values)]


def draw(
    figures: Mapping[str, Callable[..., Drawn]], fixtures: Mapping[str, Callable[[], Any]], folder: Path
) -> dict[str, Path]:
    """Write every figure that the run has the arrays for as NAME.png, or NAME.gif where it moves; returns the files.

    NAME.npz has the numbers behind it. A figure that fails does not take the others along.
    """
    pictures, lacking = {}, []
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
            lacking.append(name if missing.args[0] == name else f"{name} (no {missing.args[0]})")
            continue
        except UserError:
            raise
        except Exception:
            log.exception("The figure %s failed; the others go on.", name)
            continue
        pictures[name] = folder / f"{name}.{'png' if isinstance(drawn, Figure) else 'gif'}"
        save(drawn, pictures[name])
        write_arrays(folder / f"{name}.npz", arrays_of(numbers))
    if lacking:  # in one line: the default figures are meant for every kind of run
        log.info("not drawn, as this run has nothing for them: %s", ", ".join(lacking))
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
