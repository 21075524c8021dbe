"""The weights of a run: its checkpoints, read without executing anything."""

import logging
import re
from pathlib import Path
from typing import Any

from vaezoo.errors import UserError
from vaezoo.runs.folder import LAST, PREVIOUS

log = logging.getLogger(__name__)


def load_checkpoint(folder: Path, name: str = "last") -> dict[str, Any]:
    """A checkpoint on the CPU; only tensors and plain values are unpickled, whatever the file holds."""
    import torch

    path = folder / "checkpoints" / f"{name}.ckpt"
    if not path.is_file():
        known = sorted(found.stem for found in path.parent.glob("*.ckpt"))
        raise UserError(f"{path} is missing. Checkpoints of this run: {', '.join(known) or 'none'}.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{path} cannot be read, it is damaged or not a checkpoint ({reason}).") from None


def find_checkpoint(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint that can be read, and what it holds; None where a run has not left any."""
    paths = [folder / name for name in (LAST, PREVIOUS) if (folder / name).is_file()]
    for path in paths:
        try:
            return path, load_checkpoint(folder, path.stem)
        except UserError as error:
            if path == paths[-1]:
                raise
            log.warning("%s The one before it is used.", error)
    return None


def restore_weights(model: Any, checkpoint: dict[str, Any], folder: Path) -> None:
    """Put the weights into the model that the configuration describes."""
    try:
        model.load_state_dict(checkpoint["state_dict"])
    except (RuntimeError, KeyError) as error:
        reason = re.sub(r"\s+", " ", str(error))[:300]
        name = type(model).__name__
        raise UserError(f"{folder}: the checkpoint does not belong to this {name} ({reason}).") from None
