"""Draw the figures of a run from their inputs."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure

from vaezoo.errors import UserError
from vaezoo.evaluation.inputs import Inputs, Missing, find_arguments
from vaezoo.figures.style import Drawn, save, save_vectors
from vaezoo.runs.files import write_arrays

log = logging.getLogger(__name__)


def draw_figures(
    figures: Mapping[str, Callable[..., Drawn]],
    inputs: Inputs,
    folder: Path,
    form: Literal["png", "pdf", "svg"] = "png",
) -> dict[str, Path]:
    """Write every figure whose inputs exist as NAME.png, or as NAME.gif if it moves; return these files by name.

    `form` is another format in which a figure is written, too. NAME.npz has the numbers behind it. A figure that fails
    is left out.
    """
    pictures: dict[str, Path] = {}
    absent = []
    for name, figure in figures.items():
        if Path(name).name != name:
            raise UserError(f"figure.figures: {name!r} is the name of a file, and cannot hold a folder.")
        try:
            arguments = find_arguments(figure, inputs)
            picture = figure(**arguments)
        except Missing as missing:
            absent.append(name)
            log.debug("%s was not drawn: %s", name, missing)
            continue
        except UserError:
            raise
        except Exception:
            log.exception("The figure %s failed; the others go on.", name)
            continue
        pictures[name] = folder / f"{name}.{'png' if isinstance(picture, Figure) else 'gif'}"
        save(picture, pictures[name])
        if form != "png" and isinstance(picture, Figure):
            save_vectors(picture, folder / f"{name}.{form}")
        write_arrays(folder / f"{name}.npz", collect_arrays(arguments))
    if absent:  # without reasons, because the default figures are meant for every kind of run
        log.info("not drawn: %s (docs/figures.md says what each needs)", ", ".join(absent))
    return pictures


def collect_arrays(arguments: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the arguments of a figure as arrays, the curves of a history as NAME/batches and NAME/values."""
    arrays = {}
    for key, value in arguments.items():
        if isinstance(value, Mapping):
            for name, (batches, values) in value.items():
                arrays[f"{name}/batches"], arrays[f"{name}/values"] = batches, values
        else:
            arrays[key] = np.asarray(value)
    return arrays
