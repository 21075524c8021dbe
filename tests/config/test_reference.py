"""What can be set: comments, ranges and defaults as `--help` and the site of the documentation show them."""

import sys

import pytest

from tests.support.plugins import PROJECT
from vaezoo.config import reference
from vaezoo.config.compose import list_groups
from vaezoo.config.plugins import use_folders
from vaezoo.errors import UserError

TEXT = """\
# @package _global_
# What the file is for.
# A second line.
first: 1
second: [1, 2]   # behind a list
# above
# the key
third: {a: 1, b: {c: 2}}
block:           # of a block
  inner: "a # b"   # not the text
"""


def find_key(option: reference.Option, name: str) -> reference.Key:
    return next(key for keys in option.keys.values() for key in keys if key.name == name)


def test_the_first_comment_belongs_to_the_file():
    assert reference.read_head(TEXT) == "What the file is for.\nA second line."
    assert "first" not in reference.read_comments(TEXT)


def test_comments_stand_behind_a_value_or_above_a_key():
    assert reference.read_comments(TEXT) == {
        "second": "behind a list",
        "third": "above the key",
        "block": "of a block",
        "block.inner": "not the text",
    }


def test_a_docstring_describes_a_parameter_by_the_sentence_that_names_it():
    docstring = "A network. Layers have `hidden` units\n    each. It drops a share `dropout` of them."
    assert reference.find_sentence(docstring, "hidden") == "Layers have `hidden` units each"
    assert reference.find_sentence(docstring, "drop") == ""


@pytest.mark.parametrize(
    ("value", "text"), [(None, "null"), (True, "true"), ([1, [2]], "[1,[2]]"), ({"a": None}, "{a:null}"), (0.5, "0.5")]
)
def test_values_are_written_as_on_the_command_line(value, text):
    assert reference.write_value(value) == text


def test_an_option_has_its_keys_with_the_ranges_of_its_class():
    option = reference.read_option("model", "dipvae")
    assert option.text.startswith("DIP-VAE")
    assert option.paper.startswith("Kumar")
    assert list(option.keys) == ["model/dipvae", "model/base/latent"]
    decay = find_key(option, "model.decay")
    assert decay.line == "model.decay=0.9"
    assert decay.description == "of the running average; must be a number of at least 0 and below 1"
    assert find_key(option, "model.latent").comment == "follows latent"
    assert find_key(option, "model.kind").wanted == "", "its comment lists the choices"


def test_an_option_says_what_it_chooses_and_changes():
    option = reference.read_option("dataset", "digits")
    assert option.choices == ("network=mlpk", "likelihood=bernoulli")
    assert find_key(option, "optimizer.lr").value == "0.001"
    assert "schedule@model.capacity=linear" in reference.read_option("model", "annealedvae").choices


def test_a_key_without_a_comment_is_described_by_its_class_or_by_another_option():
    network = reference.read_option("network", "infogan")
    assert "`slope` is that of LeakyReLU" in find_key(network, "network.critic.slope").comment
    assert find_key(network, "network.image_multiple").comment == "image sides must divide by this"
    model = reference.read_option("model", "factorvae")
    assert find_key(model, "model.optimizers.discriminator.lr").comment == "learning rate"


def test_every_option_and_every_key_is_described():
    """A key that has no comment gets one in its yaml file, or a sentence in the docstring of its class."""
    assert {group.partition("/")[0] for group in list_groups()} - {"hydra"} == set(reference.GROUPS)
    options = {option.place: option for option in reference.list_all()}
    assert len(options) > 150
    assert not [place for place, option in options.items() if not option.text]
    undescribed = {
        f"{place}.yaml: {key.name}"
        for option in options.values()
        for place, keys in option.keys.items()
        for key in keys
        if not key.comment
    }
    assert not undescribed


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        ([], ["python -m vaezoo.train -m", "model=vae", "max_batches=null", "--help KEY"]),
        (["model"], ["\n  dipvae ", "\n  vaegan "]),
        (["model=dipvae"], ["model.lambda_od=10.0\n      weight of the off-diagonal part"]),
        (["metric=[fast,score/irs]"], ["metric.rows=50000", "metric.scores.irs.quantile=0.99"]),
        (["trainer.engine"], ["eager | compiled | graphed", "in trainer/auto, trainer/cpu"]),
        (["callbacks.checkpoints"], ["callbacks.checkpoints.minutes=2", "callbacks.checkpoints.monitor=val/loss"]),
        (["model=vae", "seed=3"], ["model=vae", "seed=0"]),
    ],
)
def test_help_answers(words, texts):
    answer = reference.answer_help("train", words)
    assert all(text in answer for text in texts), answer


@pytest.mark.parametrize(
    ("word", "hint"), [("model=dipva", "'dipvae'"), ("modle", "'model'"), ("model.bta", "'model.beta'")]
)
def test_help_answers_a_slip(word, hint):
    with pytest.raises(UserError, match=f"Did you mean {hint}"):
        reference.answer_help("train", [word])


def test_options_of_a_plug_in_are_described_too(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    use_folders([PROJECT / "my_zoo" / "conf"])
    try:
        assert "\n  l1vae " in reference.answer_help("train", ["model"])
        answer = reference.answer_help("train", ["model=l1vae"])
    finally:
        use_folders([])
    assert "model.sparsity=0.5\n      weight of the absolute means; must be a number of at least 0" in answer
    assert "Keys of model/base/latent:" in answer
