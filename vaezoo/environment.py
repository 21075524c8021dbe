"""environment.json: what made a run, well enough to make it again."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES: tuple[str, ...] = ("vaezoo", "torch", "pytorch-lightning", "torchmetrics", "hydra-core", "omegaconf", "wandb")
PACKAGES += ("numpy", "scipy", "scikit-learn", "matplotlib")


def environment(seed: int, device: str, data: dict[str, Any]) -> dict[str, Any]:
    """Versions, device, git commit, command line, seed, and which bytes the data are."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(sys.argv),
        "seed": seed,
        "data": data,
        "device": device,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "packages": {name: installed(name) for name in PACKAGES},
        "git": git_state(),
    }


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def git_state() -> dict[str, Any] | None:
    """Commit of the checkout that this code runs from, and whether it has been changed since; None outside of one."""

    def git(*arguments: str) -> str:
        here = Path(__file__).parent
        return subprocess.run(
            ["git", *arguments], cwd=here, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain", "--", "."))}
    except (OSError, subprocess.SubprocessError):
        return None
