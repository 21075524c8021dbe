"""Evaluation: one encoding pass, metrics by the names of their parameters, figures from what is already there."""

import json
from contextlib import suppress
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from tests.support.configuration import build_model, compose_train
from tests.support.datasets import data_module, squares
from tests.support.models import count_images
from vaezoo.data.sources.digits import digits
from vaezoo.errors import UserError
from vaezoo.evaluation.closing_table import print_scores
from vaezoo.evaluation.embedding import embed
from vaezoo.evaluation.evaluate_model import check_table, evaluate_model
from vaezoo.evaluation.figure_inputs import FigureInputs
from vaezoo.evaluation.inputs import Inputs, Missing, call, constants, provided
from vaezoo.evaluation.metric_inputs import MetricInputs
from vaezoo.evaluation.outputs import Outputs
from vaezoo.evaluation.scores import Scores, evaluate_metrics, select_continuous
from vaezoo.evaluation.table import LatentTable, choose_examples, choose_rows, encode, fingerprint
from vaezoo.metrics.protocol import Skip

PARTS = ("dataset.shape=[1,16,16]", "network=mlpk", "metric=none", "figure=none", "logger=csv", "latent.dim=4")


@pytest.fixture
def told():
    data = data_module(squares)
    model = build_model("model=vae", *PARTS)
    table = encode(model, data, rows=None, test_rows=None, seed=0, batch_size=50)
    return Outputs(model, data, table, "a title")


def test_each_image_is_encoded_once(tmp_path):
    data, model = data_module(squares), build_model("model=vae", *PARTS)
    seen = count_images(model)
    metric = OmegaConf.create({"scores": {}, "rows": 120, "test_rows": 10, "seeds": 3})
    full = compose_train("metric=fast", "figure=default")
    metric.scores = full.metric.scores
    options = {"title": "t", "metric": metric, "figure": full.figure, "seed": 0, "batch_size": 32}
    scores, pictures = evaluate_model(model, data, tmp_path, **options)
    table = np.load(tmp_path / "latents.npz")
    assert sum(seen) == len(table["index"]) == len(np.unique(table["index"]))
    assert len(scores.values) > 20
    assert "traversals" in pictures
    evaluate_model(model, data, tmp_path, **options)
    assert sum(seen) == len(table["index"]), "the second evaluation reads the table"
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    metric.scores = {"gtc": metric.scores.gtc}
    _, elsewhere = evaluate_model(model, data, tmp_path, **options, out=tmp_path / "out")
    assert sum(seen) == len(table["index"]), "other scores elsewhere read the table of the run, too"
    assert {path: path.stat().st_mtime_ns for path in before} == before, "nothing is written into the run"
    assert elsewhere["traversals"] == tmp_path / "out" / "figures" / "traversals.png"
    record = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert len(record["scores"]) > 20, "the scores of the run stay beside the new ones"
    model.encoder.layers[0].weight.data.add_(0.1)
    evaluate_model(model, data, tmp_path, **options, out=tmp_path / "out")
    assert sum(seen) == 2 * len(table["index"]), "other weights need another table"


def test_the_table_holds_what_the_model_says(told):
    table, data, model = told.table, told.data, told.model
    x = data.batch(torch.arange(192)).images
    model.eval()
    with torch.no_grad():
        q = model.encode(x)
        error = (x - model.decode(q.mean).mean).square().flatten(1).sum(1)
    np.testing.assert_allclose(table.codes, q.mean, atol=1e-6)
    np.testing.assert_allclose(table.logvars, q.logvar, atol=1e-6)
    test = table.held_out
    assert np.array_equal(table.index[test], data.rows.test)
    np.testing.assert_allclose(table.squared_error[test], error[test], rtol=1e-5)
    assert np.isnan(table.squared_error[~test]).all()
    assert np.array_equal(table.factors, data.source.factors)


def test_chosen_rows_are_random_sorted_and_always_the_same():
    test = np.arange(0, 1000, 10)
    scored, held_out = choose_rows(1000, test, 50, 20)
    assert len(np.unique(scored)) == 50
    assert len(np.unique(held_out)) == 20
    assert set(held_out) <= set(test)
    assert (np.diff(scored) > 0).all()
    assert np.array_equal(scored, choose_rows(1000, test, 50, 20)[0])
    assert abs(scored.mean() - 500) < 150
    everything, all_test = choose_rows(1000, test, None, None)
    assert len(everything) == 1000
    assert np.array_equal(all_test, test)


