"""Encoder and decoder as ONNX: functions of images and of codes, with any number of rows.

    encoder    images (N, C, H, W) in [0, 1]                   ->  codes (N, D), and logvars (N, J) where it has them
    decoder    codes (N, D), as the encoder returns them       ->  images (N, C, H, W) in [0, 1]

The decoder includes the likelihood's mean, and a category is decoded as its most probable value where the model does
that, too. Conditional models take the classes as `labels` (N,), int64. A generator with noise takes it as `noise`
(N, L), so that the same input always has the same output.
"""

import copy
import importlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vaezoo.errors import UserError
from vaezoo.evaluation.table import evaluating
from vaezoo.models.base import LatentModel
from vaezoo.seeds import derive, own_noise

PACKAGES = ("onnx", "onnxscript", "onnxruntime", "safetensors")
OPSET = 18  # the oldest that torch.onnx writes by itself
TOLERANCE = 1e-3  # the largest difference from PyTorch, relative to the largest output where that is above 1
CHECKED = 5  # rows on which both are compared; another number than the two rows of the tracing


class Encoder(nn.Module):
    """The encoder of a model as a function of images, and of labels in conditional models."""

    def __init__(self, model: LatentModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, ...]:
        q = self.model.encode(images, labels)
        return (q.mean, q.logvar) if hasattr(q, "logvar") else (q.mean,)


class Decoder(nn.Module):
    """The decoder of a model as a function of codes, and of noise and labels where the model has them."""

    def __init__(self, model: LatentModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, codes: Tensor, noise: Tensor | None = None, labels: Tensor | None = None) -> tuple[Tensor, ...]:
        latent = self.model.latent
        z = latent.mode(codes) if noise is None else latent.mode(codes, noise)
        return (self.model.reconstruct(z, labels).mean,)


@dataclass(frozen=True)
class Network:
    """An encoder or decoder in the format ONNX."""

    content: bytes  # of the file
    inputs: dict[str, tuple[int, ...]]  # the shape of a row by name
    outputs: dict[str, tuple[int, ...]]
    difference: float  # the largest from PyTorch, over all outputs of random inputs

    def describe(self) -> str:
        """Return a line such as "images (N, 1, 8, 8) -> codes (N, 10), logvars (N, 10)"."""
        inputs, outputs = (
            ", ".join(f"{name} ({', '.join(['N', *map(str, shape)])})".replace("(N)", "(N,)") for name, shape in rows)
            for rows in (self.inputs.items(), self.outputs.items())
        )
        return f"{inputs} -> {outputs}"


def import_onnx() -> None:
    """Import the packages that write and check ONNX. Raises UserError where one of them is missing."""
    try:
        for package in PACKAGES:
            importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is missing. Install it with: pip install 'vaezoo[onnx]'") from None


def explain_missing_decoder(model: LatentModel) -> str | None:
    """Return why the decoder of a model cannot be exported; None where it can."""
    if model.draws_pixels:
        return f"{type(model).__name__} draws the pixels of an image one by one at random, which is no network"
    return None


def draw_inputs(model: LatentModel, count: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return random inputs of the encoder and of the decoder, with `count` rows each."""
    labels = {"labels": torch.arange(count) % (model.classes or 1)} if model.conditional else {}
    latent = model.latent
    noise = {"noise": torch.randn(count, latent.noise)} if hasattr(latent, "noise") else {}
    images = torch.rand(count, *model.image_shape)
    return {"images": images, **labels}, {"codes": torch.randn(count, latent.width), **noise, **labels}


def export_encoder(model: LatentModel) -> Network:
    """Return the encoder of a model. Raises UserError for one that ONNX cannot express."""
    return export(Encoder(model), "encoder", lambda count: draw_inputs(model, count)[0])


def export_decoder(model: LatentModel) -> Network:
    """Return the decoder of a model. Raises UserError for one that ONNX cannot express."""
    if reason := explain_missing_decoder(model):
        raise UserError(f"decoder: {reason}.")
    return export(Decoder(model), "decoder", lambda count: draw_inputs(model, count)[1])


def export(network: Encoder | Decoder, name: str, draw: Callable[[int], dict[str, Tensor]]) -> Network:
    """Return a network as ONNX, compared with PyTorch on the inputs that `draw` returns for a number of rows.

    Raises UserError where ONNX cannot express it or computes something else.
    """
    import_onnx()
    network = copy.deepcopy(network).cpu().eval()
    title = f"The {name} of {type(network.model).__name__}"
    names = {"encoder": ("codes", "logvars"), "decoder": ("images",)}[name]
    with evaluating(network.model), own_noise(derive(0, "inputs of exported networks")):
        example, inputs = draw(2), draw(CHECKED)
        expected = [output.numpy() for output in network(**inputs)]
    try:
        with quiet(), torch.no_grad():
            program: Any = torch.onnx.export(
                network,
                kwargs=example,
                input_names=list(example),
                output_names=list(names[: len(expected)]),
                dynamic_shapes={key: {0: torch.export.Dim.DYNAMIC} for key in example},
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        content = program.model_proto.SerializeToString()
        outputs = run_onnx(content, {key: value.numpy() for key, value in inputs.items()})
    except Exception as error:  # Exporters raise errors of many types for what they cannot express.
        reason = next(iter(str(error.__cause__ or error).strip().splitlines()), type(error).__name__)
        raise UserError(f"{title} cannot be written as ONNX: {reason}") from error
    difference = max(compare(*pair) for pair in zip(outputs, expected, strict=True))
    if not difference <= TOLERANCE:
        raise UserError(f"{title} computes something else as ONNX: its outputs differ by {difference:.1e}.")
    return Network(
        content,
        {key: tuple(value.shape[1:]) for key, value in example.items()},
        {key: value.shape[1:] for key, value in zip(names, expected, strict=False)},
        difference,
    )


def run_onnx(content: bytes, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return the outputs of an ONNX network by onnxruntime, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, dict(inputs))


def compare(values: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference of two arrays, relative to the largest expected value where that is above 1.

    NaN where one of the two has values that are not finite, or where their shapes differ.
    """
    if values.shape != expected.shape:
        return float("nan")
    return float(np.abs(values - expected).max(initial=0) / max(np.abs(expected).max(initial=0), 1))


@contextmanager
def quiet() -> Iterator[None]:
    """Hide the warnings of the exporter, which concern its own parts and packages that nobody needs here."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
