"""Commands and Python examples of the pages, and a folder with what the pages take for granted.

Every block of a page is run, in order and in one folder, but for those that NOT_RUN names with a reason. Budgets are
short: `shorten` changes each command by the same rules.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from tests.support.command_line import train_in
from tests.support.paths import ROOT
from tests.support.plugins import PROJECT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = ("python", "python3", "pip", "make", "vaezoo-", "torchrun", "srun", "hf", "wandb", "grep", ".venv")

NOT_RUN = {  # what a line or a block has in it: why it is not run
    r"\bpip (install|download|wheel)|\.venv|-m venv|^grep ": "it installs packages, which needs a network",
    r"^(hf|wandb) |hf://": "it needs an account and a network",
    r"vaezoo\.dashboard": "it needs runs that were logged to Weights & Biases",
    r"vaezoo\.data (fetch|verify)": "it needs a network, or files from there",
    r"^(torchrun|srun) |launcher=slurm": "it needs several machines or a cluster",
    r"trainer=gpu|gpu_day": "it needs a GPU",
    r"-m tests\.": "it takes minutes, and tests run what it calls",
    r"=/my/": "it names a file of the reader",
    r"^python -m vaezoo.train experiment=sparse": "it needs the package that the line above it installs",
    r"^ *\.\.\.$": "it is a sketch that leaves lines out",
}


class Block(NamedTuple):
    """A block of code in a page: its language, "" for commands, its text, and the line of text above it."""

    language: str
    text: str
    title: str

    @property
    def commands(self) -> list[tuple[str, str]]:
        """The commands in it without comments, each with the output that the page shows; none in other texts."""
        lines = re.sub(r"\s+# .*", "", re.sub(r"\\\n\s*", "", self.text)).splitlines()
        if any(line.startswith("$ ") for line in lines):
            parts = [part.partition("\n") for part in "\n".join(lines).split("$ ") if part]
            return [(line, output) for line, _, output in parts]
        return [(line, "") for line in lines if line.startswith(PROGRAMS)]


def read_blocks(text: str) -> list[Block]:
    """Return the blocks of a page in order."""
    blocks = []
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        above = text[: match.start()].rstrip().rpartition("\n")[2]
        blocks.append(Block(match[1], match[2], above))
    return blocks


def reason_not_to_run(text: str) -> str:
    """Return why a command or a block of Python is not run; "" where it is."""
    return next((reason for pattern, reason in NOT_RUN.items() if re.search(pattern, text, re.MULTILINE)), "")


def is_file(block: Block) -> bool:
    """Return whether a block shows a file, whose name stands above it; tests/end_to_end compares these files."""
    return re.fullmatch(r"`\S+\.(py|yaml|toml)`:", block.title) is not None


def shorten(line: str) -> str:
    """Return a command with a small budget.

    Two batches train a model, four continue a run; with a schedule of the learning rate, which counts batches, it is
    six hundred. Scores and figures of a training are those that the command names, or a search. Scores take few rows,
    and boosted trees one round. A search has two trials. A study that has no name is listed only, and so are targets of
    make. A request for help stays as it is.
    """
    if line.startswith("make "):
        return f"make --dry-run --directory '{ROOT}' {line.removeprefix('make ')}"
    command = re.match(r"(.*\bvaezoo[.-](train|evaluate))\b(.*)", line)
    if command is None or "--help" in line:
        return line
    start, name, rest = command.groups()
    goes_on = name == "train" and " run=" in rest
    batches = 4 if goes_on else 600 if "lr_schedule=" in rest else 2
    added = [] if goes_on else ["metric.rows=100", "metric.test_rows=20"]
    if "metric=full" in rest:
        trees = [score for score in ("dci_gbt", "dci_hgb") if f"~metric.scores.{score}" not in rest]
        added += [f"metric.scores.{score}.rounds=1" for score in trees]
    if name == "train" and not goes_on:
        added += ["callbacks.progress=false"]
        added += [] if "max_batches" in rest else [f"max_batches={batches}"]
        added += [] if re.search("metric|figure|experiment|sweep=optuna", rest) else ["metric=none", "figure=none"]
        added += [] if "logger=" in rest else ["logger=csv"]
        added += ["sweep.dry=true"] if " -m " in rest and not re.search("sweep.name=|sweep=optuna", rest) else []
    rest = re.sub(r"\bmax_batches=\d+", f"max_batches={batches}", rest)
    rest = re.sub(r"\bsweep.trials=\d+", "sweep.trials=2", rest)
    return " ".join([start, *added, rest.strip()])


def find_folder(line: str, root: Path) -> str:
    """Return a command with the name of the first run of a study in the place of FOLDER."""
    study = re.search(r"(multirun/\w+)/FOLDER", line)
    if study is None:
        return line
    first = min(path.parent.parent.name for path in (root / study[1]).glob("*/.hydra/config.yaml"))
    return line.replace("/FOLDER", f"/{first}")


def matches(output: str, shown: str) -> bool:
    """Return whether an output has the text that a page shows, wrapped differently and with parts left out by "..."."""
    parts = [re.escape(" ".join(part.split())) for part in shown.split("...")]
    return re.search(".*".join(parts), " ".join(output.split())) is not None


# ---- what the pages take for granted -----------------------------------------------------------------------------

RUN = ("model=dipvae", "dataset=rotateddigits", "dataset.count=20", "dataset.size=8", "dataset.batch_size=8")
BRIEF = ("max_batches=2", "logger=csv", "callbacks.progress=false", "metric.rows=100", "metric.test_rows=20")
SCORED = ("metric=[fast,score/sap_discrete,score/irs]", "figure=[samples,traversals]")


def make_runs(root: Path) -> None:
    """Train the runs that pages name, two of each study."""
    train_in(root / "outputs" / "2026-11-21" / "10-00-00-dipvae-dsprites", *RUN, *BRIEF, *SCORED)
    train_in(root / "outputs" / "first", "model=betavae", "dataset=digits", *BRIEF, "metric=none", "figure=none")
    for seed in (1, 2):
        train_in(root / "multirun" / "NAME" / f"FOLDER{seed}", *RUN, *BRIEF, *SCORED, f"seed={seed}")


def make_folder(folder: Path, runs: Path, page: str) -> None:
    """Write what a page takes for granted into an empty folder; it makes the others itself."""
    run = "outputs/2026-11-21/10-00-00-dipvae-dsprites"
    places = {run: run, "DIR": run, "RUN": run, "outputs/first": "outputs/first"}
    places |= {f"multirun/{name}": "multirun/NAME" for name in ("NAME", "A", "B", "first")}
    places["outputs/2026-11-21/10-00-00-betavae-digits"] = "outputs/first"
    for place, source in places.items():
        makes_it = rf'"hydra.run.dir": "{place}"|sweep.name={place.removeprefix("multirun/")} '
        if re.search(rf"(?<![\w/]){place}\b", page) and not re.search(makes_it, page):
            shutil.copytree(runs / source, folder / place)
    shutil.copytree(PROJECT / "my_zoo", folder / "my_zoo")
    (folder / "tests").symlink_to(ROOT / "tests")
    rng = np.random.default_rng(0)
    np.savez(folder / "mine.npz", images=rng.random((300, 8, 8)))
    np.savez(folder / "codes.npz", **{name: array for name, array in make_names().items() if name != "images"})
    for number in range(300):
        path = folder / "pictures" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (64, 64), np.uint8)).save(path)


def make_names() -> dict[str, np.ndarray]:
    """Return the arrays that pages name: images of 8x8, codes and factors."""
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 4, (200, 2))
    images = rng.random((200, 1, 8, 8), np.float32)
    return {"images": images, "codes": factors + rng.normal(0, 0.1, factors.shape), "factors": factors}


def list_commands(pages: list[Path]) -> Iterator[tuple[str, str]]:
    """Yield the commands of pages that are run, each with the name of its page."""
    for page in pages:
        for block in read_blocks(page.read_text(encoding="utf-8")):
            for line, _ in block.commands if not block.language else ():
                yield page.name, line
