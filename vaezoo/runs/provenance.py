"""Describe the environment of a run, for environment.json, in enough detail to make the run again.

`python -m vaezoo.runs.provenance RUN > requirements.txt` lists the packages of a run for pip or uv.
"""

import hashlib
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vaezoo.config.secrets import hide_secrets
from vaezoo.errors import UserError, make_printable, report
from vaezoo.runs.files import to_plain
from vaezoo.runs.limits import UNREADABLE, read_bytes

# Only the variables that can change numbers are recorded, because others may hold secret keys.
VARIABLES: tuple[str, ...] = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED")
VARIABLES += ("CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE")

# What a package of a requirements file may be. pip would take another line for an option, such as an index of packages.
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
ORIGIN = re.compile(r"((git|hg|svn|bzr)\+)?(https?|ssh|file)://[^\s;#\\]+")


def describe_environment(seed: int, device: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return what the numbers of a run depend on: versions of packages, device, git commit, command line, seed, data.

    `data` identifies the bytes of the data set.
    """
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(hide_secrets(sys.orig_argv)),
        "seed": seed,
        "data": data,
        "device": device,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        **list_packages(),
        "git": read_git_state(),
    }


@cache
def list_packages() -> dict[str, dict[str, str]]:
    """Return versions and origins of the installed packages, read once in a process since it takes half a second."""
    # A package that is installed twice is imported from the first place, so that one must overwrite the others.
    packages = {normalise_name(package): package for package in reversed(list(distributions()))}
    return {
        "packages": {name: package.version for name, package in sorted(packages.items())},
        "origins": {name: origin for name, package in sorted(packages.items()) if (origin := find_origin(package))},
    }


def read_data_identity(folder: Path) -> dict[str, Any] | None:
    """Return the identity of the data in environment.json; None without the file. Raises UserError if it is damaged."""
    content = read_bytes(folder, "environment.json")
    try:
        return None if content is None else dict(json.loads(content)["data"])
    except (ValueError, LookupError, TypeError) as damage:
        raise UserError(
            f"{folder / 'environment.json'} is damaged ({damage}), so nothing says which data this run began with."
            " Without this file, the run goes on with the data of now."
        ) from None


def check_data(folder: Path, data: Mapping[str, Any]) -> None:
    """Raise UserError if these are not the data that the run in the folder began with, as environment.json says.

    `data` is their identity. Their file may lie in another place and have another name.
    """
    environment = folder / "environment.json"
    began_with = read_data_identity(folder)
    if began_with is None:
        return
    before, now = select_identity(began_with), select_identity(data)
    if "listing_sha256" in before:
        # Version 0.1.0 knew a folder of pictures by the times of its files, which say nothing about a copy.
        del before["listing_sha256"]
        now.pop("sha256", None)
    if before != now:
        keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        changes = ", ".join(f"{key} was {before.get(key)} and is {now.get(key)}" for key in keys)
        raise UserError(
            f"The data are not those that this run began with: {changes}. Put the former back, name their place with"
            f" dataset.path=..., or begin a new run; without {environment} this one goes on with the new data."
        )


def select_identity(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of the identity of data that tells their bytes, as JSON knows it: all but the name of a file."""
    return {key: value for key, value in to_plain(data).items() if key != "name"}


def hash_data(data: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits of the identity of data, the key of what was computed from them."""
    return hashlib.sha256(json.dumps(select_identity(data), sort_keys=True).encode()).hexdigest()[:16]


def normalise_name(package: Distribution) -> str:
    """Return the name of a package in lower case with single hyphens, the form in which indexes compare names."""
    return re.sub(r"[-_.]+", "-", package.metadata["Name"]).lower()


def find_origin(package: Distribution) -> str | None:
    """Return the URL that a package was installed from, as a requirement names it, without user and password.

    None if the package came from an index.
    """
    text = package.read_text("direct_url.json")
    if text is None:
        return None
    source = json.loads(text)
    parts = urlsplit(source["url"])
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    vcs = source.get("vcs_info")
    return f"{vcs['vcs']}+{url}@{vcs['commit_id']}" if vcs else url


def read_git_state() -> dict[str, Any] | None:
    """Return the commit of the checkout that this code runs from, and the changes since, as a patch for `git apply`.

    None if the code runs from no checkout, or is installed within the checkout of another project.
    """

    def git(*arguments: str, okay: tuple[int, ...] = (0,)) -> str:
        command = ["git", "-c", "core.quotepath=off", *arguments]
        process = subprocess.run(command, cwd=root, capture_output=True, timeout=10)
        if process.returncode not in okay:
            raise subprocess.CalledProcessError(process.returncode, command)
        return process.stdout.decode(errors="replace")

    root = Path(__file__).parents[2]
    folders = [name for name in ("vaezoo", "conf") if (root / name).is_dir()]
    try:
        git("ls-files", "--error-unmatch", "--", "vaezoo/__init__.py")
        untracked = git("ls-files", "--others", "--exclude-standard", "-z", "--", *folders).split("\0")[:-1]
        patches = [git("diff", "--binary", "HEAD", "--", *folders)]
        patches += [git("diff", "--binary", "--no-index", "--", os.devnull, name, okay=(0, 1)) for name in untracked]
        return {"commit": git("rev-parse", "HEAD").strip(), "changed": any(patches), "diff": "".join(patches)}
    except (OSError, subprocess.SubprocessError):
        return None


def format_requirements(environment: dict[str, Any]) -> str:
    """Return the packages of an environment.json as a requirements file.

    vaezoo itself is a comment, and so is the origin of a package that was installed from a file of that machine. Only
    the index of PyTorch has a version such as 2.13.0+cpu: --extra-index-url https://download.pytorch.org/whl/cpu.
    Raises UserError for a package whose name, version or origin could be anything else for pip.
    """
    lines = [f"# Python {environment['python']} on {environment['platform']}"]
    if git := environment["git"]:
        changed = ", and git.diff of environment.json applied" if git["changed"] else ""
        lines.append(f"# vaezoo at commit {git['commit']}{changed}")
    lines = [" ".join(make_printable(line).split()) for line in lines]
    for name, version in environment["packages"].items():
        origin = environment["origins"].get(name, "")
        for text, form in ((name, NAME), (version, VERSION), (origin, ORIGIN)):
            if text and not form.fullmatch(text):
                raise UserError(f"environment.json names a package that is none: {text[:100]!r}. Nothing is listed.")
        if name == "vaezoo":
            lines.append(f"# vaezoo=={version}")
        elif origin and not origin.startswith("file:"):
            lines.append(f"{name} @ {origin}")
        else:
            lines.append(f"{name}=={version}{f'  # from {origin}' if origin else ''}")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    """Print the requirements of the run whose folder is the only argument."""
    folder = Path(*arguments)
    path = folder / "environment.json"
    try:
        print(format_requirements(json.loads(read_bytes(folder, "environment.json") or b"")), end="")
    except UserError as error:
        report(error)
    except UNREADABLE:
        report(UserError(f"{path}: it is not there, or not that of a run. Usage: python -m vaezoo.runs.provenance RUN"))


if __name__ == "__main__":
    main(sys.argv[1:])
