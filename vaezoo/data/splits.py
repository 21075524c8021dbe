"""Splits of a data set into training, validation and test rows."""

from typing import NamedTuple

import numpy as np

from vaezoo.errors import UserError
from vaezoo.seeds import derive


class Split(NamedTuple):
    """The rows of each part."""

    train: np.ndarray
    val: np.ndarray  # in random order, because a batch of neighbours on a factor grid would distort batch statistics
    test: np.ndarray


def split_rows(
    count: int,
    split: str,
    val_images: int,
    seed: int,
    groups: np.ndarray | None = None,
    test_images: int | None = None,
    mask: np.ndarray | None = None,
) -> Split:
    """Split `count` rows into three parts.

        all        every row trains, validates and tests
        random90   a random tenth tests, the rest trains
        official   the last `test_images` rows test, the rest trains

    `val_images` random rows of the training part validate. The split depends on `seed` alone, never on the seed of a
    run. Images of one of the `groups` (count,) come into the same part: test and validation then end before the group
    that would not fit whole. Only those rows train and validate for which `mask` (count,) is true; the test part does
    not depend on it.

    Raises UserError if no training images are left.
    """
    order = np.random.default_rng(derive(seed, "split")).permutation(count)
    left = np.ones(count, dtype=bool) if mask is None else mask[order]

    def check_count(training: int) -> None:
        if val_images >= training:
            of = f"{count}" if mask is None else f"the {training} that dataset.where and dataset.correlate leave"
            raise UserError(f"dataset.val_images={val_images} leaves no training images of {of}.")

    if split == "official":
        assert test_images is not None
        left &= order < count - test_images
        check_count(left.sum())
        val, train = np.split(order[left], [val_images])
        return Split(np.sort(train), val, np.arange(count - test_images, count))
    if split == "all":
        check_count(left.sum())
        return Split(np.sort(order[left]), order[left][:val_images], np.arange(count))
    turn = np.arange(count)  # the place in `order` of the image, or of the first image of its group
    if groups is not None:
        _, first, group = np.unique(groups[order], return_index=True, return_inverse=True)
        turn = first[group]
    end_of_test = np.sort(turn)[count // 10]
    left |= turn < end_of_test
    turns = np.sort(turn[left])
    check_count(len(turns) - count // 10)
    part = np.searchsorted([end_of_test, turns[count // 10 + val_images]], turn, side="right")
    test, val, train = (order[left & (part == i)] for i in range(3))
    return Split(np.sort(train), val, np.sort(test))
