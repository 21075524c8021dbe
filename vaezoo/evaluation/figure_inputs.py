"""The inputs of figures: images decoded from the latent table, and numbers that are there already."""

import inspect
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from vaezoo.errors import UserError
from vaezoo.evaluation.embedding import Plane, embed
from vaezoo.evaluation.inputs import Inputs, provided
from vaezoo.evaluation.outputs import Outputs
from vaezoo.evaluation.scores import Scores
from vaezoo.figures import Computed
from vaezoo.figures.animation import FRAMES
from vaezoo.figures.animation import LATENTS as MOVING
from vaezoo.figures.traversal_values import SAMPLED, traversal_values

LEADING = 3  # latents of figures that show classes or categories in rows, unless figure.latents names others
PANELS = 6  # factors that colour the plane
STYLES = 8  # images whose categories are set or swapped

NO_TEST_ROWS = "no held-out images were encoded (metric.test_rows=0, or a data set without a test part)"
NO_RECONSTRUCTIONS = f"the model reconstructs no images, or {NO_TEST_ROWS}"
NO_TRAVERSALS = f"the model has no continuous latents that make an image, or {NO_TEST_ROWS}"
NO_CATEGORIES = "the model has no categorical latents"
NO_LABELS = "the data set has no labels"

History = Mapping[str, tuple[np.ndarray, np.ndarray]]