def test_evaluation_leaves_the_callers_randomness_and_mode_alone(told):
    told.model.train()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    encode(told.model, told.data, rows=10, test_rows=5, seed=0)
    told.samples(4)
    assert torch.equal(torch.rand(3), expected)
    assert told.model.training


def test_same_seed_same_table(told):
    again = encode(told.model, told.data, rows=None, test_rows=None, seed=0, batch_size=50)
    other = encode(told.model, told.data, rows=None, test_rows=None, seed=1, batch_size=50)
    test = told.table.held_out
    assert np.array_equal(again.log_likelihood[test], told.table.log_likelihood[test])
    assert not np.array_equal(other.log_likelihood[test], told.table.log_likelihood[test])
    assert np.array_equal(other.squared_error[test], told.table.squared_error[test])


def test_tables_are_read_back_only_by_their_identity(told, tmp_path):
    path = tmp_path / "latents.npz"
    told.table.save(path, checkpoint="abc")
    back = LatentTable.load(path, checkpoint="abc")
    assert back is not None
    assert np.array_equal(back.codes, told.table.codes)
    assert LatentTable.load(path, checkpoint="abd") is None
    path.write_bytes(path.read_bytes()[:500])
    assert LatentTable.load(path, checkpoint="abc") is None


def test_fingerprint_follows_the_weights():
    model = build_model("model=vae", *PARTS)
    first = fingerprint(model.state_dict())
    assert first == fingerprint(build_model("model=vae", *PARTS).state_dict())
    model.encoder.layers[0].bias.data[0] += 1e-6
    assert first != fingerprint(model.state_dict())


def test_traversal_changes_one_latent_at_a_time(told):
    a, b, c, d = told.table.codes[7]
    dims = np.array([2, 0])
    images = told.traversal(np.array([3, 7]), dims, np.array([-1.0, 0.0, 5.0]))
    assert images.shape == (2, 2, 3, 1, 16, 16)
    np.testing.assert_allclose(images[1, 1, 2], told.decode(np.array([[5.0, b, c, d]]))[0], atol=1e-6)
    own = told.traversal(np.array([7]), dims, np.array([[1.0, 2.0], [3.0, 4.0]]))
    np.testing.assert_allclose(own[0, 0, 1], told.decode(np.array([[a, b, 2.0, d]]))[0], atol=1e-6)


def test_a_drawn_start_is_one_sample_of_the_posterior(told):
    everything = np.arange(len(told.table.index))
    noise = (told.start_latents(everything, drawn=True) - told.table.codes) / np.exp(told.table.logvars / 2)
    assert abs(noise.mean()) < 0.2
    assert noise.std() == pytest.approx(1, abs=0.1)
    dims, same = np.array([1]), told.start_latents(np.array([7]), drawn=True)[0]
    image = told.traversal(np.array([7]), dims, same[1:2], drawn=True)[0, 0, 0]
    np.testing.assert_allclose(image, told.decode(same[None])[0], atol=1e-6)


def test_examples_are_held_out_images_of_every_class():
    held_out = np.ones(1000, bool)
    held_out[::3] = False
    labels = np.zeros(1000, np.int64)
    labels[[400, 401]] = 7
    chosen = choose_examples(held_out, labels)
    assert held_out[chosen].all()
    assert (np.diff(chosen) > 0).all()
    assert 64 <= len(chosen) <= 65
    assert set(labels[chosen]) == {0, 7}
    assert chosen[0] == 1
    assert chosen[-1] == 998
    assert len(choose_examples(held_out, labels[:0])) == 64
    assert len(choose_examples(np.zeros(5, bool), labels[:5])) == 0


def test_examples_are_kept_as_they_are(told):
    positions = told.spread_examples(5)
    assert len(positions) == 5
    assert set(positions) <= set(told.table.examples)
    assert np.array_equal(told.originals(positions), told.images(positions))
    assert np.array_equal(told.originals(told.table.examples), told.images(told.table.examples))
    assert told.table.factor_names.tolist() == ["size", "y", "x"]
    assert len(told.class_examples()) == 0, "squares have no labels"


