"""Learning rates: the warm-up, any schedule of torch after it, and that a killed run goes on with the same rates."""

import copy
import io
import os
import signal
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn
from torch.optim import SGD, lr_scheduler

from tests.support.command_line import BARE, QUICK, rows, same_weights, state, train, train_in
from tests.support.configuration import FEW, MODELS, SMALL, check_line, compose_train
from vaezoo.config.identity import hash_training
from vaezoo.errors import UserError
from vaezoo.training.clock import Clock
from vaezoo.training.learning_rate import make_schedules

BATCHES, WARMUP, RATE = 40, 8, 0.5
OPTIONS = {  # of each schedule of torch that can be used
    "LambdaLR": {"lr_lambda": {"_target_": "tests.training.test_learning_rate.halve", "_partial_": True}},
    "MultiplicativeLR": {"lr_lambda": {"_target_": "tests.training.test_learning_rate.halve", "_partial_": True}},
    "StepLR": {"step_size": 5},
    "MultiStepLR": {"milestones": [3, 9]},
    "ConstantLR": {"total_iters": 6},
    "LinearLR": {"total_iters": None},
    "ExponentialLR": {"gamma": 0.9},
    "CosineAnnealingLR": {"T_max": None},
    "CyclicLR": {"base_lr": 0.1, "max_lr": 0.3, "step_size_up": 4},
    "CosineAnnealingWarmRestarts": {"T_0": 7},
    "OneCycleLR": {"max_lr": 0.7, "total_steps": None},
    "PolynomialLR": {"total_iters": None},
}


def halve(batch: int) -> float:
    return 0.5 if batch % 3 == 0 else 1.0


def make_optimizer() -> SGD:
    return SGD(nn.Linear(2, 2).parameters(), lr=RATE, momentum=0.5)


def make_schedule(name: str, warmup: int):
    node = {"_target_": f"torch.optim.lr_scheduler.{name}", **OPTIONS[name], "warmup": warmup}
    (schedule,) = make_schedules([make_optimizer()], node, BATCHES)
    return schedule


def follow(schedule, count: int) -> list[float]:
    rates = []
    for _ in range(count):
        schedule.optimizer.step()
        schedule.step()
        rates.append(schedule.rate)
    return rates


def test_every_schedule_of_torch_is_listed():
    usable = {name for name in lr_scheduler.__all__ if name not in ("SequentialLR", "ChainedScheduler", "LRScheduler")}
    assert usable == {*OPTIONS, "ReduceLROnPlateau"}


@pytest.mark.parametrize("name", OPTIONS)
def test_rates_are_those_of_torch_after_a_linear_warm_up(name):
    optimizer = make_optimizer()
    options = {key: BATCHES - WARMUP if value is None else value for key, value in OPTIONS[name].items()}
    if "lr_lambda" in options:
        options["lr_lambda"] = halve
    plain = getattr(lr_scheduler, name)(optimizer, **options)
    expected = []
    for _ in range(BATCHES - WARMUP - 1):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        plain.step()
    rates = follow(make_schedule(name, WARMUP), BATCHES - 1)
    assert rates[WARMUP:] == expected
    assert rates[:WARMUP] == [(batch + 1) / (WARMUP + 1) * expected[0] for batch in range(WARMUP)]


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("batches", [5, 20])
def test_a_saved_schedule_goes_on_as_if_it_had_not_stopped(name, batches):
    whole = make_schedule(name, WARMUP)
    follow(whole, batches)
    file = io.BytesIO()
    torch.save([whole.state_dict(), whole.optimizer.state_dict()], file)
    file.seek(0)
    saved, rates = torch.load(file, weights_only=True)
    again = make_schedule(name, WARMUP)
    again.optimizer.load_state_dict(rates)
    again.load_state_dict(copy.deepcopy(saved))
    assert follow(again, BATCHES - batches - 1) == follow(whole, BATCHES - batches - 1)


def test_a_warm_up_alone_ends_at_the_rate_of_the_optimiser():
    (schedule,) = make_schedules([make_optimizer()], {"warmup": 3}, BATCHES)
    assert follow(schedule, 6) == [RATE / 4, RATE / 2, RATE * 3 / 4, RATE, RATE, RATE]


def test_rates_that_do_not_change_have_no_schedule():
    assert make_schedules([make_optimizer()], {"warmup": 0}, BATCHES) == []


def test_values_that_torch_refuses_have_a_message():
    node = {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "max_lr": 1.0, "total_steps": 5, "pct_start": 3.0}
    with pytest.raises(UserError, match=r"lr_schedule: torch refuses these values \(Expected float between 0 and 1"):
        make_schedules([make_optimizer()], node, BATCHES)


# ---- whole runs ------------------------------------------------------------------------------------------------


def test_a_killed_run_goes_on_with_the_rates_of_each_player(in_tmp, monkeypatch):
    line = [*FEW["vaegan"], "max_batches=23", "lr_schedule=cosine", "lr_schedule.warmup=6", *QUICK, *BARE]
    whole = train_in("whole", *line)
    seed_noise = Clock.seed_noise

    def interrupted(clock):
        seed_noise(clock)
        if clock.batches == 13:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(Clock, "seed_noise", interrupted)
        assert train(patched, "hydra.run.dir=cut", *line) == 128 + signal.SIGTERM
    assert train(monkeypatch, "run=cut") == 0
    assert same_weights(Path("cut"), whole)
    assert rows(Path("cut")) == rows(whole)
    logged = {
        name: value for row in rows(whole) for name, value in row.items() if name.startswith("train/lr_") and value
    }
    assert len(logged) == len(state(whole)["lr_schedulers"]) == 3
    assert train(monkeypatch, "run=cut", "max_batches=30") == 2


