"""Record what the commands do today, and compare it after a change of structure that must not change a result.

    python -m tests.support.net record before.json        (in the checkout before the change)
    python -m tests.support.net compare before.json       (in the checkout after it)

Everything is asked through the commands, since their form outlives any layout of the code: 20 training steps of every
model on digits (all terms of each batch, and the sum of all weights), the scores of a fixed table of codes, the
resolved configuration of every experiment, and the message of some sixty slips on the command line. Numbers must agree
bit for bit on the same machine. Takes about five minutes on two cores.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path.cwd()
MODELS = sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml"))
PAIRED = [name for name in MODELS if name in ("adagvae", "adamlvae")]  # see pairs of images, which need factors
SMALL = ["dataset=digits", "dataset.batch_size=16", "dataset.val_images=40", "max_batches=20", "log_every=1"]
SMALL += ["val_every=10", "logger=csv", "metric=none", "figure=none", "callbacks.progress=false"]
SMALL += ["trainer.accelerator=cpu", "callbacks.samples=false"]
# What needs more than the defaults: a second phase, running moments, a gate that closes, batch normalisation, shared Q.
VARIANTS = {
    "dipvae running": ["model=dipvae", "model.cov=running"],
    "dipvae ii": ["model=dipvae", "model.kind=ii"],
    "infovae imq": ["model=infovae", "model.kernel=imq"],
    "gmvae samples": ["model=gmvae", "model.samples=2"],
    "dec clustering": ["model=dec", "model.pretrain_batches=5", "model.refresh=2"],
    "vaegan gated": ["model=vaegan", "model.margin=0.01", "model.equilibrium=0.68"],
    "vaegan micro": ["model=vaegan", "model.micro_batches=2"],
    "vae joint": ["model=vae", "model.classifier=joint"],
    "vae clipped": ["model=vae", "model.gradient_clip=0.1"],
    "betavae scheduled": [
        "model=betavae",
        "+schedule@model.beta=linear",
        "model.beta.start=0",
        "model.beta.end=4",
        "model.beta.batches=10",
    ],
    "infogan batch norm": ["model=infogan", "network=infogan"],
    "infogan apart": ["model=infogan", "model.shared=false"],
    "infovaegan conv": ["model=infovaegan", "network=infovaegan32", "dataset.size=32"],
    "bigan batch norm": ["model=bigan", "network=bigan"],
    "asvae larger": ["model=asvae", "dataset.size=16"],
}

SLIPS = """
model=dipva
model=dipvae dataset=dsprits
model.beta=-1 model=betavae
model.beta=abc model=betavae
model=dipvae model.kind=iii
model=dipvae model.decay=1.5
model=dipvae model.lambda_od=null
model=dipvae model.lambda_d=-2
model=dipvae model.cov=both
model=dipvae model.grad_rescale=1
latent.dim=0
latent.dim=2.5
latent.dim=-3
latent=mixed model=vae latent.categories=[1]
latent=mixed model=dipvae
latent=mixed model=jointvae latent.temperature=0
model=cvae dataset=dsprites
model=mivae dataset=digits latent=mixed latent.categories=[7]
model=aaecluster latent.categories=[]
model=bigan latent=mixed
model=catgan latent=gaussian
model=vae model.classifier=joint dataset=dsprites
model=vae model.classifier=hot dataset=digits
model=asvae likelihood=bernoulli model.sample_pixels=true
model=infovae model.alpha=2
model=infovae model.bandwidth=0
model=factorvae dataset=digits dataset.val_images=41
model=betatcvae dataset.batch_size=1
model=dec model.clusters=1
model=dec model.dropout=1
model=vaegan model.r=1
model=vaegan model.w=2
model=vaegan model.gen_loss=hinge
model=vaegan model.optimizers.dis.lr=0
model=infogan model.recognition.units=0
model=guidedvae latent.dim=2
model=pixelgan model.pixelcnn.first=4
network=convh dataset=digits
network=mlpk network.encoder.hidden=[]
network=mlpk network.encoder.activation=gelu
network.encoder.channels=32
likelihood=gaussian likelihood.variance=0
likelihood.variance=1
optimizer.lr=0
optimizer.eps=0
seed=-1
seed=abc
max_batches=0
max_epochs=0
log_every=0
trainer.precision=8
trainer.devices=2
trainer=ddp trainer.devices=3
trainer.engine=graphed trainer.accelerator=cpu
trainer.gradient_clip_val=1
dataset=celeba dataset.crop=center100
dataset=celeba dataset.size=48
dataset=arrays
dataset=digits dataset.split=official
dataset=dsprites dataset.split=half
dataset=dsprites dataset.where='shape ! 2'
dataset=dsprites dataset.correlate={factors:[scale],sigma:1}
dataset.batchsize=3
+model.foo=1
model=betavae +schedule@model.bta=linear
model=betavae +schedule@model.beta=linear model.beta.batches=0
metric=fasst
+metric/score=mig
figure.images=0
figure.traversal=pm2
callbacks.checkpoints.minutes=0
launcher.jobs=0
sweep=beta
"""


def environment() -> dict[str, str]:
    """Return the environment of the commands: quiet, one thread, this checkout before any installed package."""
    return {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        "OMP_NUM_THREADS": "1",
        "WANDB_MODE": "offline",
        "PYTHONPATH": str(ROOT),
    }


def run_command(command: str, words: list[str], place: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", f"vaezoo.{command}", *words],
        cwd=place,
        env=environment(),
        capture_output=True,
        text=True,
    )


def train_all(place: Path) -> Iterator[tuple[str, Any]]:
    """Yield the terms of every batch and the sum of the weights of each model and variant."""
    import torch

    studies = {"models": [f"model={','.join(name for name in MODELS if name not in PAIRED)}"], **VARIANTS}
    studies |= {name: [f"model={name}", "dataset=rotateddigits", "dataset.size=8"] for name in PAIRED}

    def train(item: tuple[str, list[str]]) -> tuple[str, subprocess.CompletedProcess]:
        name, words = item
        folder = place / name.replace(" ", "_")
        place_of = ["-m", f"hydra.sweep.dir={folder}"] if name == "models" else [f"hydra.run.dir={folder}"]
        words = [*words, *place_of]
        return name, run_command("train", [*SMALL, *words], place)

    with ThreadPoolExecutor(2) as pool:
        for name, done in pool.map(train, studies.items()):
            if done.returncode:
                yield f"train {name} failed", (done.stdout + done.stderr)[-2000:]
    for path in sorted(place.rglob("checkpoints/last.ckpt")):
        folder = path.parents[1]
        state = torch.load(path, weights_only=True)["state_dict"]
        weights = sum(value.double().sum().item() for value in state.values())
        # In the folder of the study each run lies in model-NAME-IDENTITY.
        name = folder.name if folder.parent == place else folder.name.split("-")[1]
        yield f"train {name}", {"terms": without_speed(folder / "metrics.csv"), "weights": weights}


def without_speed(path: Path) -> list[list[str]]:
    """Return the columns of a metrics.csv, sorted by name, but for the speed."""
    import csv

    columns = zip(*csv.reader(path.open(encoding="utf-8")), strict=True)
    return sorted(list(column) for column in columns if not column[0].startswith("perf/"))


def score_table(place: Path) -> Iterator[tuple[str, Any]]:
    """Yield the scores of a fixed table of codes, with factors and labels."""
    import numpy as np

    rng = np.random.default_rng(0)
    factors = np.stack(np.unravel_index(np.arange(600), (3, 4, 5, 10)), axis=1)
    codes = np.concatenate([factors @ rng.normal(size=(4, 4)) * 0.3, rng.normal(size=(600, 2))], axis=1)
    codes = (codes + 0.1 * rng.normal(size=codes.shape)).astype(np.float32)
    table = {"codes": codes, "factors": factors, "factor_names": np.array(["a", "b", "c", "d"])}
    np.savez(place / "codes.npz", **table, labels=factors[:, 2], logvars=np.full_like(codes, -2.0))
    words = ["codes=codes.npz", "metric=full", "metric.seeds=1", "out=scores", "~metric.scores.dci_gbt"]
    done = run_command("evaluate", words, place)
    if done.returncode:
        yield "scores failed", (done.stdout + done.stderr)[-2000:]
        return
    scores = json.loads((place / "scores" / "metrics.json").read_text())
    yield "scores", scores["scores"]
    yield "skipped", scores.get("skipped")


def score_run(place: Path) -> Iterator[tuple[str, Any]]:
    """Yield all scores of a trained run with a posterior, factors and labels."""
    words = [
        "model=betavae",
        "dataset=rotateddigits",
        "dataset.angles=6",
        "max_batches=40",
        "logger=csv",
        "figure=none",
    ]
    words += ["callbacks.progress=false", "trainer.accelerator=cpu", "hydra.run.dir=scored", "metric.rows=600"]
    words += ["metric.test_rows=100", "metric.seeds=1"]
    done = run_command("train", words, place)
    path = place / "scored" / "metrics.json"
    if done.returncode or not path.is_file():
        yield "scored run failed", (done.stdout + done.stderr)[-2000:]
        return
    yield "scored run", json.loads(path.read_text())["scores"]


def compose_experiments(place: Path) -> Iterator[tuple[str, Any]]:
    """Yield the configuration of every experiment, as `--cfg job` prints it, and of the bare command."""
    root = ROOT / "conf" / "experiment"
    names = sorted(str(path.relative_to(root).with_suffix("")) for path in root.rglob("*.yaml"))
    names = [name for name in names if not name.startswith("base/")]

    def compose(name: str) -> str:
        words = ["--cfg", "job"] if name == "null" else ["--cfg", "job", f"experiment={name}", "sweep=null"]
        return run_command("train", words, place).stdout

    with ThreadPoolExecutor(2) as pool:
        for name, text in zip(["null", *names], pool.map(compose, ["null", *names]), strict=True):
            yield f"experiment {name}", text.splitlines()


def try_slips(place: Path) -> Iterator[tuple[str, Any]]:
    """Yield the message and the status of each slip."""
    import shlex

    lines = [line for line in SLIPS.strip().splitlines() if line]

    def refuse(line: str) -> list[Any]:
        done = run_command("train", shlex.split(line), place)
        return [done.returncode, *done.stderr.strip().splitlines()[-3:]]

    with ThreadPoolExecutor(2) as pool:
        for line, answer in zip(lines, pool.map(refuse, lines), strict=True):
            yield f"slip {line}", answer


PARTS = {
    "train": train_all,
    "table": score_table,
    "run": score_run,
    "experiments": compose_experiments,
    "slips": try_slips,
}


def record(names: list[str]) -> dict[str, Any]:
    results: dict[str, Any] = {}
    for name in names or list(PARTS):
        with TemporaryDirectory() as folder:
            results.update(PARTS[name](Path(folder)))
        print(f"{name}: {len(results)} results", file=sys.stderr)
    return results


def differences(before: Any, after: Any, place: str) -> Iterator[str]:
    """Yield a line for each value that is not the same."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from differences(before.get(key), after.get(key), f"{place} / {key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for i, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from differences(old, new, f"{place} [{i}]")
    elif isinstance(before, list) and isinstance(after, list):
        gone, new = ([line for line in a if line not in b] for a, b in ((before, after), (after, before)))
        yield f"{place}: {len(gone)} gone {gone[:6]}, {len(new)} new {new[:6]}"
    elif before != after:
        yield f"{place}: {before!r} -> {after!r}"


def main(action: str, file: str, *names: str) -> None:
    results = record(list(names))
    if action == "record":
        Path(file).write_text(json.dumps(results, indent=1), encoding="utf-8")
        return
    before = {
        key: value
        for key, value in json.loads(Path(file).read_text(encoding="utf-8")).items()
        if key in results or not names
    }
    lines = list(differences(before, json.loads(json.dumps(results)), ""))
    print("\n".join(lines) or f"all {len(results)} results are the same")
    sys.exit(bool(lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