def test_a_conditional_model_is_told_the_label_of_each_image():
    data = data_module(digits, name="digits", shape=(1, 8, 8), classes=10)
    model = build_model("model=cvae", "dataset=digits", "metric=none", "figure=none", "logger=csv", "latent.dim=4")
    table = encode(model, data, rows=60, test_rows=20, seed=0)
    told, rows = Outputs(model, data, table, "t"), torch.from_numpy(table.index)
    labels = data.batch(rows).labels
    with torch.no_grad():
        right = model.encode(data.batch(rows).images, labels).mean.numpy()
        wrong = model.encode(data.batch(rows).images, (labels + 1) % 10).mean.numpy()
    np.testing.assert_allclose(table.codes, right, atol=1e-5)
    assert np.abs(table.codes - wrong).max() > 1e-3
    images = told.traversal(np.array([0, 3]), np.array([1]), np.array([0.0, 2.0]))
    expected = told.decode(np.array([[*table.codes[3][:1], 2.0, *table.codes[3][2:]]]), labels[3:4].numpy())
    np.testing.assert_allclose(images[1, 0, 1], expected[0], atol=1e-6)
    swapped = told.swap(np.array([0, 3]), np.array([5, 6, 7]))
    expected = told.decode(np.repeat(table.codes[3:4], 3, axis=0), labels[5:8].numpy())
    np.testing.assert_allclose(swapped[1], expected, atol=1e-6)
    shown = told.class_examples()
    assert np.array_equal(table.labels[shown], np.unique(table.labels[table.held_out]))
    assert table.held_out[shown].all()
    same = np.zeros((10, 4), np.float32)
    assert np.ptp(told.decode(same, np.arange(10)), axis=0).max() > 1e-4, "the class changes the image at fixed z"
    assert told.samples(20).shape == (20, 1, 8, 8)


def test_categories_are_swapped_and_set():
    data = data_module(digits, name="digits", shape=(1, 8, 8), classes=10)
    line = ("model=jointvae", "dataset=digits", "metric=none", "figure=none", "logger=csv", "latent.dim=4")
    model = build_model(*line)
    told = Outputs(model, data, encode(model, data, rows=60, test_rows=20, seed=0), "t")
    codes, modes = told.table.codes, told.modes(np.arange(len(told.table.codes)))
    assert set(np.unique(modes[:, 4:])) == {0, 1}
    swapped = told.swap(np.array([0, 3]), np.array([5, 6, 7]))
    expected = told.decode(np.hstack([np.repeat(codes[3:4, :4], 3, axis=0), modes[5:8, 4:]]))
    np.testing.assert_allclose(swapped[1], expected, atol=1e-6)
    images = told.category_traversal(3, np.array([2, 0]), np.array([-1.0, 1.0]))
    assert images.shape == (2, 10, 2, 1, 8, 8)
    z = np.hstack([codes[3:4, :4], np.eye(10)[6:7]])
    z[0, 0] = 1
    np.testing.assert_allclose(images[1, 6, 1], told.decode(z)[0], atol=1e-6)


def test_kl_per_dim_is_that_of_the_held_out_images(told):
    rows = told.table.held_out
    mean, logvar = told.table.codes[rows].astype(float), told.table.logvars[rows].astype(float)
    expected = [(0.5 * (m**2 + np.exp(v) - v - 1)).mean() for m, v in zip(mean.T, logvar.T, strict=True)]
    np.testing.assert_allclose(told.kl_per_dim, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["model=vae"], None),
        (["model=betatcvae"], None),  # its beta weighs the total correlation
        (["model=betavae", "model.beta=4"], 4.0),
        (["model=betavae", "+schedule@model.beta=linear", "model.beta.end=3", "model.beta.batches=10"], 1.2),
    ],
)
def test_the_weight_of_the_kl_is_that_of_the_last_batch(told, line, expected):
    model = build_model(*line, *PARTS)
    model.batches.fill_(4)
    found = MetricInputs(Outputs(model, told.data, told.table, "t"), None, None).kl_weight
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-6))


# ---- calling metrics -------------------------------------------------------------------------------------------


