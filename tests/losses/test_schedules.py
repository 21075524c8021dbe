"""Schedules: their curves, what the configuration allows them, and runs that resume in the middle of one."""

import math
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

import vaezoo.train
from tests.support.command_line import BARE, QUICK, rows, run, same_weights, state, train_in
from tests.support.configuration import MODELS, build_model, compose_train
from vaezoo.config.command_line import check_command_line
from vaezoo.config.directory import DIRECTORY
from vaezoo.config.overrides import flatten, leaves
from vaezoo.config.values import check_config, find_rule, takes_schedule
from vaezoo.errors import UserError
from vaezoo.losses.schedules import Constant, Cosine, Cyclic, Linear, Scaled, scheduled

SMALL = ("dataset=digits", "metric=none", "figure=none", "logger=csv")
FILES = sorted((Path(DIRECTORY) / "schedule").glob("*.yaml"))
ALL = [Constant(0.3), Linear(0.1, 0.3, 7), Cosine(0.1, 0.3, 7), Cyclic(0.1, 0.3, 7, period=3), Linear(5, 0.7, 9)]


def at(schedule, *batches: int) -> list[float]:
    return [schedule(torch.tensor(batch)).item() for batch in batches]


# ---- curves ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "batches", "values"),
    [
        (Constant(2.5), (0, 1, 10**9), (2.5, 2.5, 2.5)),
        (Linear(0, 5, 25000), (0, 12500, 25000, 25001, 10**9), (0, 2.5, 5, 5, 5)),
        (Linear(1, 5, 10), (0, 1, 5, 9, 10), (1, 1.4, 3, 4.6, 5)),
        (Linear(4, 1, 3), (0, 1, 2, 3, 4), (4, 3, 2, 1, 1)),
        (Cosine(0, 2, 8), (0, 2, 4, 6, 8, 9), (0, 1 - math.sqrt(0.5), 1, 1 + math.sqrt(0.5), 2, 2)),
        (Cyclic(0, 1, 20, period=8), (0, 2, 4, 7, 8, 10, 12, 16, 19, 20, 24), (0, 0.5, 1, 1, 0, 0.5, 1, 0, 0.75, 1, 1)),
        (Cyclic(0, 8, 16, period=8, rise=1), (0, 1, 7, 8, 15, 16), (0, 1, 7, 0, 7, 8)),
        (Scaled(Linear(0, 5, 10), 10), (0, 5, 10), (0, 25, 50)),
    ],
)
def test_known_values(schedule, batches, values):
    assert at(schedule, *batches) == pytest.approx(values, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("schedule", ALL[1:])
def test_it_begins_and_ends_exactly(schedule):
    first, *after = (
        schedule(torch.tensor(t)) for t in (0, schedule.batches, schedule.batches + 1, 1000 * schedule.batches)
    )
    assert torch.equal(first, torch.tensor(float(schedule.start)))
    assert all(torch.equal(value, torch.tensor(float(schedule.end))) for value in after)


@pytest.mark.parametrize("schedule", ALL)
def test_it_stays_on_the_device_and_reads_nothing_back(schedule):
    """A tensor of the device "meta" has no value: whoever asks for it gets an error."""
    value = schedule(torch.zeros((), dtype=torch.int64, device="meta"))
    assert value.device.type == "meta"
    assert value.dtype == torch.float32
    assert value.ndim == 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Linear(0, 1, 0), "batches=0: must be a whole number of at least 1"),
        (lambda: Cosine(0, 1, -3), "batches=-3"),
        (lambda: Linear(0, 1, 2.5), "batches=2.5"),
        (lambda: Linear(None, 1, 2), "start=None: must be a number"),
        (lambda: Linear(0, float("nan"), 2), "end=nan"),
        (lambda: Constant(float("inf")), "value=inf"),
        (lambda: Cyclic(0, 1, 10, period=0), "period=0"),
        (lambda: Cyclic(0, 1, 10, period=5, rise=0), "rise=0: must be a number above 0 and at most 1"),
        (lambda: Cyclic(0, 1, 10, period=5, rise=1.5), "rise=1.5"),
    ],
)
def test_bad_arguments_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_only_what_a_schedule_moves_is_logged():
    moved = scheduled(beta=Linear(0, 1, 2)(torch.tensor(1)), gamma=3.0)
    assert {name: value.item() for name, value in moved.items()} == {"beta": 0.5}


# ---- in models -------------------------------------------------------------------------------------------------


def objective(model, batches: int) -> dict[str, torch.Tensor]:
    model.batches.fill_(batches)
    torch.manual_seed(1)
    return model.objective(torch.rand(8, 1, 8, 8), torch.arange(8))


def test_a_scheduled_betavae_is_at_each_batch_the_betavae_of_that_beta():
    line = ("+schedule@model.beta=linear", "model.beta.start=1", "model.beta.end=3", "model.beta.batches=8")
    moving, still = build_model("model=betavae", *line, *SMALL), build_model("model=betavae", *SMALL)
    for batches, beta in ((0, 1.0), (4, 2.0), (8, 3.0), (80, 3.0)):
        still.beta = beta
        terms, expected = objective(moving, batches), objective(still, batches)
        assert terms.pop("beta") == beta
        assert terms.keys() == expected.keys()
        assert all(torch.equal(terms[name], expected[name]) for name in terms)
        pairs = ((terms, moving), (expected, still))
        grads, same = (torch.autograd.grad(t["loss"], list(model.parameters())) for t, model in pairs)
        assert all(torch.equal(a, b) for a, b in zip(grads, same, strict=True))


