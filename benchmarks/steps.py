"""Training steps a second: the engines of vaezoo, a loop by hand, its compiled form, and public packages.

    python benchmarks/steps.py [models=betavae] [batch_sizes=16,64,256] [engines=eager,compiled,graphed] [rounds=5]
                               [seconds=2] [steps=0] [packages=pythae,disent] [compile=1] [workers=0] [threads=0]
                               [clock=wall|cpu] [results=FILE] [overrides of the training configuration]

CONV-H on dSprites. All ways take turns in one run, each in its own process where it is a package; a turn takes about
`seconds`, or so many `steps`, the same number for all. `workers` are those of the packages' loaders.
`make bench-environments` installs the packages. What cannot be had on this machine is left out with a line of text.
"""

from functools import partial
from pathlib import Path
from typing import Any

import interleaved
import tables
import torch
from packages import Missing, Package
from training import Job, engines, workplace

DEFAULTS = {
    "models": ("betavae",),
    "batch_sizes": ("16", "64", "256"),
    "engines": ("eager", "compiled", "graphed"),
    "packages": ("pythae", "disent"),
    "seconds": 2.0,
    "steps": 0,
    "compile": 1,
    "workers": 0,
    "clock": "wall",
}
MOST_IMAGES = 65_536  # of a turn: pythae keeps them as floats, 1 GB
AGREE = 1e-4  # relative


def main() -> None:
    asked, overrides = interleaved.options(DEFAULTS)
    device = interleaved.set_up(asked.threads)
    others: list[Package] = []
    for name in ("bare", *asked.packages):
        try:
            others.append(Package(name, torch.get_num_threads()))
        except Missing as missing:
            print(missing)
    data = None
    with workplace() as (folder, interrupts):
        for model in asked.models:
            for batch_size in asked.batch_sizes:
                line = [f"model={model}", "dataset=dsprites", f"dataset.batch_size={batch_size}", *overrides]
                job = Job(line, folder, interrupts, data)
                data = job.data
                ways, facts = prepared(asked, job, folder, others)
                for name, engine in engines(asked.engines, line, folder, interrupts, data, asked.clock):
                    ways[name] = partial(engine.train, facts["steps"], asked.clock)
                case = {"model": model, "batch_size": int(batch_size), "clock": asked.clock}
                seconds = interleaved.take_turns(ways, asked.rounds)
                result = interleaved.keep(asked.results, "steps", device, case, seconds, **facts)
                print("\n".join(tables.steps([result])), flush=True)
    for other in others:
        other.close()


def prepared(asked: Any, job: Job, folder: Path, others: list[Package]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The ways of other processes, each of which says the seconds of a step; what there is to know about them."""
    own = {"clock": asked.clock, "compile": asked.compile, "workers": asked.workers}
    steps = asked.steps or affordable(asked, job, folder, others[0], own)
    told = {**job.told(folder, steps), **own}
    ways: dict[str, Any] = {}
    versions: dict[str, str] = {}
    found: dict[str, dict[str, Any]] = {}
    for other in others:
        if not other.trains(told["model"]):
            continue
        try:
            facts = other.prepare(told)
            refuse_another(other.name, facts, found.get("bare", facts))
            for way in facts["ways"]:
                other.train(way)
                ways[way] = lambda other=other, way=way: other.train(way) / steps
        except Missing as missing:
            print(missing)
        else:
            found[other.name] = {key: facts[key] for key in ("parameters", "rec", "kl") if key in facts}
            if "version" in facts:
                versions |= {other.name: facts["version"], f"torch of {other.name}": facts["torch"]}
    return ways, {"versions": versions, "steps": steps, "same": found}


def affordable(asked: Any, job: Job, folder: Path, bare: Package, own: dict[str, Any]) -> int:
    """Steps that fill a turn."""
    bare.prepare({**job.told(folder, 4), **own, "compile": 0})
    most = MOST_IMAGES // job.rows()
    return max(4, min(most, round(asked.seconds * 4 / bare.train("bare"))))


def refuse_another(name: str, facts: dict[str, Any], expected: dict[str, Any]) -> None:
    """What is compared is the same: the size of the networks, and the loss of the same batch by the same weights."""
    for key in ("parameters", "rec", "kl"):
        if key in facts and key in expected and abs(facts[key] - expected[key]) > AGREE * abs(expected[key]):
            raise Missing(f"{name} trains something else: {key} is {facts[key]}, by hand {expected[key]}")


if __name__ == "__main__":
    main()