def test_functions_are_given_what_their_parameters_name():
    def metric(codes, rng, labels=None, *, bins=20):
        return codes, rng, labels, bins

    inputs = Inputs(codes=1, labels=None)
    assert call(metric, inputs, rng=2) == (1, 2, None, 20)
    assert call(partial(metric, bins=5), inputs.replace(labels=3), rng=2) == (1, 2, 3, 5)
    assert constants(partial(metric, bins=5), inputs) == {"bins": 5}
    with pytest.raises(Missing, match="there is no codes"):
        call(metric, inputs.replace(codes=None), rng=2)


def test_an_input_is_computed_once_and_only_when_a_function_names_it():
    computed = []

    class Answers(Inputs):
        @provided()
        def answer(self):
            computed.append("answer")
            return 42

        @provided(unless="nobody has asked")
        def question(self):
            computed.append("question")

        def helper(self):
            raise AssertionError

    inputs = Answers()
    assert call(lambda answer, factor=2: factor * answer, inputs) == 84
    assert call(lambda answer: answer, inputs) == 42
    assert computed == ["answer"]
    with pytest.raises(Missing, match="nobody has asked"):
        call(lambda question: question, inputs)
    with pytest.raises(Missing, match="there is no helper"):
        call(lambda helper: helper, inputs)


def test_every_input_that_may_be_absent_has_a_reason():
    """The model has no posterior and reconstructs nothing; the data have no labels, and no image is held out."""
    data = data_module(digits, name="digits", shape=(1, 8, 8))
    model = build_model("model=catgan", "dataset=digits", "metric=none", "figure=none", "logger=csv")
    table = replace(encode(model, data, rows=20, test_rows=0, seed=0), labels=np.empty(0, np.int64))
    outputs = Outputs(model, data, table, "t")
    figures = FigureInputs(outputs, Scores(), {}, images=4, samples=4, traversal="auto", latents=None, classes=None)
    for inputs in (MetricInputs(outputs, 4, None), figures):
        names = [name for name in dir(inputs) if name in inputs]
        assert len(names) > 30
        for name in names:
            method = getattr(type(inputs), name)
            assert method.__doc__.startswith("Return ")
            with suppress(Skip):
                assert method.unless or getattr(inputs, name) is not None, name


def test_reasons_name_the_rows_before_the_model():
    data, model = data_module(squares), build_model("model=vae", *PARTS)
    reasons = {}
    for rows, test_rows in ((20, 0), (0, 20)):
        table = encode(model, data, rows=rows, test_rows=test_rows, seed=0)
        inputs = MetricInputs(Outputs(model, data, table, "t"), 4, None)
        metrics = {
            "of_all": lambda means: {},
            "of_test": lambda test_means: {},
            "of_density": lambda log_likelihood: {},
        }
        reasons[test_rows] = evaluate_metrics(metrics, inputs, seed=0, repeats=1).skipped
    assert set(reasons[0]) == {"of_test", "of_density"}
    assert all("no held-out images were encoded" in reason for reason in reasons[0].values())
    assert reasons[20] == {"of_all": "no rows were encoded for it (metric.rows=0)"}


@pytest.mark.parametrize(
    ("column", "name"),
    [("codes", "codes"), ("logvars", "logvars"), ("squared_error", "reconstructions"), ("log_likelihood",) * 2],
)
def test_outputs_that_are_not_finite_end_the_evaluation(told, column, name):
    check_table(told.table, told.model)
    values = getattr(told.table, column).copy()
    values[np.flatnonzero(told.table.held_out)[:3]] = np.nan
    with pytest.raises(UserError, match=f"cannot be evaluated: {name} has rows with nan or inf, 3 of"):
        check_table(replace(told.table, **{column: values}), told.model)


def test_codes_without_variance_are_not_laid_out_in_the_plane():
    """The principal components of such codes are NaN, and t-SNE then ends the process by a signal."""
    for codes in (np.zeros((60, 4)), np.full((60, 4), 0.3, np.float32)):
        with pytest.raises(Missing, match="no variance: all 60 rows are the same"):
            embed(codes, None, seed=0)


def drawing(codes, rng, *, times=2):
    return {"score": float(rng.random() * times), "fact": True, "matrix": codes}


def plain(codes):
    return {"mean": float(codes.mean()), "count": 3}


