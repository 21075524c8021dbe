"""What it saves to encode each image once: stochastic scores against loops that encode what they draw.

    python benchmarks/evaluation.py [rounds=3] [share=0.002] [results=FILE] [overrides of the training configuration]

The table is every fourth position of dSprites, 46,080 images with five factors; the encoder is not trained. For each
score, in turn in the same process:

    table    the score from the latent table, all of it: draws, classifier, score
    encoder  a plain loop over the same number of votes, pairs or rows, which encodes each batch that it draws and
             reduces it. A `share` of the loop is run and its time multiplied; its classifier is not even counted

"with encoding" adds the one pass over the table to the first: that is what the score costs if it is the only one. The
last row has all scores and one pass. Numbers are medians over rounds, and the ranges of the ratios.
"""

import time
from collections.abc import Callable
from functools import partial

import interleaved
import numpy as np
import tables
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from vaezoo.config.directory import DIRECTORY
from vaezoo.evaluation.inputs import Inputs, call
from vaezoo.evaluation.table import evaluating
from vaezoo.metrics.groups import Groups

BATCH = 64  # images that the plain loops encode at once
EVERY = 4  # positions


def main() -> None:
    asked, overrides = interleaved.options({"rounds": 3, "share": 0.002})
    device = interleaved.set_up(asked.threads)
    initialize_config_dir(DIRECTORY, version_base="1.3")
    config = compose("train", ["metric=full", *overrides])
    data, model = instantiate(config.dataset), instantiate(config.model).to(device)
    data.place(device)
    factors = data.source.factors
    rows = np.flatnonzero((factors[:, -2:] % EVERY == 0).all(axis=1))
    factors = factors[rows]
    groups = Groups(factors)
    assert groups.full_product

    def encode(positions: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            images = data.batch(torch.from_numpy(rows[positions])).images
            return model.encode(images).mean.float().cpu().numpy()

    def whole_table() -> np.ndarray:
        parts = range(0, len(rows), BATCH)
        return np.concatenate([encode(np.arange(start, min(start + BATCH, len(rows)))) for start in parts])

    def pairs(rng: np.random.Generator, vectors: int) -> None:
        for _ in range(vectors):
            a, b = groups.draw_pairs(rng, rng.integers(len(groups.sizes), size=1), BATCH)
            np.abs(encode(a[0]) - encode(b[0])).mean(axis=0)

    def votes(rng: np.random.Generator, number: int, batch: int = BATCH) -> None:
        for _ in range(number):
            k = rng.integers(len(groups.sizes), size=1)
            level = rng.integers(groups.sizes[k])
            chosen = groups.draw_matching(rng, np.broadcast_to(k, batch), np.broadcast_to(level, batch))
            encode(chosen).var(axis=0, ddof=1)

    def drawn(rng: np.random.Generator, number: int) -> None:
        for start in range(0, number, BATCH):
            encode(rng.integers(len(rows), size=min(BATCH, number - start)))

    # score: (the loop, how many votes or rows its published protocol takes)
    plain: dict[str, tuple[Callable[[np.random.Generator, int], None], int]] = {
        "higgins_logistic": (pairs, 15_000),
        "higgins_svm": (pairs, 7_500),
        "factor_vae": (votes, 15_000),
        "factor_vae_paper": (partial(votes, batch=100), 800),
        "mig_hist": (drawn, 10_000),
        "modularity": (drawn, 10_000),
        "mis": (drawn, 10_000),
        "sap_discrete": (drawn, 15_000),
        "explicitness": (drawn, 15_000),
        "irs": (drawn, 10_000),
        "dci_lasso": (drawn, 15_000),
        "dci_hgb": (drawn, 15_000),
    }
    scores = instantiate(config.metric.scores)
    passes: list[float] = []
    ours: dict[str, list[float]] = {name: [] for name in plain}
    theirs: dict[str, list[float]] = {name: [] for name in plain}
    with evaluating(model):
        encode(np.arange(BATCH))
        for number in range(asked.rounds):
            began = time.perf_counter()
            codes = whole_table()
            passes.append(time.perf_counter() - began)
            narrow = np.full_like(codes, -4)  # log variances with which every latent counts
            for name, (loop, count) in plain.items():
                arrays = {"codes": codes, "means": codes, "logvars": narrow, "factors": factors}
                rng = np.random.default_rng(number)
                began = time.perf_counter()
                call(scores[name], Inputs(**arrays), rng=rng)
                ours[name].append(time.perf_counter() - began)
                some = max(BATCH if loop is drawn else 2, round(asked.share * count))
                began = time.perf_counter()
                loop(np.random.default_rng(number), some)
                theirs[name].append((time.perf_counter() - began) * count / some)
    ours["all of them"], theirs["all of them"] = (
        [sum(each) for each in zip(*seconds.values(), strict=True)] for seconds in (ours, theirs)
    )
    results = [
        interleaved.keep(
            asked.results,
            "evaluation",
            device,
            {"score": name},
            {"table": ours[name], "encoder": theirs[name], "one pass": passes},
            images=len(rows),
        )
        for name in ours
    ]
    print("\n".join(tables.evaluation(results)))


if __name__ == "__main__":
    main()
