"""What cannot be made is known before the training, and is what is skipped after it."""

import pytest
from hydra.utils import instantiate

from tests.support.command_line import run
from tests.support.configuration import build_model, compose_train
from vaezoo import train as command
from vaezoo.evaluation.figure_inputs import NO_CATEGORIES
from vaezoo.evaluation.foresight import foresee_skipped
from vaezoo.evaluation.metric_inputs import NO_CLASSIFIER, NO_FACTORS, NO_LABELS

LINE = ("dataset=digits", "metric=fast", "figure=full", "logger=csv")


@pytest.fixture(scope="module")
def data():
    data = instantiate(compose_train("dataset=digits").dataset)
    data.setup()
    return data


@pytest.mark.parametrize(
    ("line", "reasons"),
    [
        (["model=vae"], {NO_FACTORS, NO_CLASSIFIER, NO_CATEGORIES}),
        (["model=vae", "model.classifier=frozen"], {NO_FACTORS, NO_CATEGORIES}),
        (["model=jointvae"], {NO_FACTORS, NO_CLASSIFIER}),
    ],
)
def test_a_model_and_a_data_set_tell_what_is_absent(line, reasons, data):
    config = compose_train(*line, *LINE)
    skipped = foresee_skipped(
        instantiate(config.metric.scores), instantiate(config.figure.figures), build_model(*line, *LINE), data
    )
    assert set(skipped.values()) == reasons
    assert skipped["mig_hist"] == NO_FACTORS
    assert NO_LABELS not in skipped.values()
    assert "elbo" not in skipped


def test_it_is_said_once(in_tmp, monkeypatch, capfd):
    line = ["model=vae", "dataset=digits", "metric=[score/mig_hist,score/active_units]", "figure=none", "logger=csv"]
    assert run(command.main, monkeypatch, *line, "max_batches=2", "callbacks.progress=false", "hydra.run.dir=a") == 0
    out = capfd.readouterr().out
    assert f"left out  mig_hist ({NO_FACTORS})" in out
    assert out.count("mig_hist") == 1
    assert out.index("left out") < out.index("active_units")