def test_scores_carry_their_protocol():
    codes = np.eye(7, 2)
    metrics = {"drawing": partial(drawing, times=5), "plain": plain}
    scores = evaluate_metrics(metrics, Inputs(codes=codes), seed=4, repeats=3)
    assert set(scores.values) == {"eval/drawing", "eval/drawing/sd", "eval/mean", "eval/count"}
    assert scores.metrics == {"eval/drawing": "drawing", "eval/mean": "plain", "eval/count": "plain"}
    protocol = scores.protocols["drawing"]
    assert {k: protocol[k] for k in ("times", "rows", "seed", "repeats", "fact")} == {
        "times": 5,
        "rows": 7,
        "seed": 4,
        "repeats": 3,
        "fact": True,
    }
    assert protocol["seconds"] >= 0
    assert "seed" not in scores.protocols["plain"]
    assert scores.arrays["drawing"]["matrix"] is codes


def test_what_is_computed_again_without_categories_has_other_keys():
    codes = np.arange(6.0).reshape(3, 2)
    inputs = Inputs(codes=codes)
    metrics = {"drawing": drawing, "plain": plain, "other": lambda test_logvars: {}}
    scores = evaluate_metrics(metrics, inputs, seed=4, repeats=1)
    scores.add(evaluate_metrics(select_continuous(metrics), inputs.replace(codes=codes[:, :1]), seed=4, repeats=1))
    assert scores.values["eval/mean"] == 2.5
    assert scores.values["eval/mean_continuous"] == 2.0
    assert {"eval/drawing", "eval/drawing_continuous"} <= scores.values.keys()
    assert set(scores.skipped) == {"other"}


def test_arrays_with_names_are_a_table():
    def named(codes):
        shares = np.array([0.5, 0.75])
        return {"names": np.array(["Bald", "Hat"]), "accuracy": shares, "vectors": np.ones((2, 3)), "mean": 0.6}

    scores = evaluate_metrics({"named": named, "drawing": drawing}, Inputs(codes=np.eye(7, 2)), seed=4, repeats=1)
    assert scores.tables == {"named": {"Bald": {"accuracy": 0.5}, "Hat": {"accuracy": 0.75}}}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_score_without_a_finite_value_has_no_deviation(value):
    metrics = {"limit": lambda codes, rng: {"score": value}}
    scores = evaluate_metrics(metrics, Inputs(codes=np.eye(7, 2)), seed=4, repeats=3)
    np.testing.assert_equal(scores.values, {"eval/limit": value})


def test_the_closing_table_shows_each_protocol_once(capsys):
    def declines(codes):
        raise Skip("needs vaezoo[fid]")

    metrics = {"drawing": partial(drawing, times=5), "plain": plain, "declines": declines}
    print_scores(evaluate_metrics(metrics, Inputs(codes=np.eye(7, 2)), seed=4, repeats=3), "a run")
    out = capsys.readouterr().out
    assert out.count("rows 7") == 2
    assert "times 5" in out
    assert " ± " in out
    assert "vaezoo[fid]" in out
    assert "count" in out


def test_repeats_are_independent_and_other_metrics_do_not_disturb_them():
    inputs = Inputs(codes=np.eye(7, 2))
    alone = evaluate_metrics({"a": drawing}, inputs, seed=0, repeats=2)
    beside = evaluate_metrics({"b": drawing, "a": drawing}, inputs, seed=0, repeats=2)
    assert alone.values["eval/a"] == beside.values["eval/a"] != beside.values["eval/b"]
    assert alone.values["eval/a/sd"] > 0


def test_what_does_not_apply_or_fails_is_skipped_with_a_reason(caplog):
    def declines(codes):
        raise Skip("only one code")

    def needs(factors):
        raise AssertionError

    def fails(codes):
        raise ZeroDivisionError("oops")

    metrics = {"declines": declines, "needs": needs, "fails": fails, "plain": plain}
    scores = evaluate_metrics(metrics, Inputs(codes=np.eye(3, 2)), seed=0, repeats=1)
    assert scores.skipped == {
        "declines": "only one code",
        "needs": "there is no factors",
        "fails": "failed: ZeroDivisionError: oops",
    }
    assert scores.values["eval/mean"] == 1 / 3
    assert "fails" in caplog.text


def test_infinite_scores_are_written_as_text(tmp_path):
    from vaezoo.runs.files import write_json

    write_json(tmp_path / "x.json", {"a": float("inf"), "b": [np.float32(1.5), float("nan")], "c": np.int64(2)})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": "inf", "b": [1.5, "nan"], "c": 2}
