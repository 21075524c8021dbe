"""A small data set that is prepared, as fast as a test wants."""

import time
from pathlib import Path

import numpy as np

from vaezoo.data.files.prepare import prepare_images

COUNT, SHAPE = 50, (3, 4, 4)


RECIPE = {"source": "d41d8cd98f00b204e9800998ecf8427e", "crop": "center148", "size": 4}


def images(start: int, stop: int) -> np.ndarray:
    """Each image differs from the others."""
    seeds = np.random.default_rng(0).integers(256, size=(COUNT, *SHAPE), dtype=np.uint8)
    return seeds[start:stop]


def logged(log: Path, start: int, stop: int) -> np.ndarray:
    """Writes down what was asked for, in one line an image."""
    with log.open("a", encoding="utf-8") as stream:
        stream.write("".join(f"{i}\n" for i in range(start, stop)))
    return images(start, stop)


HELD = 21


def held(log: Path, start: int, stop: int) -> np.ndarray:
    """Gives 21 images; the others have to wait until a file "go" lies beside the log."""
    while start >= HELD and not log.with_name("go").exists():
        time.sleep(0.01)
    return logged(log, start, stop)


def make(function=images, **options) -> np.ndarray:
    return prepare_images("toy", RECIPE, COUNT, SHAPE, function, **{"chunk": 7, **options})
