"""What a run can change when it goes on, by one rule for all keys."""

import copy

import pytest
from omegaconf import DictConfig, OmegaConf

from tests.support.configuration import compose_train
from vaezoo.config.changes import change_config
from vaezoo.config.identity import hash_evaluation, list_conflicts
from vaezoo.config.overrides import leaves
from vaezoo.config.values import check_config
from vaezoo.errors import UserError

LINE = ("model=betavae", "dataset=digits", "metric=none", "figure=none", "logger=csv", "folder=x")


def trained(*line: str) -> DictConfig:
    """Return a configuration as a run records it: without references."""
    return OmegaConf.create(OmegaConf.to_container(compose_train(*LINE, *line), resolve=True))


def changed(*lines: str) -> DictConfig:
    config = trained()
    change_config(config, lines)
    return config


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("max_batches=7", "max_batches", 7),
        ("max_epochs=2", "max_epochs", 2),
        ("val_every=3", "val_every", 3),
        ("callbacks.checkpoints.batches=5", "callbacks.checkpoints.batches", 5),
        ("trainer.precision=64-true", "trainer.precision", "64-true"),
        ("+trainer.max_time='00:01:00:00'", "trainer.max_time", "00:01:00:00"),
        ("dataset.residence=host", "dataset.residence", "host"),
        ("metric.rows=100", "metric.rows", 100),
    ],
)
def test_what_has_an_effect_is_changed(line, key, value):
    config = changed(line)
    assert OmegaConf.select(config, key) == value
    assert list_conflicts(trained(), config) == []


@pytest.mark.parametrize(
    "line",
    [
        *("seed=5", "optimizer.lr=1e-4", "optimizer=sgd", "likelihood=gaussian", "network.encoder.hidden=[7]"),
        *("model.beta=1", "model=vae", "latent.dim=3", "dataset.batch_size=3", "dataset.split_seed=3", "dataset=mnist"),
        *("folder=elsewhere", "launcher.threads=2", "launcher=joblib", "sweep.name=a", "sweep=beta", "hydra.run.dir=a"),
        *("experiment=quickstart", "~seed", "+model.extra=1", "schedule@model.beta=linear"),
        *("callbacks.mine.patience=3", "+callbacks.mine._target_=a.B", "lr_schedule=cosine", "init_from=."),
    ],
)
def test_what_the_checkpoint_or_the_parts_would_ignore_is_refused(line):
    with pytest.raises(UserError, match=r"cannot be changed when a run goes on"):
        changed(line)


def test_the_rule_holds_for_every_key_of_a_configuration():
    """A key that decides the weights is refused, unless it is the budget or a flag of the Trainer."""
    allowed = ("max_batches", "max_epochs", "trainer.")
    config = compose_train(*LINE)
    for key, _ in leaves(OmegaConf.to_container(config, resolve=False)):
        other = copy.deepcopy(config)
        OmegaConf.update(other, key, "a run@0123456789abcdef" if key == "init_from" else "another value")
        if list_conflicts(config, other):
            assert not key.startswith(allowed)
            with pytest.raises(UserError, match="cannot be changed when a run goes on"):
                changed(f"{key}=1")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("max_batches=many", "max_batches=many: must be a whole number"),
        ("max_batches=1,2", "a run has one value of each key"),
        ("~trainer.chunk", "cannot be taken away"),
        ("val_evry=3", "cannot be changed when a run goes on"),
        ("callbacks.checkpoints.minuts=3", "no such key. Did you mean 'callbacks.checkpoints.minutes'?"),
        ("trainer.max_time=3", "has no such key"),
        ("metric=fst", "there is no such metric. Did you mean 'fast'?"),
        ("+metric/score=irs", "a run takes a group as a whole"),
        ("logger=wandb", "refers to values that only a new run has"),
        ("+trainer.max_steps=10", "trainer.max_steps=10: must be left out"),
        ("trainer=gpu trainer.engine=fast", "trainer.engine=fast: must be"),
        ("-m", "cannot be read as key=value"),
    ],
)
def test_messages(line, message):
    with pytest.raises(UserError) as refused:
        changed(*line.split())
    assert message in str(refused.value)


def test_the_text_of_a_group_in_an_old_folder_is_replaced_by_the_group():
    config = trained()
    OmegaConf.update(config, "metric", "none", merge=False)
    change_config(config, ["max_batches=7"])
    assert config.metric == trained().metric


def test_groups_are_composed_before_the_values_in_them():
    config = changed(
        "metric.rows=100", "metric=[fast,score/iwae]", "figure=samples", "trainer=ddp", "trainer.devices=4"
    )
    assert config.metric.rows == 100
    assert {"elbo", "iwae"} <= set(config.metric.scores)
    assert list(config.figure.figures) == ["samples"]
    assert config.trainer.strategy.find_unused_parameters
    assert hash_evaluation(config) != hash_evaluation(trained())
    assert list_conflicts(trained(), config) == []
    for line in (["metric=none"], ["figure=none"], ["logger=csv"], ["callbacks=default"], ["trainer=auto"]):
        check_config(changed(*line))
        assert changed(*line) == trained(), line
