"""The smoke size of every experiment of a paper, on small stand-ins of the data sets that may not be here.

Not whether a claim holds, which needs the small size, but whether its runs answer it. Of jobs that differ in numbers
alone, such as beta, the first is run.
"""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import initialize_config_dir

from papers import records
from papers.claims import Claim
from papers.experiments import Experiment, Keys
from papers.library import EXPERIMENTS
from tests.support.papers import grids
from vaezoo.config.compose import Composer
from vaezoo.config.directory import DIRECTORY
from vaezoo.data.images import ImageArrays
from vaezoo.data.sources.celeba import ATTRIBUTES
from vaezoo.reporting.reading import read_runs
from vaezoo.studies import study
from vaezoo.training.run import train

QUICK = (
    *("figure=none", "callbacks.progress=false", "callbacks.samples=false", "sweep.over=[seed]"),
    *("dataset.batch_size=8", "dataset.val_images=8", "max_batches=2", "val_every=2"),
    *("metric.test_rows=80", "callbacks.checkpoints.monitor=null"),
)
SET = {line.partition("=")[0] for line in QUICK} | {"seed"}


def noise(name: str, shape: tuple[int, int, int], count: int, **known) -> ImageArrays:
    images = np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)
    return ImageArrays(name=name, images=images, shape=shape, identity={"origin": "made by the tests"}, **known)


def grid(name: str, **sizes: int) -> ImageArrays:
    """All combinations of factors."""
    factors = np.indices(tuple(sizes.values())).reshape(len(sizes), -1).T
    known = {"factors": factors, "factor_names": tuple(sizes), "factor_sizes": tuple(sizes.values())}
    return noise(name, (1, 64, 64), len(factors), test_images=80, **known)


def dsprites(**_) -> ImageArrays:
    return grid("dsprites", shape=3, scale=4, orientation=5, posX=3, posY=3)


def chairs(**_) -> ImageArrays:
    return grid("chairs3d", model=20, elevation=2, azimuth=10)


def clothes(**_) -> ImageArrays:
    labels = np.arange(1000) % 10
    return noise("fashionmnist", (1, 28, 28), 1000, labels=labels, label_names=tuple("ABCDEFGHIJ"), test_images=150)


def faces(**_) -> ImageArrays:
    has = np.random.default_rng(1).integers(0, 2, (400, 40))
    known = {"factor_names": ATTRIBUTES, "factor_sizes": (2,) * 40, "test_images": 100}
    return noise("celeba", (3, 64, 64), 400, factors=has, **known)


@pytest.fixture
def stand_ins(tmp_path, monkeypatch):
    monkeypatch.setenv("VAEZOO_DATA", str(tmp_path / "data"))
    for place, stand_in in {
        "dsprites.dsprites": dsprites,
        "chairs3d.chairs3d": chairs,
        "mnist.fashionmnist": clothes,
        "celeba.celeba": faces,
    }.items():
        monkeypatch.setattr(f"vaezoo.data.sources.{place}", stand_in)
    monkeypatch.setattr("vaezoo.evaluation.features.BATCHES", 4)


def run_each_kind(experiment: Experiment, root: Path) -> None:
    """One after the other, without Hydra's part, which takes as long as the rest."""
    line = (f"experiment={experiment.name}/smoke", "seed=0", *QUICK)
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        compose = Composer("train")
        for swept in grids(experiment.name, "smoke"):
            jobs = study.list_combinations(
                [*line, *(f"{key}={value}" for key, value in swept.items() if key not in SET)]
            )
            first = {re.sub(r"=[\d.e\[\],-]+(?= |$)", "", " ".join(job)): job for job in reversed(jobs)}
            for job in first.values():
                config = compose(job)
                config.folder = str(root / str(len(list(root.glob("*")))))
                if "cluster_cnn" in config.metric.scores:
                    config.metric.scores.cluster_cnn.sure = 0  # of an untrained model no cluster is
                train(config)


def kind(keys: Keys) -> frozenset[tuple[str, Any]]:
    """What a setting is besides its numbers."""
    return frozenset((key, value) for key, value in keys.items() if isinstance(value, str | bool | None))


# One experiment of each paper and of each kind of score; the slow tests run all.
FAST = ("kumar_tradeoff", "kumar_faces", "chivukula_digits", "pastrana_betas", "yebors_clusters")


@pytest.mark.parametrize(
    "experiment",
    [
        pytest.param(experiment, id=name, marks=[] if name in FAST else [pytest.mark.slow])
        for name, experiment in EXPERIMENTS.items()
    ],
)
def test_runs_of_the_smoke_size_answer_every_claim_of_the_small_one(experiment, tmp_path, stand_ins):
    run_each_kind(experiment, tmp_path)
    found, left_out = records.collect_records(experiment, read_runs([tmp_path]))
    assert found
    assert not left_out
    assert {one.about["batches"] for one in found} == {"2"}
    kinds = {name: kind(keys) for name, keys in experiment.settings.items()}
    kinds |= {row.name: kinds[row.among[0]] for row in experiment.best_rows}
    known = {(kinds[one.setting], name) for one in found for name, value in one.scores.items() if math.isfinite(value)}
    asked = [claim for claim in experiment.select_claims("small") if isinstance(claim, Claim)]
    assert not [need for claim in asked for need in claim.quantity.needs if (kinds[need[0]], need[1]) not in known]
