"""Train the models of the gallery, pack them into docs/gallery, and write docs/gallery.md: `make gallery`.

Trainings that are finished are not repeated; the runs lie in build/gallery. `make docs` makes the pages of sliders from
the packed files.
"""

import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from math import isfinite, nan
from pathlib import Path

import vaezoo
from vaezoo.evaluation.closing_table import ARROWS
from vaezoo.explore import describe
from vaezoo.exporting.slider_page import write_page
from vaezoo.metrics.directions import REPEATED
from vaezoo.reporting.reading import read_run

ROOT = Path(__file__).resolve().parents[1]
PACKED = ROOT / "docs" / "gallery"  # part of the repository
RUNS = ROOT / "build" / "gallery" / "runs"  # not part of it
PICTURES = ("traversals", "class_grid")  # those that a run has are shown
SMALL = ("dataset.size=16", "network.encoder.hidden=[200]", "network.decoder.hidden=[200]")

# The options of each model, and what to look at.
MODELS = {
    "dipvae": (
        (*SMALL, "latent.dim=6", "max_batches=5000"),
        ("All six latents are in use, and each changes strokes in one part of the image."),
    ),
    "betavae": (
        (*SMALL, "latent.dim=6", "model.beta=2", "max_batches=5000"),
        ("Look at z1, which bends the stroke, and at z0, which opens a ring below."),
    ),
    "betatcvae": (
        (*SMALL, "latent.dim=6", "model.beta=3", "max_batches=5000"),
        "z1 bends the stroke, z2 turns it from a ring into a line.",
    ),
    "factorvae": (
        (*SMALL, "latent.dim=6", "model.discriminator.hidden=[200,200,200]", "max_batches=4000"),
        "Like betavae: z2 closes a ring at the top, z0 opens one below.",
    ),
    "jointvae": (
        (
            *(*SMALL, "latent.dim=4", "latent.categories=[10]", "model.gamma_z=30", "model.gamma_c=30"),
            *("model.capacity_z={end: 6, batches: 3000}", "model.capacity_c={end: 2.2, batches: 3000}"),
            "max_batches=5000",
        ),
        (
            "The second picture sets the category and keeps the rest: some categories are rings, "
            "others strokes. They are not the ten digits one to one."
        ),
    ),
    "infogan": (
        ("network=mlpgan", "dataset.batch_size=128", "max_batches=2000"),
        (
            "Categories were found without labels: in the second picture several columns are one "
            "digit, 9 a zero, 5 a three, 8 a six. z0 and z1 change how it is written. Its reconstruction is what the "
            "generator makes of the code that Q reads, and may be another digit."
        ),
    ),
    "vaegan": (
        ("network=alimlp", "dataset.batch_size=128", "max_batches=2000"),
        (
            "Ten latents with 0.05 to 0.32 nats each; z2 bends the lower end. Images are sharp, but a reconstruction "
            "may be another digit."
        ),
    ),
    "cvae": (
        (*SMALL, "latent.dim=3", "max_batches=5000"),
        "The class is given, so the latents keep the digit and change how it is written.",
    ),
}

HEAD = """\
# A gallery of trained models

Each model was trained on two CPU cores by the command below its name, in half a minute to three, with seed 0. The data
are scikit-learn's 1,797 digits of 8x8 pixels. `dataset.size=16` repeats each pixel, so that the reconstruction weighs
four times as much beside the KL. The budgets are small: the pictures show what latents of each kind of model do, and
the scores do not say which model is better.

The packed files are part of the repository: `vaezoo.load("docs/gallery/dipvae.zip")` [opens one](sharing.md). Their
[pages of sliders](explore.md) are part of the site that `make docs` makes: each holds 4 MB of program. `make gallery`
trains the models again, packs them and writes this page. On two cores of one kind it gives the same weights bit for
bit; another number of threads adds in another order.

Each row of a picture of traversals moves one latent over the range of its prior; the others stay as they are. *Noise*
and *constant codes* are the scores of codes without information, the floors of a score; a dash stands for none. The
scores with floors are easy: codes without information have their best values. Digits have no ground-truth factors, so
that scores of disentanglement such as the MIG are missing.
"""


def list_training(name: str) -> list[str]:
    """Return the command that trains a model of the gallery."""
    return ["python", "-m", "vaezoo.train", f"model={name}", "dataset=digits", *MODELS[name][0]]


def describe_training(name: str) -> str:
    """Return the command that trains a model of the gallery, as a shell takes it."""
    return shlex.join(list_training(name))


def run_command(*arguments: str) -> None:
    """Run a command of vaezoo from the root of the repository. Raises CalledProcessError where it fails."""
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True)


def train_and_pack(name: str) -> None:
    """Train a model, unless its run is finished, and pack it."""
    folder = RUNS / name
    line = list_training(name)[1:]
    run_command(*line, "logger=csv", "callbacks.progress=false", f"hydra.run.dir={folder}")
    run_command("-m", "vaezoo.share", f"run={folder}", f"to={PACKED / name}.zip", "latents=true")


def write_sliders(folder: Path) -> None:
    """Write the pages of sliders of the packed models into a folder; pages that are newer than their model are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for packed in sorted(PACKED.glob("*.zip")):
        page = folder / f"{packed.stem}.html"
        if not page.is_file() or page.stat().st_mtime < packed.stat().st_mtime:
            page.write_text(write_page([describe(vaezoo.load(packed))]), encoding="utf-8")


def write_gallery(names: Sequence[str]) -> str:
    """Return docs/gallery.md; the pictures are written beside the packed files."""
    return "\n".join([HEAD, *(line for name in names for line in write_section(name))])


def write_section(name: str) -> Iterator[str]:
    """Yield the lines about one model."""
    run = vaezoo.load(PACKED / f"{name}.zip")
    yield f"## {name}\n"
    if text := MODELS[name][1]:
        yield f"{text}\n"
    for picture in PICTURES:
        if picture in run.figures:
            path = PACKED / f"{name}_{picture}.png"
            run.figure(picture).save(path, optimize=True)
            yield f"![{picture} of {name}](gallery/{path.name})\n"
    size = (PACKED / f"{name}.zip").stat().st_size / 1e6
    yield f"- trained: `{describe_training(name)}`"
    yield f"- budget: {int(run.model.batches):,} batches of {run.config['dataset']['batch_size']} images"
    yield f"- packed: [{name}.zip](gallery/{name}.zip), {size:.1f} MB"
    yield f"- sliders: `python -m vaezoo.explore run=docs/gallery/{name}.zip out={name}.html`\n"
    yield from write_scores(run.folder)


def write_scores(folder: Path) -> Iterator[str]:
    """Yield a table of the scores that have a direction, with their floors where they have some."""
    run = read_run(folder)
    yield "| score | value | noise | constant codes |\n|---|---|---|---|"
    for score, way in run.directions.items():
        if score in run.scores and way.group != REPEATED:
            floor = run.floors.get(score, {})
            cells = [f"{floor[kind]:.3g}" if isfinite(floor.get(kind, nan)) else "–" for kind in ("noise", "constant")]
            yield f"| {ARROWS[way.better]} {score} | {run.scores[score]:.4g} | {' | '.join(cells)} |"
    yield ""


def main(names: Sequence[str]) -> None:
    """Make the gallery; where models are named, train and pack these alone."""
    PACKED.mkdir(exist_ok=True)
    for name in names or MODELS:
        train_and_pack(name)
    packed = [name for name in MODELS if (PACKED / f"{name}.zip").is_file()]
    (ROOT / "docs" / "gallery.md").write_text(write_gallery(packed), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
