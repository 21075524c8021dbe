"""A small data set that is fetched."""

import hashlib

import numpy as np

from vaezoo.data.files import fetch as module
from vaezoo.data.files.find import DataFile, DataFiles

# Whole blocks, also the half of the rest: what a broken connection leaves of a block is not kept.
DATA = np.random.default_rng(0).bytes(4 * module.BLOCK)


FILE = DataFile("toy.bin", len(DATA), hashlib.md5(DATA).hexdigest(), hashlib.sha256(DATA).hexdigest())


def toy(*mirrors: str, files: tuple[DataFile, ...] = (FILE,)) -> DataFiles:
    return DataFiles("toy", files, homepage="https://toy.example/", licence="none", mirrors=mirrors)
