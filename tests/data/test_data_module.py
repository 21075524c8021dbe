"""The data module: splits, order, decoding, residence, and what it refuses."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.support.datasets import data_module, squares
from vaezoo.data.batches import Batch, TrainingOrder
from vaezoo.data.images import ImageArrays
from vaezoo.data.module import ImageDataModule
from vaezoo.data.splits import split_rows
from vaezoo.data.store import ImageStore, fits
from vaezoo.errors import UserError


def training_order(data: ImageDataModule) -> TrainingOrder:
    return TrainingOrder(data.rows.train, data.batch_size, data.seed)


def take(data: ImageDataModule, count: int) -> list[Batch]:
    """Return the first training batches."""
    order = training_order(data)
    return [data.batch(order.batches(number, 1)[0]) for number in range(count)]


def test_split_sizes_of_dsprites():
    """A random tenth tests; validation is taken from the 663,552 others."""
    parts = split_rows(737_280, "random90", 1024, seed=0)
    assert [len(rows) for rows in parts] == [663_552 - 1024, 1024, 73_728]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(737_280))


def test_split_depends_on_its_seed_alone():
    first, again, other = (split_rows(1000, "random90", 10, seed) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first.test, other.test)
    data = [data_module(seed=seed) for seed in (0, 7)]
    assert np.array_equal(data[0].rows.test, data[1].rows.test)


def test_split_all_trains_and_tests_on_everything():
    parts = split_rows(100, "all", 10, seed=0)
    assert [len(rows) for rows in parts] == [100, 10, 100]


@pytest.mark.parametrize("split", ["all", "random90"])
def test_validation_batches_are_not_neighbours(split):
    """Batch statistics of images that follow one another on a factor grid say nothing about random batches."""
    rows = split_rows(100_000, split, 1000, seed=0).val
    spread = np.ptp(rows.reshape(-1, 50), axis=1)
    assert spread.min() > 80_000


def test_batches_hold_the_images_of_their_rows():
    data = data_module()
    expected = np.unpackbits(data.source.images, axis=1).reshape(-1, 1, 16, 16).astype(np.float32)
    for batch in take(data, 40):
        assert batch.images.dtype == torch.float32
        assert np.array_equal(batch.images.numpy(), expected[batch.rows.numpy()])


def test_bytes_are_scaled_to_the_unit_interval():
    images = np.arange(4 * 3 * 2 * 2, dtype=np.uint8).reshape(4, 3, 2, 2)
    source = ImageArrays("bytes", images, (3, 2, 2), {}, scale=47)
    store = ImageStore(source, torch.device("cpu"))
    got = store[torch.tensor([3, 0])]
    assert torch.equal(got, torch.from_numpy(images[[3, 0]]).float() / 47)
    assert got.max() == 1


@pytest.mark.parametrize("packed", [True, False])
def test_mapped_images_give_the_batches_of_those_in_memory(tmp_path, packed):
    source = squares() if packed else replace(squares(), images=unpacked(squares()), packed=False)
    np.save(tmp_path / "images.npy", source.images)
    mapped = replace(source, images=np.load(tmp_path / "images.npy", mmap_mode="r"))
    torch.set_warn_always(True)  # torch says only once in a process that an array is not writable
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            stores = [data_module(lambda arrays=arrays: arrays) for arrays in (source, mapped)]
            for one, other in zip(*(take(data, 30) for data in stores), strict=True):
                assert torch.equal(one.rows, other.rows)
                assert torch.equal(one.images, other.images)
    finally:
        torch.set_warn_always(False)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("residence", ["device", "host"])
@pytest.mark.parametrize("mapped", [True, False])
def test_batches_on_a_gpu_are_those_on_the_cpu(tmp_path, residence, mapped):
    source = squares()
    np.save(tmp_path / "images.npy", source.images)
    if mapped:
        source = replace(source, images=np.load(tmp_path / "images.npy", mmap_mode="r"))
    index = torch.randperm(192)
    store = ImageStore(source, torch.device("cuda"), residence)
    assert torch.equal(store[index].cpu(), ImageStore(squares(), torch.device("cpu"))[index])


@pytest.mark.parametrize(("residence", "pinned"), [("host", 3), ("device", 0), ("auto", 0)])
def test_what_stays_on_the_host_is_pinned_and_nobody_waits_for_its_transfer(residence, pinned, monkeypatch):
    """On a device without data: the whole images are pinned once, then the images and labels of each batch."""
    pins, transfers = [], []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda values: pins.append(values.shape) or values)

    class Transfers(TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, arguments=(), options=None):
            if operation.overloadpacket.__name__ == "_to_copy" and not arguments[0].is_meta:
                transfers.append((options or {}).get("non_blocking", False))
            return operation(*arguments, **(options or {}))

    data = data_module(lambda: replace(squares(), labels=np.arange(192) % 3), residence=residence)
    data.place(torch.device("meta"))
    rows = torch.arange(8, device=data.store.index_device)
    with Transfers():
        batch = data.batch(rows)
    assert batch.images.is_meta
    assert batch.labels.is_meta
    assert len(pins) == pinned
    assert transfers == [True, True][:pinned]


@pytest.mark.parametrize(("free", "resident"), [(1000, False), (2001, True)])
def test_images_are_brought_to_a_card_that_keeps_half_of_its_memory_free(free, resident, monkeypatch):
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (free, 10_000))
    assert fits(torch.zeros(1000, dtype=torch.uint8), torch.device("cuda")) is resident


def unpacked(source: ImageArrays) -> np.ndarray:
    return np.unpackbits(source.images, axis=1).reshape(-1, *source.shape)


def test_every_epoch_is_another_permutation_without_its_short_batch():
    data = data_module()
    per_epoch = len(data.rows.train) // 8
    batches = take(data, 2 * per_epoch)
    first, second = (torch.cat([b.rows for b in part]) for part in (batches[:per_epoch], batches[per_epoch:]))
    for epoch in (first, second):
        assert len(set(epoch.tolist())) == per_epoch * 8
        assert set(epoch.tolist()) <= set(data.rows.train.tolist())
    assert not torch.equal(first, second)


@pytest.mark.parametrize("start", [1, 18, 19, 40, 123])
@pytest.mark.parametrize("count", [1, 3, 50])
def test_several_batches_at_once_are_those_one_by_one_up_to_the_end_of_an_epoch(start, count):
    data = data_module()
    several = training_order(data).batches(start, count)
    assert len(several) == min(count, 19 - start % 19)
    single = take(data, start + len(several))[start:]
    assert torch.equal(several, torch.stack([batch.rows for batch in single]))


def test_a_plain_loader_gives_the_same_epochs():
    data = data_module()
    loader = data.train_dataloader()
    assert (len(loader), len(loader.dataset)) == (19, 153)
    expected = take(data, 38)
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        for batch, known in zip(loader, expected[19 * epoch : 19 * (epoch + 1)], strict=True):
            assert torch.equal(batch.rows, known.rows)
            assert torch.equal(batch.images, known.images)
    assert loader.dataset[3].images.shape == (1, 16, 16)


def test_plain_loaders_of_validation_and_test_read_every_row_once():
    data = data_module()
    for loader, rows in ((data.val_dataloader(), data.rows.val), (data.test_dataloader(), data.rows.test)):
        assert np.array_equal(torch.cat([batch.rows for batch in loader]).numpy(), rows)


def test_order_follows_the_seed():
    first, again, other = (take(data_module(seed=seed), 3)[-1].rows for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_evaluation_reads_every_row_once_in_order():
    data = data_module()
    batches = list(data.batches(data.rows.test, 7))
    assert np.array_equal(torch.cat([b.rows for b in batches]).numpy(), data.rows.test)
    assert len(batches) == len(data.batches(data.rows.test, 7))


def test_labels_travel_with_their_images():
    from vaezoo.data.sources.digits import digits

    data = data_module(digits, name="digits", shape=(1, 8, 8))
    batch = take(data, 1)[0]
    assert np.array_equal(batch.labels.numpy(), data.source.labels[batch.rows.numpy()])
    assert batch.labels.dtype == torch.int64
    assert data_module().batch(torch.tensor([0])).labels is None


def test_a_source_of_another_shape_is_refused():
    with pytest.raises(UserError, match=r"holds images of \(1, 16, 16\), but dataset.shape=\(1, 64, 64\)"):
        data_module(shape=(1, 64, 64))


def test_a_split_without_training_images_is_refused():
    with pytest.raises(UserError, match="val_images=180 leaves no training images of 192"):
        data_module(val_images=180)


def test_a_batch_larger_than_the_training_part_is_refused():
    with pytest.raises(UserError, match="batch_size=500 is larger than the 153 training images"):
        training_order(data_module(batch_size=500))


def test_options_reach_the_source():
    from vaezoo.data.sources.digits import digits

    data = data_module(digits, name="digits", shape=(1, 16, 16), size=16)
    assert data.source.shape == (1, 16, 16)


def test_arrays_that_contradict_themselves_are_refused():
    with pytest.raises(ValueError, match="expected uint8"):
        ImageArrays("x", np.zeros((2, 1, 4, 4), np.float32), (1, 4, 4), {})
    with pytest.raises(ValueError, match="2 images, but 3 rows"):
        ImageArrays("x", np.zeros((2, 1, 4, 4), np.uint8), (1, 4, 4), {}, labels=np.zeros(3))
