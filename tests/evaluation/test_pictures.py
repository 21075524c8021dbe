"""Pictures and scores of a run folder: drawn again without the data, kept when others are added."""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from PIL import Image

from tests.support.configuration import build_model, compose_train
from tests.support.datasets import data_module
from tests.support.models import count_images
from vaezoo.data.sources.digits import digits
from vaezoo.errors import UserError
from vaezoo.evaluate import evaluate_codes
from vaezoo.evaluate import main as evaluate_main
from vaezoo.evaluation import records
from vaezoo.evaluation.drawing import draw_figures
from vaezoo.evaluation.evaluate_model import evaluate_model
from vaezoo.evaluation.figure_inputs import FigureInputs
from vaezoo.evaluation.outputs import Outputs
from vaezoo.evaluation.scores import Scores
from vaezoo.evaluation.table import encode
from vaezoo.figures import Computed

SMALL = ("metric.rows=200", "metric.test_rows=60", "metric.images=50")


def parts(name: str):
    line = (f"model={name}", "dataset=digits", "logger=csv", "latent.dim=4", "network=mlpk")
    return build_model(*line), data_module(digits, name="digits", shape=(1, 8, 8), classes=10)


def scored(model, data, folder: Path, *line: str):
    config = compose_train("dataset=digits", *SMALL, *line)
    return evaluate_model(model, data, folder, title="t", metric=config.metric, figure=config.figure, seed=0)


class NoData:
    """The options of a data set that cannot be had any more."""

    split, split_seed = "random90", 0

    def place(self, device):
        raise AssertionError("the data are looked at")


DRAWN = {"reconstructions", "samples", "traversals", "code_correlation", "class_traversals"}


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("cvae", {"swap", "kl_per_dim"}),
        ("jointvae", {"swap", "kl_per_dim", "class_grid", "category_traversals", "tsne"}),
        ("ae", set()),
    ],
)
def test_every_picture_is_drawn_again_from_the_folder_alone(name, more, tmp_path):
    model, data = parts(name)
    drawn = "default,class_traversals" + (",category_traversals,tsne" if name == "jointvae" else "")
    figures = f"figure=[{drawn}]"
    _, first = scored(model, data, tmp_path, "metric=fast", figures)
    assert set(first) == DRAWN | more
    before = {path.name: path.read_bytes() for path in first.values()}
    kept = (tmp_path / "metrics.json").read_text()
    for path in first.values():
        path.unlink()
    nothing, again = scored(model, NoData(), tmp_path, "metric=none", figures)
    assert not nothing.values
    assert {path.name: path.read_bytes() for path in again.values()} == before
    assert (tmp_path / "metrics.json").read_text() == kept


def test_what_moves_and_whose_can_be_chosen(tmp_path):
    model, data = parts("vae")
    scored(model, data, tmp_path, "metric=fast", "figure=none")
    _, drawn = scored(
        model,
        NoData(),
        tmp_path,
        "metric=none",
        "figure=[class_traversals,traversals]",
        "figure.latents=[2,0]",
        "figure.classes=[0,4]",
        "figure.traversal=pm3",
    )
    numbers = np.load(drawn["class_traversals"].with_suffix(".npz"))
    assert numbers["class_traversal"].shape == (2, 2, 10, 1, 8, 8)
    assert numbers["class_traversal_dims"].tolist() == [2, 0]
    assert numbers["class_traversal_names"].tolist() == ["0", "4"]
    assert numbers["class_traversal_values"].tolist() == np.linspace(-3, 3, 10).tolist()
    assert np.load(drawn["traversals"].with_suffix(".npz"))["traversal_dims"].tolist() == [2, 0]
    with pytest.raises(UserError, match=r"figure.latents: there is no latent 4; this model has 4, from 0"):
        scored(model, NoData(), tmp_path, "metric=none", "figure=traversals", "figure.latents=[4]")


def test_the_moving_picture_goes_there_and_back(tmp_path):
    model, data = parts("vae")
    _, drawn = scored(model, data, tmp_path, "metric=fast", "figure=animation")
    with Image.open(drawn["animation"]) as gif:
        assert gif.n_frames == 38
        frames = []
        for i in range(38):
            gif.seek(i)
            frames.append(np.asarray(gif.convert("RGB")).astype(int))
    assert np.array_equal(frames[1], frames[37])
    assert not np.array_equal(frames[0], frames[19])
    numbers = np.load(drawn["animation"].with_suffix(".npz"))
    assert numbers["animation"].shape == (4, 20, 1, 8, 8)
    np.testing.assert_allclose(numbers["animation_values"][:, 0], -numbers["animation_values"][:, -1])


def test_a_score_is_added_to_those_of_the_same_weights(tmp_path):
    model, data = parts("vae")
    scored(model, data, tmp_path, "metric=fast", "figure=none")
    before = json.loads((tmp_path / "metrics.json").read_text())
    encoded = count_images(model)
    new, _ = scored(model, data, tmp_path, "metric=score/probe_linear", "figure=none")
    after = json.loads((tmp_path / "metrics.json").read_text())
    assert new.values
    assert not encoded
    assert after["scores"] == {**before["scores"], **new.values}
    assert set(after["protocols"]) == {*before["protocols"], "probe_linear"}
    assert set(np.load(tmp_path / "metrics.npz").files) >= {"correlation/codes"}
    model.decoder.layers[0].weight.data.add_(0.1)
    scored(model, data, tmp_path, "metric=score/probe_linear", "figure=none")
    assert set(json.loads((tmp_path / "metrics.json").read_text())["protocols"]) == {"probe_linear"}


