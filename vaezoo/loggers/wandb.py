"""Weights & Biases as a mirror of the run folder: it never asks, never waits and never stops a run."""

import logging
import netrc
import os
import secrets
import socket
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from pytorch_lightning.loggers import Logger

log = logging.getLogger(__name__)

PATIENCE = 20.0  # seconds that a server has to take a new run


def choose_mode(timeout: float = 3.0) -> Any:
    """WANDB_MODE where it is set; else "online" with credentials and a server that answers; else "offline".

    wandb itself waits 90 seconds for a server that it cannot reach and then fails, so the question is asked first.
    """
    if mode := os.environ.get("WANDB_MODE"):
        return mode
    url = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai"))
    if not os.environ.get("WANDB_API_KEY") and not _in_netrc(url.hostname or ""):
        return "offline"
    try:
        port = url.port or (443 if url.scheme == "https" else 80)
        socket.create_connection((url.hostname or "", port), timeout).close()
    except OSError:
        log.warning("W&B: %s does not answer; this run is recorded offline.", url.hostname)
        return "offline"
    return "online"


def _in_netrc(host: str) -> bool:
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


class WandB(Logger):
    """One W&B run per job: `name` are the job's overrides, `group` its sweep, the configuration is flattened.

    Everything is plotted against `batches`, the count of training batches. Whatever goes wrong with W&B is said once
    and the run goes on without it: the run folder holds the same values.
    """

    def __init__(self, folder: str | Path, project: str, name: str, group: str | None, entity: str | None = None):
        super().__init__()
        self.folder = Path(folder)
        self.init: dict[str, Any] = {"project": project, "name": name or None, "group": group, "entity": entity}
        self.run: Any = None
        self.broken = False

    @property
    def name(self) -> str:
        return "wandb"

    @property
    def version(self) -> str:
        return "" if self.run is None else str(self.run.id)

    def start(self, config: Mapping[str, Any]) -> None:
        """Open the run; the same one again when the folder is resumed."""
        self._guard(lambda: self._start(config))

    def _start(self, config: Mapping[str, Any]) -> None:
        import wandb

        self.folder.mkdir(parents=True, exist_ok=True)
        known = self.folder / "wandb" / "run_id"
        run_id = known.read_text().strip() if known.exists() else secrets.token_hex(4)
        resume, mode = "allow" if known.exists() else None, choose_mode()
        try:
            self.run = self._open(config, run_id, resume, mode)
        except Exception as error:
            if mode == "offline":
                raise
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            log.warning("W&B: the server does not take this run (%s); it is recorded offline.", reason)
            wandb.teardown()  # it still believes that this run is about to begin
            self.run = self._open(config, run_id, resume, "offline")
        self.run.define_metric("batches")
        self.run.define_metric("*", step_metric="batches")
        known.parent.mkdir(exist_ok=True)
        known.write_text(run_id)

    def _open(self, config: Mapping[str, Any], run_id: str, resume: Any, mode: Any) -> Any:
        import wandb

        return wandb.init(
            dir=str(self.folder),
            id=run_id,
            resume=resume,
            mode=mode,
            config=dict(config),
            reinit="finish_previous",
            # The progress bar and the closing table belong to the terminal, and init must not hold up a run.
            settings=wandb.Settings(console="off", silent=True, init_timeout=PATIENCE),
            **self.init,
        )

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if self.run is not None:
            self._guard(lambda: self.run.log({**metrics, "batches": step}))

    def log_figure(self, name: str, path: Path, step: int | None = None) -> None:
        """`path` is a PNG, or a GIF that moves there, too."""
        if self.run is not None:
            import wandb

            at = {} if step is None else {"batches": step}

            def shown() -> Any:
                return wandb.Video(str(path), format="gif") if path.suffix == ".gif" else wandb.Image(str(path))

            self._guard(lambda: self.run.log({f"figures/{name}": shown(), **at}))

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Given to `start`."""

    def close(self, exit_code: int = 0) -> str | None:
        """End the run, so that the next job of this process gets its own; the command that uploads an offline run."""
        if self.run is None:
            return None
        run, self.run = self.run, None
        self._guard(lambda: run.finish(exit_code=exit_code))
        return f"wandb sync {Path(run.dir).parent}" if run.offline else None

    def _guard(self, action: Any) -> None:
        if self.broken:
            return
        try:
            action()
        except Exception as error:
            self.broken = True
            log.warning("W&B is switched off for this run, which goes on (%s: %s).", type(error).__name__, error)
