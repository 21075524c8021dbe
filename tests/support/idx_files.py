"""Small files in the format of MNIST."""

import numpy as np

TRAIN, TEST = 30, 10


def idx(array: np.ndarray) -> bytes:
    header = np.array([0x0800 + array.ndim, *array.shape], ">u4").tobytes()
    return header + array.astype(np.uint8).tobytes()


def payloads(seed: int = 0) -> dict[str, bytes]:
    rng = np.random.default_rng(seed)
    held = {}
    for part, count in (("train", TRAIN), ("t10k", TEST)):
        held[f"{part}-images-idx3-ubyte"] = idx(rng.integers(256, size=(count, 28, 28)))
        held[f"{part}-labels-idx1-ubyte"] = idx(np.arange(count) % 10)
    return held
