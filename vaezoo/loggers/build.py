"""Build the loggers of a run, and say where they log to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from pytorch_lightning.loggers import Logger

from vaezoo.errors import UserError
from vaezoo.loggers.base import RunLogger
from vaezoo.loggers.mirror import Mirror


def build_loggers(nodes: Mapping[str, Any], folder: Path) -> dict[str, RunLogger]:
    """Return the loggers of the configuration by their keys.

    Raises UserError for a logger that cannot be built, and for a class that is no logger of Lightning.
    """
    return {key: build_logger(key, node, folder) for key, node in nodes.items()}


def build_logger(key: str, node: Mapping[str, Any], folder: Path) -> RunLogger:
    """Return the logger of a node; one that vaezoo does not know is wrapped, and its node may have `pictures`, too."""
    is_ours = str(node["_target_"]).startswith("vaezoo.")
    options = dict(node) if is_ours else {name: value for name, value in node.items() if name != "pictures"}
    try:
        logger = instantiate(options)
    except Exception as error:  # The constructor of a user's own class may raise anything.
        cause = error.__cause__ or error
        if isinstance(cause, UserError):
            raise cause from None
        reason = next(iter(str(cause).splitlines()), "") or type(cause).__name__
        raise UserError(f"logger.{key}: {node['_target_']} cannot be built ({reason}).") from error
    if isinstance(logger, RunLogger):
        return logger
    if not isinstance(logger, Logger):
        raise UserError(f"logger.{key}: {node['_target_']} is no logger of Lightning.")
    return Mirror(logger, folder, key, node.get("pictures"))


def describe_loggers(loggers: Mapping[str, RunLogger]) -> str:
    """Return where a run logs to, such as "metrics.csv, W&B (project vaezoo)"."""
    return ", ".join(logger.describe() for logger in loggers.values()) or "nothing is logged (logger=none)"