def test_nothing_old_of_a_metric_stays_beside_the_new():
    old = Scores(
        {"eval/a_5": 1.0, "eval/a_5/sd": 0.1, "eval/b": 2.0},
        {"eval/a_5": "a", "eval/b": "b"},
        {"a": {"draws": 5}, "b": {}},
        {"c": "no labels"},
        {"a": {"x": np.ones(1)}},
    )
    both = old.replaced_by(Scores({"eval/a_9": 3.0}, {"eval/a_9": "a"}, {"a": {"draws": 9}}, {"b": "failed"}))
    assert both.values == {"eval/a_9": 3.0}
    assert both.metrics == {"eval/a_9": "a"}
    assert both.protocols == {"a": {"draws": 9}}
    assert both.skipped == {"c": "no labels", "b": "failed"}
    assert both.arrays == {}
    assert old.values["eval/b"] == 2


def test_scores_are_read_as_they_were_written(tmp_path):
    scores = Scores(
        {"eval/a": float("inf"), "eval/b": 0.5},
        {"eval/a": "a", "eval/b": "b"},
        {"a": {"rows": 3}, "b": {}},
        {"c": "why"},
        {"a": {"x/y": np.eye(2)}},
    )
    records.write(scores, {"checkpoint": "abc"}, tmp_path)
    back = records.read(tmp_path, "abc")
    assert (back.values, back.metrics, back.protocols, back.skipped) == (
        scores.values,
        scores.metrics,
        scores.protocols,
        scores.skipped,
    )
    assert np.array_equal(back.arrays["a"]["x/y"], np.eye(2))
    assert records.read(tmp_path, "abd") == Scores()
    (tmp_path / "metrics.json").write_text("{")
    assert records.read(tmp_path, "abc") == Scores()


def test_a_figure_takes_what_a_metric_has_computed(tmp_path, caplog):
    """By the annotation of its parameter; where the metric did not compute it, the log has the reason."""

    def bars(
        gains: Annotated[np.ndarray, Computed("mine", "gains")],
        title: str,
        mine: Annotated[float | None, Computed("mine")] = None,
    ) -> Figure:
        drawn.append((gains, title, mine))
        return Figure()

    def lines(absent: Annotated[np.ndarray, Computed("mine", "losses")]) -> Figure:
        raise AssertionError

    def points(absent: Annotated[np.ndarray, Computed("yours", "points")]) -> Figure:
        raise AssertionError

    drawn: list = []
    model, data = parts("vae")
    outputs = Outputs(model, data, encode(model, data, rows=20, test_rows=10, seed=0), "a title")
    scores = Scores({"eval/mine": 0.5}, protocols={"mine": {}}, arrays={"mine": {"gains": np.arange(3)}})
    options = {"images": 4, "samples": 4, "traversal": "auto", "latents": None, "classes": None}
    inputs = FigureInputs(outputs, scores, {}, **options)
    with caplog.at_level("DEBUG"):
        pictures = draw_figures({"bars": bars, "lines": lines, "points": points}, inputs, tmp_path)
    assert list(pictures) == ["bars"]
    assert (drawn[0][0].tolist(), *drawn[0][1:]) == ([0, 1, 2], "a title", 0.5)
    assert set(np.load(tmp_path / "bars.npz")) == {"gains", "title", "mine"}
    assert "not drawn: lines, points (" in caplog.text
    assert "lines was not drawn: the score mine has no losses here" in caplog.text
    assert "points was not drawn: the score yours was not computed" in caplog.text


@pytest.mark.parametrize(("form", "beginning"), [("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_a_figure_is_also_written_with_texts_as_texts(form, beginning, tmp_path):
    def page() -> Figure:
        figure = Figure((4, 2), dpi=128)
        figure.text(0.1, 0.8, "latent 3: KL")
        figure.figimage(np.zeros((8, 8, 3), np.uint8), 10, 10)
        return figure

    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        draw_figures({"page": page}, None, tmp_path / place, form)
    first, again = ((tmp_path / place / f"page.{form}").read_bytes() for place in ("a", "b"))
    assert first.startswith(beginning)
    assert first == again
    assert form != "svg" or b"latent 3: KL</text>" in first
    assert {path.suffix for path in (tmp_path / "a").iterdir()} == {".png", ".npz", f".{form}"}


@pytest.mark.parametrize(
    ("line", "scores"),
    [
        (["figure=tsne"], False),
        (["figure=[tsne,curves]"], False),
        (["figure=tsne", "metric=fast"], True),
        (["figure=full", "metric.seeds=2"], True),
        ([], True),
    ],
)
def test_who_asks_for_a_picture_alone_gets_no_scores(line, scores, tmp_path, monkeypatch):
    composed, folder = [], tmp_path / "metrics"  # its name is no choice of scores
    folder.mkdir()
    monkeypatch.setattr("vaezoo.evaluate.evaluate_run", composed.append)
    monkeypatch.setattr("sys.argv", ["vaezoo.evaluate", f"run={folder}", *line])
    evaluate_main()
    assert bool(composed[0].metric.scores) == scores


def test_codes_leave_no_scores_of_others(tmp_path):
    """A file of codes has no checkpoint: what lies beside it is replaced."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "codes.npz", codes=rng.normal(size=(200, 3)), labels=rng.integers(3, size=200))
    records.write(Scores({"eval/a": 1.0}, {"eval/a": "a"}, {"a": {}}), {"checkpoint": "abc"}, tmp_path)
    metric = compose_train("metric=score/gtc").metric
    evaluate_codes(
        OmegaConf.create({"run": None, "codes": str(tmp_path / "codes.npz"), "out": None, "seed": 0, "metric": metric})
    )
    assert set(json.loads((tmp_path / "metrics.json").read_text())["protocols"]) == {"gtc"}