class FigureInputs(Inputs):
    """What the parameters of figures may name; each input is computed once, when the first figure asks for it.

    Images are float32 in [0, 1] with C = 1 or 3; there are D latents and K factors. A parameter that is annotated with
    `Computed` is an array or the value of a metric. `history` has the columns of metrics.csv, the other arguments are
    the options of `figure`; UserError for a latent that does not exist.
    """

    def __init__(
        self,
        outputs: Outputs,
        scores: Scores,
        history: History,
        *,
        images: int,
        samples: int,
        traversal: str,
        latents: Sequence[int] | None,
        classes: Sequence[int] | None,
    ) -> None:
        super().__init__()
        self.outputs = outputs
        self.table = table = outputs.table
        self.scores = scores
        self.terms = history
        self.sample_count = samples
        self.preset = outputs.usual_range if traversal == "auto" else traversal
        self.continuous = table.codes.shape[1] - int(table.categories.sum())
        # The latents with the largest KL come first; an autoencoder has none and keeps its order.
        ranked = (
            np.arange(self.continuous)
            if self.kl_per_dim is None
            else np.argsort(-self.kl_per_dim[: table.logvars.shape[1]])
        )
        self.order = ranked if latents is None else check_latents(latents, self.continuous)
        self.leading = ranked[:LEADING] if latents is None else self.order
        self.moving = self.order[:MOVING]
        self.examples = outputs.spread_examples(images)
        middle = len(self.examples) // 2
        self.base = self.examples[middle : middle + 1]  # one position, not in a corner of a factor grid
        of_classes = outputs.class_examples()
        self.of_classes = of_classes if classes is None else of_classes[np.isin(table.labels[of_classes], classes)]
        self.rebuilt = outputs.model.reconstructs and len(self.base) > 0
        self.movable = self.rebuilt and len(self.order) > 0

    def find(self, parameter: inspect.Parameter) -> Any:
        """Return the input for a parameter of a figure; None where it is absent."""
        if (source := Computed.of(parameter)) is None:
            return super().find(parameter)
        if source.array is None:
            return self.scores.values.get(f"eval/{source.metric}")
        return self.scores.arrays.get(source.metric, {}).get(source.array)

    def explain(self, parameter: inspect.Parameter) -> str:
        """Return the reason why the input for a parameter is absent."""
        if (source := Computed.of(parameter)) is None:
            return super().explain(parameter)
        if source.metric in self.scores.protocols:
            return f"the score {source.metric} has no {source.array} here"
        return f"the score {source.metric} was not computed"

    def values(self, dims: np.ndarray) -> np.ndarray:
        """Return the values (V,) at which all of these latents are shown, or a row for each of them (R, V)."""
        values = traversal_values(self.preset, self.table.codes[self.table.held_out])
        return values[dims] if values.ndim == 2 else values

    def traverse(self, positions: np.ndarray, dims: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return traversals (B, R, V, C, H, W) of the codes at B positions."""
        return self.outputs.traversal(positions, dims, values, drawn=self.preset in SAMPLED)

    # ---- images and their reconstructions ----------------------------------------------------------------------------

    @provided()
    def title(self) -> str:
        """Return the name of the run, for the caption."""
        return self.outputs.title

    @provided(unless=NO_TEST_ROWS)
    def images(self) -> np.ndarray | None:
        """Return (N, C, H, W) test images."""
        return self.outputs.originals(self.examples) if len(self.examples) else None

    @provided(unless=NO_RECONSTRUCTIONS)
    def reconstructed(self) -> np.ndarray | None:
        """Return (N, C, H, W) reconstructions of `images`."""
        return self.outputs.reconstruct(self.examples) if self.rebuilt else None

    @provided()
    def samples(self) -> np.ndarray:
        """Return (N, C, H, W) decoded draws from the prior."""
        return self.outputs.samples(self.sample_count)

    @provided(unless=NO_TEST_ROWS)
    def original(self) -> np.ndarray | None:
        """Return (C, H, W), the image whose code is traversed."""
        return self.outputs.originals(self.base)[0] if len(self.base) else None

    @provided(unless=NO_RECONSTRUCTIONS)
    def reconstruction(self) -> np.ndarray | None:
        """Return (C, H, W), the reconstruction of `original`."""
        return self.outputs.reconstruct(self.base)[0] if self.rebuilt else None

    # ---- one latent at a time ----------------------------------------------------------------------------------------

    @provided(unless=NO_TRAVERSALS)
    def traversal(self) -> np.ndarray | None:
        """Return (R, V, C, H, W): one latent a row, one value a column, the most informative latent first."""
        return self.traverse(self.base, self.order, self.values(self.order))[0] if self.movable else None

    @provided()
    def traversal_values(self) -> np.ndarray:
        """Return the values of the columns (V,), or of each row its own (R, V)."""
        return self.values(self.order)

    @provided()
    def traversal_dims(self) -> np.ndarray:
        """Return the latents of the rows, (R,)."""
        return self.order

    @provided(unless="the model has no Gaussian posterior with a standard normal prior")
    def traversal_kl(self) -> np.ndarray | None:
        """Return the mean KL of the latents of the rows, (R,), nats."""
        return None if self.kl_per_dim is None else self.kl_per_dim[self.order]

    @provided(unless=NO_TRAVERSALS)
    def animation(self) -> np.ndarray | None:
        """Return (R, F, C, H, W): one latent a picture, one value a frame."""
        return self.traverse(self.base, self.moving, self.animation_values)[0] if self.movable else None

    @provided()
    def animation_values(self) -> np.ndarray:
        """Return the values of the frames, (R, F): from the first to the last traversal value in even steps."""
        values = self.values(self.moving)
        ends = np.broadcast_to(values, (len(self.moving), values.shape[-1]))
        return np.linspace(ends[:, 0], ends[:, -1], FRAMES, axis=1)

    @provided()
    def animation_dims(self) -> np.ndarray:
        """Return the latents of the pictures, (R,)."""
        return self.moving

    # ---- classes and categories --------------------------------------------------------------------------------------

    @provided(unless=f"{NO_LABELS}, or {NO_TRAVERSALS}")
    def class_traversal(self) -> np.ndarray | None:
        """Return (L, R, V, C, H, W): one latent a block, one class a row, one value a column."""
        if not self.movable or not len(self.of_classes):
            return None
        return self.traverse(self.of_classes, self.leading, self.values(self.leading)).swapaxes(0, 1)

    @provided()
    def class_traversal_values(self) -> np.ndarray:
        """Return the values of the columns (V,), or of each block its own (L, V)."""
        return self.values(self.leading)

    @provided()
    def class_traversal_dims(self) -> np.ndarray:
        """Return the latents of the blocks, (L,)."""
        return self.leading

    @provided()
    def class_traversal_names(self) -> list[str]:
        """Return the names of the classes of the rows; a class without a name is its number."""
        names = self.table.label_names
        levels = self.table.labels[self.of_classes]
        return [str(names[level]) if level < len(names) else str(level) for level in levels]

    @provided()
    def class_traversal_originals(self) -> np.ndarray:
        """Return (R, C, H, W), the image of each class."""
        return self.outputs.originals(self.of_classes)

    @provided(unless=f"{NO_CATEGORIES}, or {NO_TRAVERSALS}")
    def category_traversal(self) -> np.ndarray | None:
        """Return (L, R, V, C, H, W): one latent a block, one value of the first category a row."""
        if not self.movable or not len(self.table.categories):
            return None
        return self.outputs.category_traversal(self.base[0], self.leading, self.values(self.leading))

    @provided()
    def category_traversal_values(self) -> np.ndarray:
        """Return the values of the columns (V,), or of each block its own (L, V)."""
        return self.values(self.leading)

    @provided()
    def category_traversal_dims(self) -> np.ndarray:
        """Return the latents of the blocks, (L,)."""
        return self.leading

    @provided(unless=NO_CATEGORIES)
    def category_names(self) -> list[str] | None:
        """Return the names of the values of the first category: of the classes, if the model learns it from labels."""
        if not self.table.categories.size:
            return None
        count, names = int(self.table.categories[0]), self.table.label_names.tolist()
        named = getattr(self.outputs.model, "names_categories", False) and len(names) == count
        return names if named else [str(value) for value in range(count)]

    @provided(unless=f"{NO_CATEGORIES}, or {NO_RECONSTRUCTIONS}")
    def class_grid(self) -> np.ndarray | None:
        """Return (N, R, C, H, W): each image with each value of the first category."""
        return self.outputs.class_grid(self.examples[:STYLES]) if len(self.examples) else None

    @provided(unless=NO_TEST_ROWS)
    def class_grid_originals(self) -> np.ndarray | None:
        """Return (N, C, H, W), the images of `class_grid`."""
        return self.outputs.originals(self.examples[:STYLES]) if len(self.examples) else None

    @provided(unless="the model has neither categories nor classes, or the data set has no labels")
    def swap(self) -> np.ndarray | None:
        """Return (N, R, C, H, W): the style of one image with the class of another."""
        if not self.rebuilt or not len(self.of_classes):
            return None
        return self.outputs.swap(self.examples[:STYLES], self.of_classes)

    @provided()
    def swap_rows(self) -> np.ndarray:
        """Return (N, C, H, W), the images whose styles are kept."""
        return self.outputs.originals(self.examples[:STYLES])

    @provided()
    def swap_columns(self) -> np.ndarray:
        """Return (R, C, H, W), the images whose classes are taken."""
        return self.outputs.originals(self.of_classes)

    # ---- numbers -----------------------------------------------------------------------------------------------------

    @provided(unless="there is no metrics.csv in the run folder")
    def history(self) -> History | None:
        """Return the batches and the values of each logged term, such as "train/kl"."""
        return self.terms or None

    # The parts of other densities, such as a mixture, do not belong to single latents.
    @provided(unless="the model has no Gaussian posterior with a standard normal prior")
    def kl_per_dim(self) -> np.ndarray | None:
        """Return the mean KL of each latent over the held-out images, nats."""
        return self.outputs.kl_per_dim if self.table.logvars.shape[1] else None

    @provided()
    def kl_names(self) -> list[str]:
        """Return the names of the latents of `kl_per_dim`: numbers, and s0, s1, … for categories."""
        return [*map(str, range(self.continuous)), *(f"s{i}" for i in range(len(self.table.categories)))]

    @provided(unless="the data set has no ground-truth factors with names")
    def factor_names(self) -> list[str] | None:
        """Return the names of the K factors."""
        return self.table.factor_names.tolist() or None

    @provided(unless="the classes of the data set have no names")
    def label_names(self) -> list[str] | None:
        """Return the names of the classes."""
        return self.table.label_names.tolist() or None

    @provided(unless="the score mig_hist was not computed")
    def information(self) -> np.ndarray | None:
        """Return the mutual information (K, D) of factors and latents, nats."""
        information = self.scores.arrays.get("mig_hist", {}).get("information")
        return None if information is None else information.T

    # ---- codes in the plane ------------------------------------------------------------------------------------------

    @cached_property
    def plane(self) -> Plane:
        """Return the codes of held-out images in the plane."""
        test = self.table.held_out
        labels = self.table.labels[test] if self.table.labels.size else None
        return embed(self.table.codes[test], labels, self.outputs.seed)

    @provided(unless=NO_TEST_ROWS)
    def plane_points(self) -> np.ndarray | None:
        """Return (n, 2), the codes in the plane."""
        return self.plane.points if len(self.base) else None

    @provided(unless=f"the data set has neither labels nor factors, or {NO_TEST_ROWS}")
    def plane_levels(self) -> np.ndarray | None:
        """Return (n, P), the labels that colour the points, or else the first factors."""
        levels = self.table.labels[:, None] if self.table.labels.size else self.table.factors[:, :PANELS]
        return levels[self.table.held_out][self.plane.rows] if levels.size and len(self.base) else None

    @provided()
    def plane_names(self) -> list[str]:
        """Return the names of the P columns of `plane_levels`."""
        return ["class"] if self.table.labels.size else self.table.factor_names.tolist()[:PANELS]

    @provided(unless="the codes have two columns and are shown as they are")
    def plane_perplexity(self) -> float | None:
        """Return the perplexity of t-SNE."""
        return self.plane.perplexity


def check_latents(latents: Sequence[int], count: int) -> np.ndarray:
    """Return the latents of `figure.latents`; raise UserError for one that the model does not have."""
    if wrong := [d for d in latents if d >= count]:
        raise UserError(f"figure.latents: there is no latent {wrong[0]}; this model has {count}, from 0.")
    return np.array(latents, np.int64)
