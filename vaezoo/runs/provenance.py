"""environment.json: what made a run, in enough detail to make it again."""

import json
import os
import platform
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# The variables that change numbers. Others are not kept: they may hold keys.
VARIABLES: tuple[str, ...] = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED")
VARIABLES += ("CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE")


def describe_environment(seed: int, device: str, data: dict[str, Any]) -> dict[str, Any]:
    """Versions of everything installed, device, git commit, command line, seed, and which bytes the data are."""
    found = {name_of(one): one for one in reversed(list(distributions()))}  # the first of a name is the one imported
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.orig_argv),
        "seed": seed,
        "data": data,
        "device": device,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "packages": {name: one.version for name, one in sorted(found.items())},
        "origins": {name: place for name, one in sorted(found.items()) if (place := origin(one))},
        "git": git_state(),
    }


def name_of(one: Distribution) -> str:
    """Lower case with single hyphens, as package indexes compare names."""
    return re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower()


def origin(one: Distribution) -> str | None:
    """Where a package came from that came from no index, as a requirement names it; without user and password."""
    text = one.read_text("direct_url.json")
    if text is None:
        return None
    told = json.loads(text)
    parts = urlsplit(told["url"])
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    vcs = told.get("vcs_info")
    return f"{vcs['vcs']}+{url}@{vcs['commit_id']}" if vcs else url


def git_state() -> dict[str, Any] | None:
    """Commit of the checkout that this code runs from, and what was changed since, as `git apply` takes it.

    None outside of one, and where the checkout is that of something else which vaezoo is installed in.
    """

    def git(*arguments: str, okay: tuple[int, ...] = (0,)) -> str:
        command = ["git", "-c", "core.quotepath=off", *arguments]
        done = subprocess.run(command, cwd=root, capture_output=True, timeout=10)
        if done.returncode not in okay:
            raise subprocess.CalledProcessError(done.returncode, command)
        return done.stdout.decode(errors="replace")

    root = Path(__file__).parents[2]
    ours = [name for name in ("vaezoo", "conf") if (root / name).is_dir()]
    try:
        git("ls-files", "--error-unmatch", "--", "vaezoo/__init__.py")
        new = git("ls-files", "--others", "--exclude-standard", "-z", "--", *ours).split("\0")[:-1]
        patches = [git("diff", "--binary", "HEAD", "--", *ours)]
        patches += [git("diff", "--binary", "--no-index", "--", os.devnull, name, okay=(0, 1)) for name in new]
        return {"commit": git("rev-parse", "HEAD").strip(), "changed": any(patches), "diff": "".join(patches)}
    except (OSError, subprocess.SubprocessError):
        return None
