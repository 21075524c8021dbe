"""Build the wheel, install it into new environments, and use it away from the checkout: `make matrix`.

    python tests/matrix.py python=3.11,3.12,3.13 versions=newest,lowest torch=2.13.0 folder=.matrix

`versions=lowest` takes the oldest releases that pyproject.toml allows for what it names. `torch` pins the one package
that may bring gigabytes of CUDA. An interpreter that cannot be had is named at the end, and does not stop the others;
the exit status is 1 if any combination failed.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
QUIET = ["logger=csv", "callbacks.progress=false"]
STEPS = {
    "build": ["-c", "import vaezoo; vaezoo.build('vae', image_shape=(1, 8, 8))"],
    "train": ["-m", "vaezoo.train", "model=dipvae", "dataset=digits", "max_batches=20", "hydra.run.dir=run", *QUIET],
    "evaluate": ["-m", "vaezoo.evaluate", "run=run", "metric=full", "figure=tsne"],
    "study": [
        *("-m", "vaezoo.train", "-m", "model=betavae", "dataset=digits", "model.beta=1,4", "max_batches=20"),
        *("metric=fast", "figure=none", "sweep.name=two", *QUIET),
    ],
    "report": ["-m", "vaezoo.report", "runs=multirun/two"],
    "share": ["-m", "vaezoo.share", "run=run", "to=run.zip"],
    "list": ["-m", "vaezoo.runs"],
}
RESULTS = ["run/metrics.json", "run/figures/tsne.png", "multirun/two/report.html", "run.zip"]


def read_options(arguments: Sequence[str]) -> dict[str, str]:
    """Return the options of the command line. Raises SystemExit for another one."""
    options = {"python": "3.11,3.12,3.13", "versions": "newest,lowest", "torch": "", "folder": str(ROOT / ".matrix")}
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key not in options:
            sys.exit(f"{argument}: known options are {', '.join(options)}")
        options[key] = value
    return options


def call(line: Sequence[object], folder: Path) -> str | None:
    """Run a command in a folder; return None, or the end of what it printed where it failed."""
    ended = subprocess.run([*map(str, line)], cwd=folder, capture_output=True, text=True)
    return None if ended.returncode == 0 else "\n".join((ended.stdout + ended.stderr).splitlines()[-15:])


def try_combination(wheel: Path, python: str, versions: str, torch: str, folder: Path) -> str | None:
    """Install and use the wheel; return None, or what failed."""
    shutil.rmtree(folder, ignore_errors=True)
    (work := folder / "work").mkdir(parents=True)
    uv = [sys.executable, "-m", "uv"]
    executable = folder / "env" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if failure := call([*uv, "venv", "--quiet", "--python", python, folder / "env"], folder):
        return f"no interpreter: {failure}"
    install = [*uv, "pip", "install", "--quiet", "--python", executable, wheel]
    install += ["--resolution", "lowest-direct"] if versions == "lowest" else []
    if failure := call([*install, *([f"torch=={torch}"] if torch else [])], folder):
        return f"install: {failure}"
    for name, line in STEPS.items():
        if failure := call([executable, *line], work):
            return f"{name}: {failure}"
    missing = [path for path in RESULTS if not (work / path).is_file()]
    return f"missing: {', '.join(missing)}" if missing else None


def main() -> None:
    """Try all combinations, and print a line for each."""
    options = read_options(sys.argv[1:])
    folder = Path(options["folder"]).absolute()
    shutil.rmtree(folder / "dist", ignore_errors=True)
    build = [sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "--out-dir", folder / "dist", ROOT]
    if failure := call(build, ROOT):
        sys.exit(f"the wheel cannot be built: {failure}")
    (wheel,) = (folder / "dist").glob("*.whl")
    failures = 0
    for python in options["python"].split(","):
        for versions in options["versions"].split(","):
            began = time.monotonic()
            failure = try_combination(
                wheel, python, versions, options["torch"], folder / f"{Path(python).name}-{versions}"
            )
            failures += failure is not None
            print(f"Python {python}, {versions} versions: {'ok' if failure is None else 'FAILED'}", end=" ")
            print(f"({time.monotonic() - began:.0f} s)", *([f"\n{failure}"] if failure else []), flush=True)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
