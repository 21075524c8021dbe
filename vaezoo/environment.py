"""List the packages of a run for pip or uv: `python -m vaezoo.environment RUN > requirements.txt`."""

import json
import sys
from pathlib import Path
from typing import Any

from vaezoo.errors import UserError, report


def format_requirements(environment: dict[str, Any]) -> str:
    """Return the packages of an environment.json as a requirements file.

    vaezoo itself is a comment, and so is the origin of a package that was installed from a file of that machine. Only
    the index of PyTorch has a version such as 2.13.0+cpu: --extra-index-url https://download.pytorch.org/whl/cpu.
    """
    lines = [f"# Python {environment['python']} on {environment['platform']}"]
    if git := environment["git"]:
        changed = ", and git.diff of environment.json applied" if git["changed"] else ""
        lines.append(f"# vaezoo at commit {git['commit']}{changed}")
    for name, version in environment["packages"].items():
        origin = environment["origins"].get(name, "")
        if name == "vaezoo":
            lines.append(f"# vaezoo=={version}")
        elif origin and not origin.startswith("file:"):
            lines.append(f"{name} @ {origin}")
        else:
            lines.append(f"{name}=={version}{f'  # from {origin}' if origin else ''}")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    """Print the requirements of the run whose folder is the only argument."""
    path = Path(*arguments) / "environment.json"
    try:
        print(format_requirements(json.loads(path.read_text())), end="")
    except (OSError, ValueError, LookupError, TypeError):
        report(UserError(f"{path}: it is not there, or not that of a run. Usage: python -m vaezoo.environment RUN"))


if __name__ == "__main__":
    main(sys.argv[1:])