# ---- the command line ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["lr_schedule.warmup=-1"], r"lr_schedule.warmup=-1: must be a whole number of at least 0\."),
        (["lr_schedule=warmup", "max_batches=1000"], r"lr_schedule.warmup=1000: must be less than the 1000 batches"),
        (["lr_schedule=cosine", "lr_schedule.T_max=0"], r"lr_schedule.T_max=0: must be a whole number of at least 1"),
        (["lr_schedule=cosine", "lr_schedule.tmax=9"], r"'lr_schedule.tmax' is not a key.*Did you mean"),
        (
            ["lr_schedule=cosine", "+lr_schedule.tmax=9"],
            r"CosineAnnealingLR does not take tmax\. Did you mean 'T_max'",
        ),
        (
            ["lr_schedule=step", "lr_schedule.step_size=90", "max_batches=90"],
            r"the rate would never change in 90 batches",
        ),
        (["+lr_schedule.gamma=0.5"], r"lr_schedule.gamma=0.5: this schedule has a warm-up alone"),
        (
            ["+lr_schedule._target_=torch.optim.lr_scheduler.StepLR"],
            r"StepLR needs step_size\. It takes step_size, ",
        ),
        (["+lr_schedule._target_=torch.optim.lr_scheduler.ChainedScheduler"], r"ChainedScheduler needs schedulers\."),
        (["+lr_schedule._target_=torch.optim.lr_scheduler.ReduceLROnPlateau"], r"it follows validations"),
        (["lr_schedule=cosine", "+lr_schedule.last_epoch=5"], r"must be left out: the checkpoint says where"),
        (["lr_schedule=cosin"], r"there is no such lr_schedule\. Did you mean 'cosine'\?"),
        (["lr_schedule=cosine", "trainer=gpu", "trainer.engine=graphed"], r"a recorded step keeps its learning rate"),
    ],
)
def test_what_has_no_effect_is_refused(line, message):
    with pytest.raises(UserError, match=message):
        check_line(["dataset=digits", *line])


def test_any_schedule_of_torch_can_be_named():
    target = "torch.optim.lr_scheduler.MultiStepLR"
    config = check_line(["dataset=digits", f"+lr_schedule._target_={target}", "+lr_schedule.milestones=[5,9]"])
    assert config.lr_schedule == {"warmup": 0, "_target_": target, "milestones": [5, 9]}


def test_a_schedule_is_part_of_the_identity_and_none_is_as_before():
    plain = compose_train(*SMALL)
    values = OmegaConf.to_container(plain, resolve=False)
    before = OmegaConf.create({key: value for key, value in values.items() if key != "lr_schedule"})  # earlier versions
    ids = [hash_training(compose_train(*SMALL, f"lr_schedule={name}")) for name in ("cosine", "step", "warmup")]
    assert len({hash_training(plain), *ids}) == 4
    assert hash_training(plain) == hash_training(before)


# ---- optimisers ------------------------------------------------------------------------------------------------


OPTIMIZERS = ("adam", "adamw", "adagrad", "sgd", "rmsprop")
PLAYERS = ("vae", "vaegan", "infogan", "dec")  # one optimiser, and players that change it in different ways


@pytest.mark.parametrize(
    ("optimizer", "models"),
    [
        *((name, PLAYERS) for name in OPTIMIZERS),
        *(pytest.param(name, MODELS, marks=pytest.mark.slow) for name in OPTIMIZERS),
    ],
)
def test_a_model_takes_an_optimiser_or_says_what_to_leave_out(optimizer, models):
    refused = 0
    for model in models:
        line = [f"model={model}", "dataset=digits", f"optimizer={optimizer}"]
        lacking = ""
        try:
            check_line(line)
        except UserError as error:
            refused += 1
            lacking = str(error).partition("leave out what it lacks: ")[2]
        config = check_line([*line, *lacking.split()])
        partial = instantiate(config.model.optimizer)
        for difference in [{}, *config.model.get("optimizers", {}).values()]:
            if "_target_" not in difference:  # DEC has one
                assert partial([nn.Parameter(torch.zeros(1))], **difference).defaults["lr"] > 0
    assert (refused == 0) == optimizer.startswith("adam")


def test_an_optimiser_refuses_values_in_words(in_tmp):
    with pytest.raises(UserError, match=r"SGD does not take beta\. It takes lr, .*nesterov.* '~optimizer.beta' leaves"):
        check_line(["dataset=digits", "optimizer=sgd", "+optimizer.beta=1"])
    with pytest.raises(
        UserError, match=r"optimizer: torch refuses these values \(Nesterov momentum requires a momentum"
    ):
        train_in("a", "model=vae", "optimizer=sgd", "optimizer.momentum=0", "optimizer.nesterov=true", *QUICK, *BARE)
