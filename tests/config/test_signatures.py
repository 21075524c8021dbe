"""Signatures and facts are read from source text as Python itself would give them, and values are checked by them."""

import inspect
import typing
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import get_object
from omegaconf import OmegaConf

from tests.support.configuration import compose_train
from vaezoo.config import requirements
from vaezoo.config.directory import DIRECTORY
from vaezoo.config.overrides import branches
from vaezoo.config.signatures import REQUIRED, Signature, read_facts, read_signature
from vaezoo.config.type_rules import rule_of_type
from vaezoo.config.values import check_config
from vaezoo.errors import UserError
from vaezoo.ranges import (
    Convolutions,
    Count,
    FractionWeight,
    Natural,
    Odd,
    Positive,
    Probability,
    Share,
    ShareWeight,
    Sizes,
    Weight,
)


def targets() -> list[str]:
    """Return every class or function of ours that a configuration builds."""
    nodes = [OmegaConf.to_container(OmegaConf.load(path)) for path in Path(DIRECTORY).rglob("*.yaml")]
    named = [node.get("_target_", "") for whole in nodes for _, node in branches({"": whole})]
    return sorted({target for target in named if target.startswith("vaezoo.")})


def test_the_reader_agrees_with_the_imported_classes():
    """Types, defaults and names of parameters; a parameter that a class hands on to its base is the base's."""
    assert len(targets()) > 80
    for target in targets():
        signature = read_signature(target)
        cls = get_object(target)
        if inspect.isclass(cls) and issubclass(cls, tuple):
            continue
        own = inspect.signature(cls.__init__ if inspect.isclass(cls) else cls).parameters
        hints = typing.get_type_hints(cls.__init__ if inspect.isclass(cls) else cls, include_extras=True)
        for name, parameter in own.items():
            if name == "self" or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                continue
            read = signature.parameters[name]
            assert (read.default is REQUIRED) == (parameter.default is parameter.empty), f"{target}.{name}"
            if read.default not in (REQUIRED, ...):
                assert read.default == parameter.default, f"{target}.{name}"
            if read.type is not Any and "Any" not in str(read.type):
                assert read.type == hints[name], f"{target}.{name}"


def test_a_parameter_of_a_base_class_is_read_there():
    parameters = read_signature("vaezoo.models.betavae.BetaVAE").parameters
    assert parameters["beta"].type == Weight
    assert parameters["gradient_clip"].type == Positive | None
    assert "optimizers" in read_signature("vaezoo.models.vaegan.VAEGAN").parameters
    assert read_signature("vaezoo.networks.critic.Encoder").parameters["dropout"].type == Probability


def test_facts_are_those_of_the_class():
    for target in targets():
        cls = get_object(target)
        if not inspect.isclass(cls) or "models" not in target:
            continue
        for name in ("latents", "needs_labels", "compares_images", "category_alone", "batches_a_step"):
            assert read_facts(target).get(name) == getattr(cls, name, None), f"{target}.{name}"


@pytest.fixture
def own_model(tmp_path, monkeypatch) -> str:
    """Write a model of a user's own, in a module that only the path knows, and return the name of its class."""
    (tmp_path / "mymodels.py").write_text(
        "raise RuntimeError('reading must not import')\n"
        "from typing import Literal\n"
        "from vaezoo.models.base import LatentModel\n"
        "from vaezoo.ranges import Weight\n"
        "Form = Literal['short', 'long']\n"
        "class Mine(LatentModel):\n"
        "    needs_labels = True\n"
        "    requires = {'latent.dim > width': 'more latents than its width'}\n"
        "    def __init__(self, *, tau: Weight, form: Form = 'short', width: int = 2, **parts):\n"
        "        super().__init__(**parts)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return "mymodels.Mine"


def own_config(target: str, **values: Any) -> Any:
    config = compose_train("model=vae", "dataset=digits")
    OmegaConf.set_struct(config, False)
    return OmegaConf.merge(config, {"model": {"_target_": target, "tau": 1.0, **values}})


def test_a_class_of_the_users_own_is_checked_alike(own_model):
    check_config(own_config(own_model))
    for values, message in [
        ({"tau": -1}, "model.tau=-1: must be a number of at least 0, or a schedule."),
        ({"form": "lang"}, "model.form=lang: must be one of short, long. Did you mean 'long'?"),
        ({"sigma": 1}, "model: Mine does not take sigma. It takes .*tau"),
        ({"width": 10}, "latent.dim=10: Mine needs more latents than its width."),
        ({"gradient_clip": 0}, "model.gradient_clip=0: must be a number above 0, or null."),
    ]:
        with pytest.raises(UserError, match=message.replace("?", r"\?")):
            check_config(own_config(own_model, **values))
    config = own_config(own_model)
    config.dataset = compose_train("model=vae").dataset
    with pytest.raises(UserError, match="Mine is given the class of each image, but dataset=dsprites has no labels"):
        check_config(config)


@pytest.mark.parametrize("target", ["nowhere.Class", "json.nothing", "vaezoo.models.nothing.X", "", "x", "a b.c"])
def test_what_cannot_be_read_accepts_everything(target):
    assert read_signature(target) == Signature()
    assert read_facts(target) == {}


@pytest.mark.parametrize(
    ("kind", "good", "bad", "words"),
    [
        (Natural, [0, 7], [-1, 1.0, True, "1", None], "a whole number of at least 0"),
        (Count | None, [1, None], [0], "a whole number of at least 1, or null"),
        (Positive, [1e-9, 3], [0, -1, True], "a number above 0"),
        (Probability, [0, 0.5], [1, -0.1], "a number of at least 0 and below 1"),
        (Share, [1e-3, 1], [0, 1.5], "a number above 0 and at most 1"),
        (ShareWeight, [1, {"_target_": "x", "start": 0, "end": 0.5}], [0, {"_target_": "x", "end": 2}], None),
        (FractionWeight, [0, 1, {"_target_": "x", "end": 0.5}], [2, {"_target_": "x", "end": 2}], None),
        (Weight | None, [0, None, {"_target_": "x", "start": 0, "end": 2}], [-1, {"_target_": "x", "end": -1}], None),
        (Odd, [1, 7], [2, -1], "an odd whole number"),
        (Sizes, [[1, 2]], [[], [0], 3], "a list of whole numbers of at least 1, such as [32, 64]"),
        (Convolutions, [[[64, 4, 2]]], [[], [[1, 2]], [64, 4, 2]], None),
        (bool, [True, False], [0, 1, None], "true or false"),
        (str, ["x"], ["", 3], "a string that is not empty"),
        (typing.Literal["a", 1], ["a", 1], ["b", True, 1.5], None),
        (list[Count], [[], [1, 2]], [[0], 3], None),
    ],
)
def test_types_allow_what_they_say(kind, good, bad, words):
    rule = rule_of_type(kind)
    assert [rule(value) for value in good] == [None] * len(good)
    refusals = [rule(value) for value in bad]
    assert all(refusals)
    assert words is None or words in refusals


def test_conditions_know_comparisons_and_names_alone():
    assert requirements.evaluate("a > 1 and not b", {"a": 2, "b": False})
    with pytest.raises(ValueError, match="has a Call, which conditions do not know"):
        requirements.evaluate("__import__('os')", {})
