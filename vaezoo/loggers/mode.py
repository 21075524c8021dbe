"""Whether W&B can be reached, found out in seconds and without asking anybody."""

import logging
import netrc
import os
import socket
from typing import Any
from urllib.parse import urlparse

log = logging.getLogger(__name__)


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
