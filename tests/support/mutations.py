"""Planted faults, and whether the fast tests catch them.

    python -m tests.support.mutations                     all faults, in a copy of this checkout
    python -m tests.support.mutations schedule escape     those whose description has one of these words
    python -m tests.support.mutations --checkout OTHER    the same faults in another checkout, to compare two suites

Each fault is one replacement in one file, and only the tests that are named beside it run. In the end they all run
once without a fault. "error" also means that the text of a fault is not in the code any more: describe it anew.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.paths import ROOT


class Fault(NamedTuple):
    """A mistake that somebody could make in `file`, and the tests that should notice it."""

    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


TRAIN = "end_to_end/test_train.py"
FAULTS = [
    # ---- losses and models
    Fault(
        "sign: the VAE maximises the KL",
        "vaezoo/models/vae.py",
        'terms["rec"] + terms["kl"]',
        'terms["rec"] - terms["kl"]',
        ("models/test_models.py",),
    ),
    Fault(
        "weight: half the usual ratio of DIP-VAE's diagonal",
        "vaezoo/models/dipvae.py",
        'ratio = 10 if kind == "i" else 1',
        'ratio = 5 if kind == "i" else 1',
        ("models/test_models.py",),
    ),
    Fault(
        "reduction: the KL is a mean over latents",
        "vaezoo/losses/elbo.py",
        "kl = kl_per_dim.sum()",
        "kl = kl_per_dim.mean()",
        ("models/test_models.py",),
    ),
    Fault(
        "constant: the KL of a Gaussian lacks its -1",
        "vaezoo/latents/gaussian.py",
        "- self.logvar - 1)",
        "- self.logvar)",
        ("latents/test_latents.py",),
    ),
    Fault(
        "scale: a latent's log variance is taken for that of its deviation",
        "vaezoo/latents/gaussian.py",
        "torch.exp(0.5 * self.logvar) * eps",
        "torch.exp(self.logvar) * eps",
        ("latents/test_latents.py", "models/test_models.py"),
    ),
    Fault(
        "detach: the features of real images are moved towards reconstructions",
        "vaezoo/models/vaegan.py",
        "real.detach()",
        "real",
        ("models/test_vaegan.py",),
    ),
    Fault(
        "state: DEC's target follows the present networks, not those of the last refresh",
        "vaezoo/models/dec.py",
        'past["clusters"](self.latent.posterior(past["encoder"](x)).mean)',
        "self.clusters(self.encode(x).mean)",
        ("models/test_dec.py",),
    ),
    Fault(
        "gate: the wrong player of VAE/GAN sits out",
        "vaezoo/models/vaegan.py",
        '{"dis" if is_low else "dec"}',
        '{"dec" if is_low else "dis"}',
        ("models/test_vaegan.py",),
    ),
    Fault(
        "player: FactorVAE's VAE owns the discriminator, too",
        "vaezoo/models/factorvae.py",
        '{"vae": [self.encoder, self.decoder], ',
        '{"vae": [self.encoder, self.decoder, self.discriminator], ',
        ("models/test_factorvae.py", "models/test_models.py"),
    ),
    Fault(
        "permutation: FactorVAE permutes images instead of latents",
        "vaezoo/models/factorvae.py",
        "return z.gather(0, torch.rand_like(z).argsort(dim=0))",
        "return z[torch.randperm(len(z))]",
        ("models/test_factorvae.py",),
    ),
    Fault(
        "momentum: a player's gradients are set to zero instead of removed",
        "vaezoo/models/adversarial.py",
        "optimizer.zero_grad(set_to_none=True)",
        "optimizer.zero_grad(set_to_none=False)",
        ("models/test_models.py", "models/test_players.py", "models/test_vaegan.py"),
    ),
    Fault(
        "statistics: every player teaches all batch norms",
        "vaezoo/models/adversarial.py",
        "if module not in own)",
        "if module not in own and not own)",
        ("models/test_models.py", "models/test_players.py", "models/test_dec.py"),
    ),
    Fault(
        "clip: the adversarial players are clipped at twice the norm",
        "vaezoo/models/adversarial.py",
        "self.gradient_clip, self.gradient_norm)",
        "2 * self.gradient_clip, self.gradient_norm)",
        ("models/test_models.py",),
    ),
    Fault(
        "clip: each entry is clipped instead of the norm",
        "vaezoo/models/base.py",
        "nn.utils.clip_grads_with_norm_(parameters_of(optimizer), self.gradient_clip, gradient_norm(optimizer))",
        "nn.utils.clip_grad_value_(parameters_of(optimizer), self.gradient_clip)",
        ("training/test_engines.py::test_gradients_are_clipped_to_their_norm",),
    ),
    Fault(
        "estimator: mss_uniform weighs the others by n instead of n - 1",
        "vaezoo/losses/total_correlation.py",
        "others = (n - 1).log() - log_n - math.log(m)",
        "others = n.log() - log_n - math.log(m)",
        ("losses/test_total_correlation.py",),
    ),
    Fault(
        "bias: MMD compares points with themselves",
        "vaezoo/losses/mmd.py",
        "return (k - torch.diag(k.diagonal())).sum() / (count * (count - 1))",
        "return k.mean()",
        ("models/test_capacity_mmd.py",),
    ),
    Fault(
        "off by one: a schedule ends a batch early",
        "vaezoo/losses/schedules.py",
        "batches.clamp(max=self.batches)",
        "batches.clamp(max=self.batches - 1)",
        ("losses/test_schedules.py::test_known_values", "losses/test_schedules.py::test_it_begins_and_ends_exactly"),
    ),
    Fault(
        "sign: the saturating generator maximises its loss",
        "vaezoo/losses/gan.py",
        "return -F.softplus(fake).mean()",
        "return F.softplus(fake).mean()",
        ("losses/test_adversarial_losses.py",),
    ),
    Fault(
        "off by one: a critic compares the layer before",
        "vaezoo/networks/critic.py",
        "= condition, features, centred",
        "= condition, max(1, features - 1), centred",
        ("networks/test_adversarial_networks.py",),
    ),
    # ---- training
    Fault(
        "resume: DIP-VAE forgets its running second moments",
        "vaezoo/models/dipvae.py",
        'self.register_buffer("running_second", torch.zeros(dim, dim))',
        'self.register_buffer("running_second", torch.zeros(dim, dim), persistent=False)',
        (TRAIN,),
    ),
    Fault(
        "resume: DEC forgets the frequencies of its clusters",
        "vaezoo/models/dec.py",
        'self.register_buffer("frequencies", torch.ones(clusters))',
        'self.register_buffer("frequencies", torch.ones(clusters), persistent=False)',
        ("models/test_dec.py",),
    ),
    Fault(
        "resume: an interval of metrics.csv forgets the batches before the cut",
        "vaezoo/training/terms.py",
        "        if self.train.sums is None or not self.train.weight:\n            return {}\n",
        "        if self.train.sums is not None or not self.train.weight:\n            return {}\n",
        (TRAIN,),
    ),
    Fault(
        "seed: every epoch has the order of the first",
        "vaezoo/data/batches.py",
        'derive(seed, "order", epoch)',
        'derive(seed, "order", 0)',
        ("data/test_data_module.py",),
    ),
    Fault(
        "seed: the noise of a batch depends on what was drawn before",
        "vaezoo/training/clock.py",
        "        if self.on_cpu:  #",
        "        if self.on_cpu and self.batches:\n            return\n        if self.on_cpu:  #",
        (TRAIN,),
    ),
    Fault(
        "best: best.ckpt holds the highest loss",
        "vaezoo/training/checkpoints.py",
        "if value < self.best:",
        "if value > self.best or self.best == math.inf:",
        ("training/test_checkpoints.py",),
    ),
    # ---- data
    Fault(
        "rows: the official split trains on a test image",
        "vaezoo/data/splits.py",
        "left &= order < count - test_images",
        "left &= order <= count - test_images",
        ("data/test_data_module.py", "data/sources/test_mnist.py"),
    ),
    Fault(
        "lock: every process has a lock of its own",
        "vaezoo/data/files/lock.py",
        'folder / ".lock"',
        'folder / f".lock{os.getpid()}"',
        ("data/files/test_fetch.py",),
    ),
    Fault(
        "message: the key is missing",
        "vaezoo/data/splits.py",
        'f"dataset.val_images={val_images} leaves',
        'f"{val_images} leaves',
        ("data/test_data_module.py",),
    ),
    # ---- scores
    Fault(
        "column: the gap of MIG and SAP ignores the last code",
        "vaezoo/metrics/entropies.py",
        "ranked = np.sort(table, axis=0)",
        "ranked = np.sort(table[:-1] if len(table) > 2 else table, axis=0)",
        ("metrics/test_metrics.py",),
    ),
    Fault(
        "rows: factors are not renumbered, so levels that never occur count",
        "vaezoo/metrics/groups.py",
        "np.array([np.count_nonzero(counts[k]) for k in columns])",
        "np.array([len(counts[k]) for k in columns])",
        ("metrics/test_metrics.py",),
    ),
    Fault(
        "weights: the disentanglement of DCI is not weighted by importance",
        "vaezoo/metrics/dci.py",
        "np.average(values, weights=weights if weights.sum() > 0 else None)",
        "np.average(values)",
        ("metrics/test_predictability.py",),
    ),
    # ---- files, studies, the page
    Fault(
        "lock: a distributed run whose command was killed counts as stopped",
        "vaezoo/runs/folder.py",
        "for lock in (LOCK, WORKER))",
        "for lock in (LOCK,))",
        ("studies/test_study.py::test_states",),
    ),
    Fault(
        "identity: runs with other splits are the same",
        "vaezoo/config/identity.py",
        '*("dataset.download", ',
        '*("dataset.split_seed", "dataset.download", ',
        ("studies/test_study.py::test_what_changes_the_weights_changes_the_identity",),
    ),
    Fault(
        "half a file: what is written appears before it is whole",
        "vaezoo/runs/files.py",
        "        write(partial)\n        sync(partial)\n        partial.replace(path)\n",
        "        write(path)\n",
        ("training/test_faults.py::test_a_run_killed_at_each_of_its_writes_ends_as_one_that_was_not",),
    ),
    Fault(
        "escape: a name on the page is read as HTML",
        "vaezoo/reporting/html_page.py",
        "autoescape=True",
        "autoescape=False",
        ("reporting/test_report.py",),
    ),
]


def find_tests(folder: Path, names: Sequence[str]) -> list[str]:
    """Return the paths of tests below `folder`; other checkouts may have their files in other folders."""
    tests = []
    for name in names:
        file, _, test = name.partition("::")
        places = [folder / file] if (folder / file).is_file() else sorted(folder.rglob(Path(file).name))
        tests += [f"{path}::{test}" if test else str(path) for path in places[:1]]
    return tests


def copy_checkout(checkout: Path, copy: Path) -> None:
    """Copy a checkout without its environment, its history and its runs."""
    for name in ("vaezoo", "hydra_plugins", "conf", "papers", "benchmarks", "docs", "tests"):
        shutil.copytree(checkout / name, copy / name)
    for path in checkout.glob("*.*"):
        if path.is_file():
            shutil.copy(path, copy / path.name)
    shutil.copy(checkout / "Makefile", copy / "Makefile")


def run_tests(copy: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Run these tests but the slow ones; return the status of pytest and the name of the first test that failed."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    options = ["-x", "-q", "-m", "not slow", "-p", "no:xdist", "-p", "no:cacheprovider", "--tb=no"]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    failures = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return done.returncode, failures[0].partition(" - ")[0] if failures else ""


def plant(fault: Fault, copy: Path) -> str:
    """Plant a fault in the copy, run its tests, remove it, and return "caught", "MISSED" or "error" with details."""
    file = copy / fault.file
    text = file.read_text() if file.is_file() else ""
    if text.count(fault.old) != 1:
        return f"error   {fault.what}: {fault.file} has its text {text.count(fault.old)} times"
    began = time.monotonic()
    file.write_text(text.replace(fault.old, fault.new))
    status, failure = run_tests(copy, find_tests(copy / "tests", fault.tests))
    file.write_text(text)
    verdict = {0: "MISSED", 1: "caught"}.get(status, "error")
    return f"{verdict:<8}{fault.what}  ({time.monotonic() - began:.0f} s) {failure}"


def main() -> int:
    """Plant the faults one after the other; return 1 if one is not caught, or if a test fails without any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="words of descriptions; none: all faults")
    parser.add_argument("--checkout", type=Path, default=ROOT, help="this checkout, or another one")
    arguments = parser.parse_args()
    faults = [fault for fault in FAULTS if any(word in fault.what for word in arguments.words or [""])]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        copy_checkout(arguments.checkout, copy)
        verdicts = []
        for fault in faults:
            verdicts.append(plant(fault, copy))
            print(verdicts[-1], flush=True)
        tests = {test for fault in faults for test in find_tests(copy / "tests", fault.tests)}
        status, failure = run_tests(copy, sorted(tests))
    caught = sum(verdict.startswith("caught") for verdict in verdicts)
    print(f"{caught} of {len(faults)} faults are caught; without a fault", failure or "all of these tests pass")
    return int(caught < len(faults) or status != 0)


if __name__ == "__main__":
    sys.exit(main())
