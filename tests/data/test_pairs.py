"""Pairs of images that share factors: which rows are drawn, how often, and in which batches."""

from itertools import product

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from pytorch_lightning import Trainer

from tests.support.command_line import BARE, QUICK, same_weights, train, train_in
from tests.support.configuration import build_model, choose_line, compose_train
from vaezoo.data.batches import TrainingOrder
from vaezoo.data.pairs import Pairs
from vaezoo.errors import UserError
from vaezoo.training.chunks import ChunkedModel, order_rows

SIZES = (3, 4, 5)
FACTORS = np.array(list(product(*map(range, SIZES))))
ALL = np.arange(len(FACTORS))
LINE = ["dataset=digits", *choose_line("adagvae"), *BARE]


@pytest.mark.parametrize("changed", [1, 2])
def test_the_share_of_each_difference_is_the_one_that_counting_gives(changed):
    """Of `changed` factors at random, each takes any of its levels: counted over all choices and all levels."""
    expected = dict.fromkeys(product((False, True), repeat=3), 0.0)
    choices = [c for c in product((False, True), repeat=3) if sum(c) == changed]
    for choice in choices:
        for levels in product(*(range(s) if c else [0] for s, c in zip(SIZES, choice, strict=True))):
            differs = tuple(level > 0 for level in levels)
            expected[differs] += 1 / len(choices) / np.prod([s for s, c in zip(SIZES, choice, strict=True) if c])
    rows = np.repeat(ALL, 500)
    partners = Pairs("grid", FACTORS, ALL, changed).draw(rows, np.random.default_rng(0))
    differs = FACTORS[rows] != FACTORS[partners]
    for difference, share in expected.items():
        assert (differs == difference).all(axis=1).mean() == pytest.approx(share, abs=0.012), difference
    assert differs.sum(axis=1).max() == changed


def test_a_random_number_of_factors_may_differ():
    rows = np.repeat(ALL, 500)
    pairs = Pairs("grid", FACTORS, ALL, None)
    partners = pairs.draw(rows, np.random.default_rng(0))
    number = (FACTORS[rows] != FACTORS[partners]).sum(axis=1)
    assert number.max() == 2  # at least one factor is shared
    halves = [Pairs("grid", FACTORS, ALL, n).draw(rows, np.random.default_rng(1)) for n in (1, 2)]
    mixed = np.mean([(FACTORS[rows] != FACTORS[half]).sum(axis=1).mean() for half in halves])
    assert number.mean() == pytest.approx(mixed, abs=0.02)
    counts = np.bincount(partners, minlength=len(ALL)) / 500
    assert counts == pytest.approx(1, abs=0.25)  # no row is drawn more often than another


def test_partners_come_from_the_pool_alone_and_from_all_of_it():
    pool = np.random.default_rng(0).permutation(ALL)[:30]
    rows = np.repeat(pool, 400)
    partners = Pairs("part", FACTORS, pool, 1).draw(rows, np.random.default_rng(0))
    assert set(partners) <= set(pool)
    shared = (FACTORS[pool][:, None] == FACTORS[pool]).sum(axis=2) >= 2  # pairs that some choice of a factor allows
    drawn = np.zeros(shared.shape, bool)
    place = {row: i for i, row in enumerate(pool)}
    drawn[[place[r] for r in rows], [place[r] for r in partners]] = True
    assert (drawn == shared).all()


def test_the_halves_of_every_batch_are_pairs():
    rows = torch.from_numpy(np.random.default_rng(0).permutation(ALL))
    pairs = Pairs("grid", FACTORS, ALL, 1)
    for sizes in (20, [12, 8, 40]):
        batches = pairs.complete(rows, sizes, seed=0).split(sizes)
        for batch, before in zip(batches, rows.split(sizes), strict=True):
            firsts, partners = batch.chunk(2)
            assert torch.equal(firsts, before.chunk(2)[0])
            assert ((FACTORS[firsts] != FACTORS[partners]).sum(axis=1) <= 1).all()


def test_the_order_is_a_function_of_the_seed_and_the_batch():
    """Read from the middle of a later epoch it is the same, and without pairs it is as it was."""

    def order(seed=0, pairs=Pairs("grid", FACTORS, ALL, None)):  # noqa: B008
        return TrainingOrder(ALL, 8, seed, pairs=pairs)

    through = order()
    batches = torch.cat([through.batches(n, 1) for n in range(21)])
    assert torch.equal(order().batches(16, 5), batches[16:21])
    assert not torch.equal(order(seed=1).batches(0, 7), batches[:7])
    assert torch.equal(order(pairs=None).batches(3, 1)[:, :4], batches[3:4, :4])
    assert not torch.equal(batches[:7, 4:], batches[7:14, 4:])  # another epoch has other partners


@pytest.mark.parametrize(
    ("factors", "changed", "message"),
    [
        (None, None, "dataset=mine has no ground-truth factors, and this model sees pairs"),
        (FACTORS[:, :1], None, "1 varies"),
        (FACTORS * (1, 1, 0), 2, "changed_factors=2: must be less than the 2 factors"),
        (np.random.default_rng(0).integers(2, size=(50, 40)), None, "40 factors are too many"),
        (np.random.default_rng(0).integers(10**6, size=(50, 4)), None, "fewer levels"),
    ],
)
def test_what_makes_no_pairs_is_refused(factors, changed, message):
    with pytest.raises(UserError, match=message):
        Pairs("mine", factors, ALL[:50], changed)


def test_a_data_set_without_factors_is_refused_before_training(in_tmp, monkeypatch, capsys):
    assert train(monkeypatch, "model=adagvae", *QUICK, *BARE, "max_batches=5", "hydra.run.dir=run") == 2
    assert "dataset=digits has no ground-truth factors" in capsys.readouterr().err
    assert not list(in_tmp.glob("run/**/*.ckpt"))


def test_a_run_that_goes_on_sees_the_same_pairs(in_tmp, monkeypatch):
    line = [*LINE, "val_every=10", "log_every=5", "callbacks.progress=false"]
    whole = train_in("whole", *line, "max_batches=12")
    parts = train_in("parts", *line, "max_batches=5")
    assert train(monkeypatch, "run=parts", "max_batches=12") == 0
    assert same_weights(parts, whole)
    assert not same_weights(whole, train_in("other", *line, "max_batches=12", "model.changed_factors=1", "seed=1"))


def test_training_and_validation_batches_hold_pairs():
    """Training partners are training rows; those of validation rows come from both parts, never from the test part."""
    data, model = instantiate(compose_train(*LINE).dataset), build_model(*LINE)
    data.setup()
    data.place(torch.device("cpu"))
    factors = data.source.factors

    def check(batch, pool):
        firsts, partners = (half.numpy() for half in batch.chunk(2))
        assert ((factors[firsts] == factors[partners]).sum(axis=1) >= 1).all()
        assert set(partners) <= set(pool)

    for batch in order_rows(data, model).batches(0, 3):
        check(batch, data.rows.train)
    chunked = ChunkedModel(
        model, data, None, None, None, 10, [], lr_schedule={}, shows_batches=False, trained_before=True
    )
    for batch in chunked.val_dataloader():
        check(batch.rows, np.concatenate([data.rows.train, data.rows.val]))


def test_a_plain_trainer_is_told_that_it_makes_no_pairs():
    data, model = instantiate(compose_train(*LINE).dataset), build_model(*LINE)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    with pytest.raises(UserError, match="needs a DataLoader of yours"):
        Trainer(max_epochs=1, enable_model_summary=False, **quiet).fit(model, datamodule=data)
