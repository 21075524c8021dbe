"""Factor shifts: which training rows a condition or a correlation leaves, and that nothing else changes."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.configuration import check_line, compose_train
from tests.support.datasets import data_module, squares
from vaezoo.data.shifts import select_rows
from vaezoo.data.splits import split_rows
from vaezoo.errors import UserError

SIZES = (3, 6, 8)
NAMES = ("shape", "scale", "pos x")
GRID = np.stack(np.unravel_index(np.arange(144), SIZES), axis=1).astype(np.uint8)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("shape != 2", lambda shape, scale, x: shape != 2),
        ("shape != 2 or scale < 3", lambda shape, scale, x: shape != 2 or scale < 3),
        ("not (shape == 1 and pos_x >= 4)", lambda shape, scale, x: not (shape == 1 and x >= 4)),
        ("1 < scale <= 3 and shape in [0, 2]", lambda shape, scale, x: 1 < scale <= 3 and shape in [0, 2]),
        ("scale not in (0, 5)", lambda shape, scale, x: scale not in (0, 5)),
        ("pos_x > scale", lambda shape, scale, x: x > scale),
        ("scale < 300 and shape == 0", lambda shape, scale, x: shape == 0),
    ],
)
def test_conditions_mean_what_python_means(where, expected):
    rows = select_rows(GRID, NAMES, where, None, 0)
    assert rows.tolist() == [bool(expected(*map(int, row))) for row in GRID]


@pytest.mark.parametrize(
    ("where", "complaint"),
    [
        ("shap != 2", "dataset.where=shap != 2: there is no factor 'shap'. Did you mean 'shape'. Known: shape, scale"),
        ("shape != 2 or", "cannot be read. It compares factors with whole numbers"),
        ("shape", "'shape' is no comparison"),
        ("shape + 1 == 2", "'shape \\+ 1 == 2' compares no factor"),
        ("shape == 1.5", "'shape == 1.5' is no comparison that it knows"),
        ("shape == True", "is no comparison that it knows"),
        ("shape in 2", "is no comparison that it knows"),
        ("shape in [scale]", "is no comparison that it knows"),
        ("shape is 2", "is no comparison that it knows"),
        ("1 < 2", "'1 < 2' compares no factor"),
        ("__import__('os').system('true')", "is no comparison"),
        ("shape == 0 and shape == 1", "No image is left by dataset.where=shape == 0 and shape == 1"),
    ],
)
def test_other_conditions_are_refused(where, complaint):
    with pytest.raises(UserError, match=complaint):
        select_rows(GRID, NAMES, where, None, 0)


def test_a_condition_that_holds_out_nothing_is_told(caplog):
    assert select_rows(GRID, NAMES, "shape < 3", None, 0).all()
    assert "every image satisfies it" in caplog.text


@pytest.mark.parametrize("sigma", [0.1, 0.4, 2.0])
def test_correlated_factors_have_the_frequencies_of_the_formula(sigma):
    copies = 2000
    factors = np.repeat(GRID, copies, axis=0)
    rows = select_rows(factors, NAMES, None, {"factors": ["pos_x", "scale"], "sigma": sigma}, 0)
    found, expected = np.zeros((8, 6)), np.zeros((8, 6))
    for x, scale in factors[rows][:, [2, 1]].tolist():
        found[x, scale] += 1
    for x in range(8):
        for scale in range(6):
            # In classes: alpha = 7 / 5 maps the scales onto the positions, and sigma is a share of their range.
            expected[x, scale] = 3 * copies * np.exp(-((x - 7 / 5 * scale) ** 2) / (2 * (7 * sigma) ** 2))
    assert (
        np.abs(found - expected) <= 5 * np.sqrt(expected * (1 - expected / (3 * copies))) + 1e-9 + 3 * (expected < 1)
    ).all()
    assert found[0, 0] == found[7, 5] == 3 * copies
    assert np.bincount(factors[rows][:, 0]) == pytest.approx(rows.sum() / 3, rel=0.05)  # the third factor stays free


def test_correlation_on_rows_without_the_diagonal():
    """The most probable combination that is there is kept as a whole."""
    away = GRID[np.abs(GRID[:, 1] / 5 - GRID[:, 2] / 7) > 0.5]
    rows = select_rows(away, NAMES, None, {"factors": ["scale", "pos_x"], "sigma": 0.05}, 0)
    gap = np.abs(away[:, 1] / 5 - away[:, 2] / 7)
    assert rows[gap < gap.min() + 1e-9].all()


def test_the_draw_follows_the_seed_of_the_split():
    asked = {"factors": ["shape", "scale"], "sigma": 0.3}
    first, again, other = (select_rows(GRID, NAMES, None, asked, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_sets_without_factors_are_refused():
    with pytest.raises(UserError, match="need ground-truth factors; this data set has none"):
        select_rows(None, (), "shape == 1", None, 0)


@pytest.mark.parametrize("split", ["random90", "official", "all"])
def test_only_training_and_validation_are_shifted(split):
    left = np.random.default_rng(1).random(1000) < 0.3
    plain, shifted = (split_rows(1000, split, 50, 0, None, 100, mask) for mask in (None, left))
    assert np.array_equal(shifted.test, plain.test)
    assert left[shifted.train].all()
    assert left[shifted.val].all()
    assert len(shifted.val) == 50
    together = np.union1d(shifted.train, shifted.val)
    assert np.array_equal(
        together, np.flatnonzero(left) if split == "all" else np.setdiff1d(np.flatnonzero(left), plain.test)
    )
    assert np.ptp(shifted.val) > 500
    if split != "all":
        assert not set(shifted.val) & set(shifted.train)


def test_a_shift_keeps_groups_together():
    groups = np.repeat(np.arange(100), 9)
    left = np.arange(900) % 9 < 4
    plain, shifted = (split_rows(900, "random90", 40, 0, groups, None, mask) for mask in (None, left))
    assert np.array_equal(shifted.test, plain.test)
    assert not set(groups[shifted.train]) & {*groups[shifted.val], *groups[shifted.test]}
    assert 30 < len(shifted.val) <= 40


def test_a_shift_that_leaves_too_little():
    with pytest.raises(UserError, match=r"val_images=20 leaves no training images of the [0-4] that dataset.where and"):
        data_module(where="size == 0 and y == 0 and x < 4", split="random90")


def test_the_module_shifts_what_trains():
    data = data_module(where="size != 1")
    assert (data.source.factors[data.rows.train][:, 0] != 1).all()
    assert (data.source.factors[data.rows.val][:, 0] != 1).all()
    assert np.array_equal(data.rows.test, data_module().rows.test)
    fewer = data_module(where="size != 1", correlate={"factors": ["x", "y"], "sigma": 0.2})
    assert set(fewer.rows.train) < {*data.rows.train, *data.rows.val}
    assert len(data.source) == len(squares())


def test_a_condition_without_quotes_of_its_own():
    with pytest.raises(UserError, match=r"cannot be read as key=value .*quotes inside the shell's"):
        check_line(["dataset.where=shape != 2"])


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("dataset.where='shape+1'", r"dataset.where=shape\+1: must be a condition on factors: 'shape \+ 1' is no comp"),
        ("dataset.where=3", "must be a condition on factors, such as"),
        ("dataset.correlate={factors:[shape],sigma:0.2}", "must be two factors and a number above 0"),
        ("dataset.correlate={factors:[shape,scale],sigma:0}", "must be two factors and a number above 0"),
        ("dataset.correlate={factors:[shape,scale]}", "must be two factors and a number above 0"),
        ("dataset.correlate=scale", "must be two factors and a number above 0, .*, or null"),
    ],
)
def test_mistakes_are_refused_before_data_are_read(line, complaint):
    with pytest.raises(UserError, match=complaint):
        check_line(["dataset=dsprites", line])


def test_a_run_on_shifted_data(in_tmp):
    """The estimators of a total correlation are told how many images train."""
    import torch

    from vaezoo.training.run import train

    line = "dataset=rotateddigits dataset.size=8 dataset.split_by=source model=betatcvae max_batches=2 metric=fast"
    shift = ["dataset.where='angle not in [3, 4]'", "dataset.correlate={factors:[source,angle],sigma:0.3}"]
    quick = ["metric.rows=300", "metric.test_rows=50", "logger=csv", "figure=none", "callbacks.progress=false"]
    check_line([*line.split(), *shift])
    train(compose_train(*line.split(), *shift, *quick, f"folder={in_tmp}"))
    state = torch.load(in_tmp / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert 0 < state["train_images"] < 1797 * 7 * 0.9
    assert "eval/mig_hist" in json.loads(Path("metrics.json").read_text(encoding="utf-8"))["scores"]