@pytest.mark.parametrize(("kind", "ratio"), [("i", 10), ("ii", 1)])
def test_the_diagonal_weight_of_dipvae_follows_a_scheduled_off_diagonal_one(kind, ratio):
    line = ("+schedule@model.lambda_od=linear", "model.lambda_od.end=4", "model.lambda_od.batches=8")
    model = build_model("model=dipvae", f"model.kind={kind}", *line, *SMALL)
    terms = objective(model, 6)
    assert terms["lambda_od"] == 3
    assert terms["lambda_d"] == 3 * ratio
    expected = terms["rec"] + terms["kl"] + 3 * terms["dip_od"] + 3 * ratio * terms["dip_d"]
    torch.testing.assert_close(terms["loss"], expected)
    own = build_model("model=dipvae", f"model.kind={kind}", *line, "model.lambda_d=7", *SMALL)
    assert "lambda_d" not in objective(own, 6)


def list_weights(name: str) -> list[str]:
    """Return the keys of a model that a schedule may take the place of."""
    parts = OmegaConf.to_container(compose_train(f"model={name}", *SMALL), resolve=False)
    return [key for key in parts["model"] if takes_schedule(parts, f"model.{key}")]


def test_weights_are_known():
    assert list_weights("betavae") == ["beta"]
    assert {"lambda_od", "lambda_d"} <= set(list_weights("dipvae"))
    assert "capacity" in list_weights("annealedvae")


@pytest.mark.parametrize("name", MODELS)
def test_every_weight_of_every_model_may_be_a_schedule(name):
    """The schedule is put into the composed configuration, since to compose it once for each weight takes longer."""
    for key in list_weights(name):
        config = compose_train(f"model={name}", *SMALL)
        schedule = {"_target_": "vaezoo.losses.schedules.Linear", "start": 0, "end": 1, "batches": 8}
        OmegaConf.update(config, f"model.{key}", schedule, merge=False, force_add=True)
        check_config(config)
        model = instantiate(config.model, train_images=1000)
        first, last = (losses(objective(model, batches)) for batches in (0, 8))
        assert torch.isfinite(first).all(), key
        assert torch.isfinite(last).all(), key
        assert not torch.equal(first, last), f"the schedule of {key} moves nothing"


def losses(terms) -> torch.Tensor:
    """The loss of each player, or the only one."""
    return torch.stack([term for key, term in terms.items() if key.split("_")[0] == "loss"])


# ---- in the configuration --------------------------------------------------------------------------------------

