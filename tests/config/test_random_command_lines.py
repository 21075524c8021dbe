"""Command lines that nobody would write: each is followed or refused with a message, and never ends in a traceback."""

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from tests.support.configuration import MODELS
from vaezoo.config.command_line import check_command_line
from vaezoo.config.directory import DIRECTORY
from vaezoo.config.overrides import leaves
from vaezoo.data import __main__
from vaezoo.errors import UserError

DATA = ("digits", "dsprites", "rotateddigits", "fashionmnist", "cifar10", "chairs3d", "smallnorb")
VALUES = """-1 0 1 2 3.7 -0.0 1e30 1e400 1e-320 99999999999999999999 0x10 1_000 nan inf -inf true null abc ünï -- %s
[] {} [0] [1,2] [null] [[1,2,3]] [a,[b]] {a:1} '' 'a' '../..' ${seed} ${nothing} ${model} ${oc.env:HOME}
{_target_:os.system} {_target_:vaezoo.losses.schedules.Linear,start:0,end:1,batches:0}"""


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (Path(DIRECTORY) / group).glob("*.yaml"))


@cache
def keys(config_name: str, *line: str) -> list[str]:
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        config = OmegaConf.to_container(compose(config_name, list(line)), resolve=False)
    return [key for key, _ in leaves(config)]


def setting(chance: random.Random, known: list[str]) -> str:
    """A key, sometimes misspelt, and a value that is likely to be wrong."""
    key = chance.choice(known)
    wrong = {0: key[:-1], 1: f"+{key}", 2: key.replace(".", ".."), 3: key.upper(), 4: f"{key}.{key}"}
    return f"{wrong.get(chance.randrange(25), key)}={chance.choice(VALUES.split())}"


def training(chance: random.Random) -> list[str]:
    """A model, a data set, and up to three settings of which at least one is likely to be wrong."""
    base = [f"model={chance.choice(MODELS)}", f"dataset={chance.choice(DATA)}"]
    line = list(base)
    for group in ("network", "latent", "likelihood", "trainer"):
        if chance.random() < 0.1:
            line.append(f"{group}={chance.choice(names(group))}")
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        line.append(setting(chance, keys("train", *base)))
        if chance.random() < 0.03:
            line.append(f"~{chance.choice(keys('train', *base))}")
    return line


def evaluation(chance: random.Random) -> list[str]:
    """What to score, how, and a setting or two."""
    line = [
        chance.choice(["run=.", "codes=.", "run=. codes=.", "run=gone", ""]),
        f"metric={chance.choice(names('metric'))}",
    ]
    line += [f"+metric/score={chance.choice(names('metric/score'))}"] * (chance.random() < 0.2)
    line += [setting(chance, keys("evaluate")) for _ in range(chance.choice((0, 1, 1, 2)))]
    return " ".join(line).split()


def report(chance: random.Random) -> list[str]:
    line = [chance.choice(["runs=.", "runs=.", "runs=gone", "run=.", "-m runs=.,gone", ""])]
    line += [
        setting(chance, [*keys("report", "runs=."), "hydra.run.dir", "metric.rows"])
        for _ in range(chance.choice((0, 1, 2)))
    ]
    return " ".join(line).split()


def data(chance: random.Random) -> list[str]:
    """Names of data sets, with options."""
    words = []
    for _ in range(chance.choice((1, 1, 2))):
        name = chance.choice(DATA)
        known = [key.removeprefix("dataset.") for key in keys("train", f"dataset={name}") if key.startswith("dataset.")]
        words += [name if chance.random() < 0.9 else name[1:]]
        words += [setting(chance, known) for _ in range(chance.choice((0, 1, 1, 2)))]
    return words if chance.random() < 0.95 else words[::-1]


# A command line, and what decides whether it is followed.
COMMANDS: dict[str, tuple[Callable[[random.Random], list[str]], Callable[[list[str]], object]]] = {
    "train": (training, lambda line: check_command_line("train", line)),
    "evaluate": (evaluation, lambda line: check_command_line("evaluate", line)),
    "report": (report, lambda line: check_command_line("report", line)),
    "data": (data, lambda words: list(__main__.parse_words(words))),
}


def answers(entry: str, seed: int, cases: int) -> tuple[int, int]:
    """How many command lines were refused and followed; anything but a short message fails."""
    chance = random.Random(seed)
    mutated, judge = COMMANDS[entry]
    refused = 0
    for _ in range(cases):
        line = mutated(chance)
        try:
            judge(line)
        except UserError as error:
            refused += 1
            if not 10 < len(str(error)) < 1000:
                raise AssertionError(f"{line} is told: {error}") from error
        except BaseException as error:
            raise AssertionError(f"{line} ended in {type(error).__name__}: {error}") from error
    return refused, cases - refused


@pytest.mark.parametrize(
    ("entry", "seed", "cases"),
    [("train", 0, 6), ("evaluate", 0, 4), ("report", 0, 4), ("data", 0, 3)],
)
def test_every_line_is_followed_or_refused_with_a_message(entry, seed, cases, in_tmp):
    refused, followed = answers(entry, seed, cases)
    assert refused > cases // 3
    assert refused + followed == cases
    assert not list(Path(".").iterdir()), "nothing is left behind"


@pytest.mark.parametrize(
    ("entry", "line", "complaint"),
    [
        ("train", ["seed=${seed}"], r"^seed=\$\{seed\}: it refers to itself.$"),
        ("train", ["latent.dim=${latent}"], r"^latent.dim=\$\{latent\}: it refers to itself.$"),
        ("train", ["model=dec", "latent.dim=${model}"], r"^latent.dim=\$\{model\}: it refers to itself.$"),
        ("data", ["dsprites", "path=${dataset}"], r"^dataset.path=\$\{dataset\}: it refers to itself.$"),
        ("data", ["dsprites", "source._target_=%s"], "^dataset.source._target_=%s: this is no dotted name"),
    ],
)
def test_what_has_once_ended_in_a_traceback(entry, line, complaint):
    _, judge = COMMANDS[entry]
    with pytest.raises(UserError, match=complaint):
        judge(line)


@pytest.mark.slow
@pytest.mark.parametrize(("entry", "cases"), [("train", 400), ("evaluate", 150), ("report", 150), ("data", 150)])
def test_hundreds_of_lines(entry, cases, in_tmp):
    refused, followed = answers(entry, 100, cases)
    assert refused > cases // 3
    assert followed > cases // 20
    assert not list(Path(".").iterdir()), "nothing is left behind"
