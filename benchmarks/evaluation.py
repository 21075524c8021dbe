"""What it saves to encode each image once: stochastic scores against loops that encode what they draw.

    python benchmarks/evaluation.py [rounds=3] [share=0.002] [overrides of the training configuration]

The table is every fourth position of dSprites, 46,080 images with five factors; the encoder is not trained. For each
score, in turn in the same process:

    table    the score from the latent table, all of it: draws, classifier, score
    encoder  a plain loop over the same number of votes, pairs or rows, which encodes each batch that it draws and
             reduces it. A `share` of the loop is run and its time multiplied; its classifier is not even counted

"with encoding" adds the one pass over the table to the first: that is what the score costs if it is the only one. The
last row has all scores and one pass. Numbers are medians over rounds, and the range of the ratio.
"""

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from rich.console import Console
from rich.table import Table

from vaezoo.config import DIRECTORY
from vaezoo.evaluation.fixtures import call
from vaezoo.evaluation.table import evaluating
from vaezoo.metrics.groups import Groups

BATCH = 64  # images that the plain loops encode at once
EVERY = 4  # positions


def main() -> None:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:])
    rounds, share = int(options.pop("rounds", 3)), float(options.pop("share", 0.002))
    initialize_config_dir(DIRECTORY, version_base="1.3")
    config = compose("train", ["metric=full", *(f"{key}={value}" for key, value in options.items())])
    data, model = instantiate(config.dataset), instantiate(config.model)
    data.place(model.device)
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
            a, b = groups.pairs(rng, rng.integers(len(groups.sizes), size=1), BATCH)
            np.abs(encode(a[0]) - encode(b[0])).mean(axis=0)

    def votes(rng: np.random.Generator, number: int, batch: int = BATCH) -> None:
        for _ in range(number):
            k = rng.integers(len(groups.sizes), size=1)
            level = rng.integers(groups.sizes[k])
            chosen = groups.matching(rng, np.broadcast_to(k, batch), np.broadcast_to(level, batch))
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
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in plain}
    with evaluating(model):
        encode(np.arange(BATCH))
        for number in range(rounds):
            began = time.perf_counter()
            codes = whole_table()
            passes.append(time.perf_counter() - began)
            narrow = np.full_like(codes, -4)  # log variances with which every latent counts
            for name, (loop, count) in plain.items():
                arrays = {"codes": codes, "means": codes, "logvars": narrow, "factors": factors}
                given = {**arrays, "rng": np.random.default_rng(number)}
                began = time.perf_counter()
                call(scores[name], {key: partial(given.get, key) for key in given})
                ours = time.perf_counter() - began
                some = max(BATCH if loop is drawn else 2, round(share * count))
                began = time.perf_counter()
                loop(np.random.default_rng(number), some)
                seconds[name].append((ours, (time.perf_counter() - began) * count / some))
    tell(passes, seconds, len(rows))


def tell(passes: list[float], seconds: dict[str, list[tuple[float, float]]], rows: int) -> None:
    table = Table(title=f"seconds, {rows:,} images, {torch.get_num_threads()} threads", title_justify="left")
    for heading in ("score", "table", "encoder", "ratio", "with encoding"):
        table.add_column(heading, justify="left" if heading == "score" else "right")
    every = list(zip(*seconds.values(), strict=True))  # by round
    sums = [(sum(ours for ours, _ in each), sum(theirs for _, theirs in each)) for each in every]
    for name, times in {**seconds, "all of them": sums}.items():
        ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
        ratios = [loop / score for score, loop in times]
        with_pass = statistics.median(loop / (score + one) for (score, loop), one in zip(times, passes, strict=True))
        spread = f"{statistics.median(ratios):,.1f} ({min(ratios):,.1f} to {max(ratios):,.1f})"
        table.add_row(name, f"{ours:.2f}", f"{theirs:,.1f}", spread, f"{with_pass:,.2f}")
    console = Console(width=100)
    console.print(table)
    console.print(f"one encoding pass: {statistics.median(passes):.1f} s")


if __name__ == "__main__":
    main()
