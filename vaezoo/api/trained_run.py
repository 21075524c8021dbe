"""A trained run in Python: `vaezoo.load("outputs/2026-11-21/10-00-00-dipvae-dsprites").encode(images)`."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor

from vaezoo.api.tables import join_columns, make_table
from vaezoo.config.completion import check_complete
from vaezoo.config.titles import describe_run
from vaezoo.errors import UserError, nearest
from vaezoo.evaluation.table import LatentTable, evaluating
from vaezoo.evaluation.trained_model import build_trained, calibrate
from vaezoo.figures.traversal_values import traversal_values
from vaezoo.models.base import LatentModel
from vaezoo.reporting.reading import read_json, read_run
from vaezoo.runs.folder import CONFIG, load_config, read_history, read_state, relative_to_cwd
from vaezoo.runs.limits import check_inside, require_file
from vaezoo.runs.shared_file import open_folder
from vaezoo.seeds import derive, own_noise

Array = TypeVar("Array", np.ndarray, Tensor)

FIGURES = ("png", "gif")


def load(
    where: "str | Path | Run",
    *,
    checkpoint: str = "last",
    device: str | torch.device | None = None,
    trust: str | Sequence[str] = (),
) -> "Run":
    """Return the run in a folder, in the file of a shared run, or at an address such as hf://owner/name@revision.

    `checkpoint` is "last", "best" or "previous", `device` where the model computes (None: a GPU if there is one).
    Nothing in it is executed: only classes of vaezoo are built, and those of the packages in `trust`. Raises UserError
    for a folder or file that is not one of a run, is damaged, or needs a package that is not trusted.

    >>> import vaezoo
    >>> run = vaezoo.load("outputs/first")  # doctest: +SKIP
    >>> codes = run.encode(images)  # doctest: +SKIP
    """
    folder = where.folder if isinstance(where, Run) else open_folder(where)
    return Run(folder, checkpoint=checkpoint, device=device, trust=[trust] if isinstance(trust, str) else trust)


class Run:
    """A run folder: its model, ready to encode and decode, and what was logged, scored and drawn.

    Images are (N, C, H, W), float in [0, 1] or uint8; (N, H, W) and (N, H, W, C) are accepted, too. Codes are (N, D):
    posterior means, then, in models with categories, the probabilities of each value. Arrays give arrays and tensors
    give tensors. Any number of images is computed in batches, in evaluation mode and without gradients. `labels` (N,)
    are the classes that conditional models need. Files are read when they are asked for.
    """

    def __init__(
        self,
        folder: Path,
        *,
        checkpoint: str = "last",
        device: str | torch.device | None = None,
        trust: Sequence[str] | None = (),
    ) -> None:
        self.folder = folder
        self.checkpoint = checkpoint
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise UserError(
                f"device={device}: PyTorch {torch.__version__} finds no GPU here. Leave device out, or use cpu."
            )
        self._config = load_config(folder, trust)
        check_complete(self._config, f"run={folder}: {CONFIG}")

    def __repr__(self) -> str:
        return f"<Run {self.title!r} in {relative_to_cwd(self.folder)}: {self.state}>"

    # ---- what the folder says ----------------------------------------------------------------------------------------

    @property
    def title(self) -> str:
        """Return a name such as "betavae on digits, beta=4"."""
        return describe_run(self._config)

    @property
    def state(self) -> str:
        """Return "finished", "stopped" (it can go on), "failed", "running" or "new"."""
        return read_state(self.folder)

    @property
    def config(self) -> dict[str, Any]:
        """Return the configuration: nested dictionaries of plain values."""
        values: dict[str, Any] = OmegaConf.to_container(self._config, resolve=True)  # type: ignore[assignment]
        return values

    @property
    def scores(self) -> dict[str, float]:
        """Return the scores by name, such as "mig_hist" and "elbo"; empty where nothing was scored."""
        return read_run(self.folder).scores

    @property
    def protocols(self) -> dict[str, dict[str, Any]]:
        """Return what each metric depended on, such as rows, estimator and seed, by metric."""
        return dict(read_json(self.folder, "metrics.json").get("protocols", {}))

    @property
    def history(self) -> Any:
        """Return what was logged: a row for each "batches", a column for each term, such as "train/loss".

        It is a pandas.DataFrame where pandas is installed, otherwise a dictionary of arrays.
        """
        return make_table(join_columns(read_history(self.folder)))

    @property
    def latents(self) -> LatentTable:
        """Return the codes, factors and labels of the images that were scored.

        Raises UserError where the run was not evaluated, or latents.npz is damaged.
        """
        table = LatentTable.load(self.folder / "latents.npz")
        if table is None:
            raise UserError(f"{self.folder} has no latents.npz that can be read; vaezoo.evaluate(run) writes it.")
        return table

    @property
    def figures(self) -> list[str]:
        """Return the names of the pictures of the run."""
        return sorted({path.stem for kind in FIGURES for path in (self.folder / "figures").glob(f"*.{kind}")})

    def figure(self, name: str) -> Any:
        """Return a picture of the run, such as "traversals", as a PIL.Image. Raises UserError where it has none."""
        from PIL import Image

        for kind in FIGURES:
            path = self.folder / "figures" / f"{name}.{kind}"
            if name in self.figures and path.is_file():
                check_inside(self.folder, path)
                require_file(path)
                return Image.open(path)
        names = ", ".join(self.figures) or "none"
        raise UserError(f"{self.folder} has no picture {name}.{nearest(name, self.figures)} It has: {names}.")

    # ---- what the model computes -------------------------------------------------------------------------------------

    @cached_property
    def model(self) -> LatentModel:
        """Return the trained model, in evaluation mode, in single precision and on the device.

        Raises UserError where the run has no such checkpoint, or one of another model.
        """
        model = build_trained(self._config, self.folder, self.checkpoint).to(self.device)
        if model.recalibrates:
            calibrate(model, self._config, self.folder)
        return model.eval()

    def encode(self, images: Array, labels: Any = None) -> Array:
        """Return the codes (N, D) of images."""
        return self._compute(self.model, read_images(images, self.model.image_shape), images, labels)

    def decode(self, codes: Array, labels: Any = None) -> Array:
        """Return the images (N, C, H, W), float32 in [0, 1], of codes (N, D); also of draws from the prior (N, L)."""
        z, latent = read_numbers(codes), self.model.latent
        if z.ndim != 2 or z.shape[1] not in (latent.width, latent.dim):
            raise UserError(f"codes of shape {tuple(z.shape)}: must be (N, {latent.width}).")
        if z.shape[1] == latent.width:
            return self._compute(lambda part, u: self.model.reconstruct(latent.mode(part), u).mean, z, codes, labels)
        return self._compute(lambda part, u: self.model.decode(part, u).mean, z, codes, labels)

    def reconstruct(self, images: Array, labels: Any = None) -> Array:
        """Return the images (N, C, H, W) that are decoded from the codes of images."""
        return self.decode(self.encode(images, labels), labels)

    def traverse(
        self, image: Array, latent: int, values: Sequence[float] | None = None, label: int | None = None
    ) -> Array:
        """Return the images (V, C, H, W) of the code of one image (C, H, W), with a latent set to each of V values.

        `values` None are ten values over the range of the prior; an autoencoder has none, and needs them.
        """
        continuous = self.model.latent.width - sum(self.model.latent.categories)
        if not 0 <= latent < continuous:
            raise UserError(f"latent={latent}: the model has {continuous} continuous latents; the first is 0.")
        steps = self._usual_values() if values is None else np.asarray(values, np.float32)
        code = read_numbers(self.encode(image[None], None if label is None else [label]))
        codes = code.repeat(len(steps), 1)
        codes[:, latent] = torch.as_tensor(steps, dtype=codes.dtype)
        images = self.decode(codes, None if label is None else [label] * len(steps))
        return images.to(image.device) if isinstance(image, Tensor) else images.numpy()

    def sample(self, count: int, seed: int = 0, labels: Any = None) -> np.ndarray:
        """Return decoded draws from the prior, (count, C, H, W); in conditional models the classes take turns."""
        if self.model.conditional and labels is None:
            labels = np.arange(count) % (self.model.classes or 1)
        with own_noise(derive(seed, "prior samples")):
            z = self.model.sample_prior(count).numpy()
        return self._compute(lambda part, u: self.model.decode(part, u).mean, torch.from_numpy(z), z, labels)

    def _compute(self, function: Callable[..., Tensor], rows: Tensor, like: Array, labels: Any) -> Array:
        """Return what a function makes of batches of rows and labels, as an array or a tensor as `like` is."""
        size = 64 if self.device.type == "cpu" else 1024  # Larger batches are slower on a CPU.
        parts = rows.split(size)
        classes = self._read_labels(labels, len(rows))
        with evaluating(self.model), own_noise(derive(0, "noise of reconstructions")):
            labels_of_parts = [None] * len(parts) if classes is None else classes.to(self.device).split(size)
            results = [function(part.to(self.device), u).cpu() for part, u in zip(parts, labels_of_parts, strict=True)]
        result = torch.cat(results)
        # Tensors of inference mode could not be used in a computation with gradients, so they are copied.
        return result.clone().to(like.device) if isinstance(like, Tensor) else result.numpy()

    def _read_labels(self, labels: Any, count: int) -> Tensor | None:
        """Return the labels (N,) as the model takes them; None for one that needs none."""
        if not self.model.conditional:
            return None
        classes = self.model.classes or 0
        values = None if labels is None else np.asarray(labels)
        if values is None or values.shape != (count,) or not np.isin(values, np.arange(classes)).all():
            raise UserError(
                f"labels: {type(self.model).__name__} needs the class of each image, {count} numbers from 0 to"
                f" {classes - 1}."
            )
        return torch.as_tensor(values.astype(np.int64))

    def _usual_values(self) -> np.ndarray:
        """Return the values at which latents are shown, (V,)."""
        latent = self.model.latent
        if getattr(latent, "prior", "normal") == "uniform":
            return traversal_values("pm1")
        if latent.num_params == latent.width - sum(latent.categories):
            raise UserError("values: the codes of this model have no prior; give the values of the latent.")
        return traversal_values("prior_quantiles")


def read_numbers(values: Any) -> Tensor:
    """Return an array or a tensor as a float32 tensor on the CPU. Raises UserError for values that are not finite."""
    tensor = values.detach().cpu() if isinstance(values, Tensor) else torch.as_tensor(np.asarray(values))
    tensor = tensor.to(torch.float32)
    if not torch.isfinite(tensor).all():
        raise UserError("The input has values that are not finite.")
    return tensor


def read_images(images: Any, shape: Sequence[int]) -> Tensor:
    """Return images as a tensor (N, C, H, W), float32 in [0, 1]; `shape` is (C, H, W).

    Raises UserError for other shapes, and for values outside of [0, 1] that are not those of uint8.
    """
    pixels = read_numbers(images)
    if str(getattr(images, "dtype", "")).endswith("uint8"):
        pixels = pixels / 255
    channels, height, width = shape
    if pixels.shape[1:] == (height, width) and channels == 1:
        pixels = pixels[:, None]
    elif pixels.shape[1:] == (height, width, channels) and pixels.shape[1:] != tuple(shape):
        pixels = pixels.permute(0, 3, 1, 2)
    if pixels.shape[1:] != tuple(shape):
        raise UserError(
            f"images of shape {tuple(pixels.shape)}: must be (N, {channels}, {height}, {width}), (N, {height}, {width},"
            f" {channels})" + (f" or (N, {height}, {width})." if channels == 1 else ".")
        )
    if len(pixels) and not (pixels.min() >= 0 and pixels.max() <= 1):
        low, high = float(pixels.min()), float(pixels.max())
        raise UserError(f"images have values from {low:g} to {high:g}: must be in [0, 1], or uint8.")
    return pixels.contiguous()
