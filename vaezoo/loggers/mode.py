"""The mode of W&B: online if its server can be reached, which takes a few seconds and asks no question."""

import logging
import netrc
import os
import socket
from typing import Any
from urllib.parse import ParseResult, urlparse

log = logging.getLogger(__name__)


def choose_mode(timeout: float = 3.0) -> Any:
    """Return WANDB_MODE if it is set, "online" if there are credentials and the server answers, else "offline".

    The server is tried here for `timeout` seconds because `wandb.init` would wait 90 seconds for it and then fail.
    """
    if mode := os.environ.get("WANDB_MODE"):
        return mode
    url = server_url()
    if not has_credentials():
        return "offline"
    try:
        port = url.port or (443 if url.scheme == "https" else 80)
        socket.create_connection((url.hostname or "", port), timeout).close()
    except OSError:
        log.warning("W&B: %s does not answer; this run is recorded offline.", url.hostname)
        return "offline"
    return "online"


def server_url() -> ParseResult:
    """Return the address of the W&B server."""
    return urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai"))


def has_credentials() -> bool:
    """Return whether there is a key for the server, in the environment or by `wandb login`."""
    return bool(os.environ.get("WANDB_API_KEY")) or _is_in_netrc(server_url().hostname or "")


def _is_in_netrc(host: str) -> bool:
    """Return whether the .netrc file holds credentials for this host."""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
