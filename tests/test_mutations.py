"""Command lines that nobody would write: each is followed or refused with a message, and never ends in a traceback."""

import random
from functools import cache
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.conftest import MODELS, compose_train
from vaezoo.checks import check_command_line
from vaezoo.config import DIRECTORY, leaves
from vaezoo.errors import UserError

DATA = ("digits", "dsprites", "rotateddigits", "fashionmnist", "cifar10", "chairs3d", "smallnorb")
VALUES = """-1 0 1 2 3.7 -0.0 1e30 1e400 1e-320 99999999999999999999 0x10 1_000 nan inf -inf true null abc ünï -- %s
[] {} [0] [1,2] [null] [[1,2,3]] [a,[b]] {a:1} '' 'a' '../..' ${seed} ${nothing} ${model} ${oc.env:HOME}
{_target_:os.system} {_target_:vaezoo.losses.schedules.Linear,start:0,end:1,batches:0}"""


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (Path(DIRECTORY) / group).glob("*.yaml"))


@cache
def keys(*line: str) -> list[str]:
    config = OmegaConf.to_container(compose_train(*line), resolve=False)
    return [key for key, _ in leaves(config)]


def mutated(chance: random.Random) -> list[str]:
    """A model, a data set, and up to three settings of which at least one is likely to be wrong."""
    base = [f"model={chance.choice(MODELS)}", f"dataset={chance.choice(DATA)}"]
    line = list(base)
    for group in ("network", "latent", "likelihood", "trainer"):
        if chance.random() < 0.1:
            line.append(f"{group}={chance.choice(names(group))}")
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        key = chance.choice(keys(*base))
        wrong = {0: key[:-1], 1: f"+{key}", 2: key.replace(".", ".."), 3: key.upper(), 4: f"{key}.{key}"}
        line.append(f"{wrong.get(chance.randrange(25), key)}={chance.choice(VALUES.split())}")
        if chance.random() < 0.03:
            line.append(f"~{key}")
    return line


def answers(seed: int, cases: int) -> tuple[int, int]:
    """How many command lines were refused and followed; anything but a short message fails."""
    chance = random.Random(seed)
    refused = 0
    for _ in range(cases):
        line = mutated(chance)
        try:
            check_command_line("train", line)
        except UserError as error:
            refused += 1
            if not 10 < len(str(error)) < 1000:
                raise AssertionError(f"{line} is told: {error}") from error
        except BaseException as error:
            raise AssertionError(f"{line} ended in {type(error).__name__}: {error}") from error
    return refused, cases - refused


@pytest.mark.parametrize("seed", range(4))
def test_every_line_is_followed_or_refused_with_a_message(seed, in_tmp):
    refused, followed = answers(seed, 15)
    assert refused > 5
    assert refused + followed == 15
    assert not list(Path(".").iterdir()), "nothing is left behind"


@pytest.mark.slow
def test_hundreds_of_lines(in_tmp):
    refused, followed = answers(100, 400)
    assert refused > 200
    assert followed > 20
