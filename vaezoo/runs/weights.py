"""Read the weights of a run without executing anything that its files hold, and restore them.

A run has checkpoints; a shared run has its weights alone, as safetensors.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vaezoo.config.identity import hash_weights, split_source
from vaezoo.errors import UserError
from vaezoo.runs.folder import LAST, PREVIOUS, WEIGHTS, is_shared
from vaezoo.runs.limits import check_archive, check_inside, require_file

log = logging.getLogger(__name__)

BATCH_NORMS = Path("batch_norm.safetensors")  # statistics that were estimated again on real images, of a shared run

# What a checkpoint of Lightning holds, of which a run that goes on needs all.
CONTENT = {
    "state_dict": dict,
    "optimizer_states": list,
    "lr_schedulers": list,
    "callbacks": dict,
    "epoch": int,
    "global_step": int,
    "pytorch-lightning_version": str,
}

# Buffers of a model that count what a run has done, or say how large its data are.
COUNTERS = ("batches", "train_images")

# The states of optimisers of torch that have the shape of their parameter.
SHAPED = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "square_avg", "grad_avg", "momentum_buffer", "sum"}
SHAPED |= {"acc_delta"}


def load_checkpoint(folder: Path, name: str = "last") -> dict[str, Any]:
    """Return a checkpoint of the run, its tensors on the CPU.

    Only tensors and plain values are unpickled, whatever the file holds. Raises UserError if the file is missing or
    cannot be read.
    """
    import torch

    path = folder / "checkpoints" / f"{name}.ckpt"
    if not path.is_file():
        names = sorted(checkpoint.stem for checkpoint in path.parent.glob("*.ckpt"))
        raise UserError(f"{path} is missing. Checkpoints of this run: {', '.join(names) or 'none'}.")
    try:
        check_archive(path)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        wrong = [key for key, kind in CONTENT.items() if not isinstance(checkpoint[key], kind)]
    except UserError:
        raise
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{path} cannot be read, it is damaged or not a checkpoint ({reason}).") from None
    if not re.match(r"\d+\.\d+", str(checkpoint["pytorch-lightning_version"])):
        wrong.append("pytorch-lightning_version")
    if wrong:
        raise UserError(f"{path} is damaged: {', '.join(wrong)} in it is not what a checkpoint has there.")
    return checkpoint


def load_weights(folder: Path, checkpoint: str = "last") -> dict[str, Any]:
    """Return the tensors of the model by name, on the CPU: of a checkpoint, or those that a shared run holds.

    Raises UserError if they are missing or cannot be read.
    """
    if not is_shared(folder):
        weights: dict[str, Any] = load_checkpoint(folder, checkpoint)["state_dict"]
        return weights
    if checkpoint != "last":
        raise UserError(f"checkpoint={checkpoint}: {folder} is a shared run, which has no other weights than the last.")
    return read_tensors(folder, WEIGHTS)


def read_tensors(folder: Path, name: Path) -> dict[str, Any]:
    """Return the tensors in a file of safetensors by name. Raises UserError where it cannot be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / name
    check_inside(folder, path)
    require_file(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{path} cannot be read, it is damaged ({error}).") from None


def find_checkpoint(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return the path and the content of the newest checkpoint that can be read; None if the run has none.

    Raises UserError if there are checkpoints and none of them can be read.
    """
    paths = [folder / name for name in (LAST, PREVIOUS) if (folder / name).is_file()]
    for path in paths:
        try:
            return path, load_checkpoint(folder, path.stem)
        except UserError as error:
            if path == paths[-1]:
                raise
            log.warning("%s The one before it is used.", error)
    return None


def restore_weights(model: Any, weights: Mapping[str, Any], folder: Path) -> None:
    """Load weights by name into the model. Raises UserError if they do not fit it."""
    try:
        model.load_state_dict(weights)
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        reason = re.sub(r"\s+", " ", str(error))[:300]
        name = type(model).__name__
        raise UserError(f"{folder}: the weights do not belong to this {name} ({reason}).") from None


def begin_with_weights(model: Any, source: str) -> None:
    """Load the trained weights of another run, `init_from`, into a model; its counters of batches and images stay.

    Raises UserError if the weights are not those that the run has recorded, or do not fit the model.
    """
    folder, weights_hash = split_source(source)
    if hash_weights(folder) != weights_hash:
        raise UserError(
            f"init_from={folder}: its weights have changed since this run was begun. Begin a new run, or put back the"
            f" checkpoint that began with the SHA-256 {weights_hash}."
        )
    weights = load_checkpoint(folder)["state_dict"]
    own = model.state_dict()
    compare_weights(own, weights, type(model).__name__, folder)
    model.load_state_dict({**weights, **{name: own[name] for name in COUNTERS}})


def compare_weights(own: Mapping[str, Any], weights: Mapping[str, Any], model: str, folder: Path) -> None:
    """Raise UserError, which names the first differences, unless two states have the same names and shapes."""
    differences = []
    for name in [*own, *(name for name in weights if name not in own)]:
        before, now = (tuple(getattr(state.get(name), "shape", ())) for state in (weights, own))
        if name not in weights:
            differences.append(f"{name} is missing there")
        elif name not in own:
            differences.append(f"{name} is there alone")
        elif before != now:
            differences.append(f"{name} is {before} there and {now} here")
    if differences:
        more = f", and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise UserError(
            f"init_from={folder}: its weights do not fit this {model}: {'; '.join(differences[:3])}{more}. Choose the"
            " model, network, latents and data of that run, or another run."
        )


def check_optimizers(optimizers: Sequence[Any], checkpoint: dict[str, Any], folder: Path) -> None:
    """Raise UserError unless the states in a checkpoint belong to these optimisers.

    A state of another shape would be read and written beyond its memory, and one that is missing would begin anew.
    """
    states = checkpoint["optimizer_states"]
    try:
        fits = len(states) == len(optimizers) and all(map(belongs_to, optimizers, states))
    except (LookupError, TypeError, AttributeError, ValueError):
        fits = False
    if not fits:
        raise UserError(
            f"{folder}: the states of the optimisers in its checkpoint do not belong to this model. It is damaged, or"
            " was changed; another checkpoint of the run may be whole."
        )


def belongs_to(optimizer: Any, state: dict[str, Any]) -> bool:
    """Return whether a saved state has the groups, the numbers and the shapes of an optimiser."""
    for group, saved in zip(optimizer.param_groups, state["param_groups"], strict=True):
        numbers = [name for name, value in group.items() if type(value) is float]
        if any(isinstance(saved[name], str) or float(saved[name]) < 0 for name in numbers):
            return False
        for parameter, number in zip(group["params"], saved["params"], strict=True):
            entries = state["state"].get(number, {})
            for name, value in entries.items():
                if name in SHAPED and value is not None and not has_shape(value, parameter.shape):
                    return False
            if "step" in entries and not float(entries["step"]) >= 0:
                return False
    return True


def has_shape(value: Any, shape: Any) -> bool:
    """Return whether a value is a tensor of real numbers of this shape, each with memory of its own."""
    stored = value.untyped_storage().nbytes() // value.element_size()
    return bool(value.shape == shape and value.is_floating_point() and stored >= value.numel())