COMPLETE = {
    "constant": ["value=4"],
    "linear": ["end=4", "batches=10"],
    "cosine": ["end=4", "batches=10"],
    "cyclic": ["end=4", "batches=10", "period=5"],
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_composes_and_every_value_has_a_rule(path):
    line = [f"+schedule@model.beta={path.stem}", *(f"model.beta.{value}" for value in COMPLETE[path.stem])]
    config = compose_train("model=betavae", *line, *SMALL)
    check_config(config)
    node = OmegaConf.to_container(config.model.beta)
    assert [
        key for key, _ in leaves({"model": {"beta": node}}) if find_rule({"model": {"beta": node}}, key) is None
    ] == []
    schedule = build_model("model=betavae", *line, *SMALL).beta
    assert at(schedule, 10) == [4]


LINEAR = "model=betavae +schedule@model.beta=linear model.beta.end=4 model.beta.batches=9"


class Falling:
    """A schedule of the user's own."""

    def __init__(self, slope):
        self.slope = slope

    def __call__(self, batches):
        return self.slope * batches


@pytest.mark.parametrize(
    "line",
    [
        "+schedule@model.beta=linear model.beta.end=4 model.beta.batches=10000 model=betavae",
        "-m model=betavae +schedule@model.beta=linear model.beta.end=1,4 model.beta.batches=100",
        "-m model=betavae +schedule@model.beta=linear,cosine ++model.beta.end=4 ++model.beta.batches=100",
        "model=annealedvae schedule@model.capacity=cosine model.capacity.end=5",
        "model=annealedvae model.capacity=5",
        "model=betavae model.beta={_target_:tests.losses.test_schedules.Falling,slope:-1}",
    ],
)
def test_good_command_lines_pass(line):
    check_command_line("train", [*line.split(), *SMALL])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"-m {LINEAR} model.beta.start=0,-4", r"^model.beta.start=-4: must be a number of at least 0\.$"),
        (f"{LINEAR} model.beta.ned=4", r"'model.beta.ned' is not a key .* Did you mean 'model.beta.end'\?"),
        (f"{LINEAR} +model.beta.period=4", "'model.beta.period' is not a key of this configuration"),
        ("model=betavae +schedule@model.beta=liner", r"no such schedule. Did you mean 'linear'\?"),
        ("model=betavae schedule@model.beta=linear", r"added with \+: \+schedule@model.beta=linear"),
        ("model=betavae +schedule=linear", "takes the place of a weight. This model has model.beta"),
        ("model=betavae +schedule@model.gamma=linear", r"of a weight. Did you mean 'model.beta'\?"),
        (
            "model=dipvae +schedule@model.decay=linear",
            "'.schedule@model.decay': a schedule takes the place of a weight",
        ),
        ("-m model=betavae,vae +schedule@model.beta=constant model.beta.value=1", "This model has none"),
        (f"-m {LINEAR.replace('=linear', '=linear,cosine')}", r"a group that is swept; .* \+\+model.beta.end=4"),
        ("-m model=betavae,cvae model.beta=3", r"comes with a group that is swept; .* \+\+model.beta=3"),
        ("model=betavae model.beta.end=4", "model.beta is a single number. .* add .schedule@model.beta=linear"),
        ("model=annealedvae +schedule@model.capacity=cosine", "already; another is chosen without .: schedule@model"),
    ],
)
def test_mistakes_are_refused_with_a_message_that_helps(line, message):
    with pytest.raises(UserError, match=message):
        check_command_line("train", [*line.split(), *SMALL])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{LINEAR} model.beta.start=null", "model.beta.start=null: must be a number of at least 0"),
        (f"{LINEAR} model.beta.batches=0", "model.beta.batches=0: must be a whole number of at least 1"),
        ("model=betavae +schedule@model.beta=linear model.beta.end=4", r"model.beta.batches=\?\?\?: must be a whole"),
        ("model=betavae model.beta={end:4}", "model.beta={end}: must be a number of at least 0, or a schedule"),
        ("model=betavae model.beta=-1", "model.beta=-1: must be a number of at least 0, or a schedule"),
        ("model=dipvae model.decay={end:4}", "model.decay={end}: must be a number of at least 0 and below 1"),
        (
            "model=annealedvae schedule@model.capacity=constant",
            "Constant does not take end, batches. It takes value.",
        ),
        (f"{LINEAR.replace('linear', 'cyclic')} model.beta.period=3 model.beta.rise=2", "model.beta.rise=2: must be"),
    ],
)
def test_bad_values_are_refused_before_a_job_starts(line, message):
    with pytest.raises(UserError, match=message):
        check_config(compose_train(*line.split(), *SMALL))


def test_flattened_keys_are_those_of_the_command_line():
    config = compose_train(*LINEAR.split(), "folder=x", *SMALL)
    flat = flatten(config)
    assert {key: flat[key] for key in flat if key.startswith("model.beta.") and "_target_" not in key} == {
        "model.beta.start": 0,
        "model.beta.end": 4,
        "model.beta.batches": 9,
    }


# ---- in runs ---------------------------------------------------------------------------------------------------

RUN = [*LINEAR.split(), *QUICK[:2], *BARE, "log_every=2", "val_every=6"]


def train(monkeypatch, *arguments: str) -> None:
    assert run(vaezoo.train.main, monkeypatch, *arguments) == 0


def test_a_run_resumed_within_its_schedule_ends_with_the_weights_of_an_unbroken_one(in_tmp, monkeypatch):
    train_in("whole", *RUN, "max_batches=12")
    train_in("cut", *RUN, "max_batches=6")
    assert not same_weights(Path("cut"), Path("whole"))
    train(monkeypatch, "run=cut", "max_batches=12")
    assert state(Path("cut"))["state_dict"]["batches"] == 12
    assert same_weights(Path("cut"), Path("whole"))
    assert rows(Path("cut")) == rows(Path("whole"))
    logged = {int(row["batches"]): float(row["train/beta"]) for row in rows(Path("cut")) if row["train/beta"]}
    # A row is the mean of two batches, trained after 0 and 1, 2 and 3, ... batches; from the ninth on beta is 4.
    expected = {2: 4 * 0.5 / 9, 4: 4 * 2.5 / 9, 6: 4 * 4.5 / 9, 8: 4 * 6.5 / 9, 10: 4 * 8.5 / 9, 12: 4}
    assert logged == pytest.approx(expected, rel=1e-5)


def test_a_sweep_over_schedules_and_their_values_keeps_its_jobs_apart(in_tmp, monkeypatch):
    line = " ".join(RUN).replace("=linear", "=linear,cosine")
    line = (
        line.replace("model.beta.end", "++model.beta.end").replace("model.beta.batches", "++model.beta.batches").split()
    )
    train(monkeypatch, "-m", *line, "max_batches=2", "hydra.sweep.dir=sweep")
    folders = [path for path in Path("sweep").iterdir() if path.is_dir()]
    betas = [OmegaConf.load(path / ".hydra" / "config.yaml").model.beta for path in folders]
    kinds = {(beta["_target_"].rpartition(".")[2], beta.end) for beta in betas}
    assert kinds == {("Linear", 4), ("Cosine", 4)}
    assert all(state(path)["state_dict"]["batches"] == 2 for path in folders)
