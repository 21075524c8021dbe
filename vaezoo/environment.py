"""List the packages of a run for pip or uv: `python -m vaezoo.environment RUN > requirements.txt`."""

import json
import sys
from pathlib import Path
from typing import Any

from vaezoo.errors import UserError, report


def requirements(told: dict[str, Any]) -> str:
    """The packages of an environment as a requirements file; vaezoo itself is a comment, as are files of one machine.

    A version such as 2.13.0+cpu is in the index of PyTorch alone: --extra-index-url https://download.pytorch.org/whl/cpu.
    """
    lines = [f"# Python {told['python']} on {told['platform']}"]
    if git := told["git"]:
        changed = ", and git.diff of environment.json applied" if git["changed"] else ""
        lines.append(f"# vaezoo at commit {git['commit']}{changed}")
    for name, version in told["packages"].items():
        place = told["origins"].get(name, "")
        if name == "vaezoo":
            lines.append(f"# vaezoo=={version}")
        elif place and not place.startswith("file:"):
            lines.append(f"{name} @ {place}")
        else:
            lines.append(f"{name}=={version}{f'  # from {place}' if place else ''}")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    kept = Path(*arguments) / "environment.json"
    try:
        print(requirements(json.loads(kept.read_text())), end="")
    except (OSError, ValueError, LookupError, TypeError):
        report(UserError(f"{kept}: it is not there, or not that of a run. Usage: python -m vaezoo.environment RUN"))


if __name__ == "__main__":
    main(sys.argv[1:])
