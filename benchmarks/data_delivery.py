"""How fast batches come: made by index in the store, or by a torch DataLoader with two workers over the same arrays.

    python benchmarks/data_delivery.py [rounds=5] [seconds=4] [batch_size=64] [colour_images=20000] [workers=2]
                                       [threads=1] [results=FILE]

Both deliver shuffled float32 batches on the device that trains, and take turns in one process. The ratio of a round is
the store's images a second over the loader's. With a GPU the store is
measured with the images on it and with the images in pinned host memory. The sets are dSprites, packed to bits, and
random bytes in the shape of CelebA (64x64 RGB; `colour_images=202599` is its full size, 2.5 GB).

The store works in one thread here, as each of the workers does. More of them help it on idle cores, but threads that
wait for one another on busy cores would measure who else is at work there.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial

import interleaved
import numpy as np
import tables
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vaezoo.data.batches import TrainingOrder
from vaezoo.data.images import ImageArrays
from vaezoo.data.sources.dsprites import dsprites
from vaezoo.data.store import ImageStore

DEFAULTS = {"seconds": 4.0, "batch_size": 64, "colour_images": 20_000, "workers": 2}
WARM_UP = 5  # batches, so that the start of the workers does not count


class OneByOne(Dataset):
    """The usual way: one image at a time, decoded in a worker."""

    def __init__(self, arrays: ImageArrays) -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, i: int) -> Tensor:
        stored = self.arrays.images[i]
        pixels = np.unpackbits(stored) if self.arrays.packed else stored
        return torch.from_numpy(pixels.reshape(self.arrays.shape).astype(np.float32) / self.arrays.scale)


def colour(count: int) -> ImageArrays:
    images = np.random.default_rng(0).integers(256, size=(count, 3, 64, 64), dtype=np.uint8)
    return ImageArrays("colour", images, (3, 64, 64), {"origin": "random"})


def from_store(
    arrays: ImageArrays, device: torch.device, batch_size: int, residence: str
) -> Callable[[], Iterator[Tensor]]:
    store = ImageStore(arrays, device, residence)
    order = TrainingOrder(np.arange(len(arrays)), batch_size, 0, store.index_device)
    return lambda: (store[order.batches(number, 1)[0]] for number in itertools.count())


def from_loader(
    arrays: ImageArrays, device: torch.device, batch_size: int, workers: int
) -> Callable[[], Iterator[Tensor]]:
    loader = DataLoader(
        OneByOne(arrays),
        batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        pin_memory=device.type == "cuda",
    )

    def endless() -> Iterator[Tensor]:
        while True:
            yield from (batch.to(device, non_blocking=True) for batch in loader)

    return endless


def rate(batches: Iterator[Tensor], device: torch.device, seconds: float) -> float:
    """Images a second."""
    for _ in range(WARM_UP):
        next(batches)
    began, count = interleaved.now(device), 0
    while time.perf_counter() - began < seconds:
        count += len(next(batches))
    return count / (interleaved.now(device) - began)


def main() -> None:
    asked = interleaved.own_options({**DEFAULTS, "threads": 1})
    device = interleaved.set_up(asked.threads)
    residences = ("device", "host") if device.type == "cuda" else ("host",)  # of a CPU they are the same
    print(f"{device.type}, batches of {asked.batch_size}, {asked.rounds} rounds of {asked.seconds:g} s each")
    for arrays in (dsprites(), colour(asked.colour_images)):
        streams = {"loader": from_loader(arrays, device, asked.batch_size, asked.workers)}
        streams |= {f"store {where}": from_store(arrays, device, asked.batch_size, where) for where in residences}
        ways = {name: partial(turn, stream, device, asked.seconds) for name, stream in streams.items()}
        rates = interleaved.take_turns(ways, asked.rounds)
        case = {"data": arrays.name, "batch_size": asked.batch_size, "workers": asked.workers}
        result = interleaved.keep(asked.results, "data_delivery", device, case, rates)
        print(f"{arrays.name}, {len(arrays):,} images of {'x'.join(map(str, arrays.shape))}")
        print("\n".join(tables.data_delivery([result])))


def turn(stream: Callable[[], Iterator[Tensor]], device: torch.device, seconds: float) -> float:
    return rate(stream(), device, seconds)


if __name__ == "__main__":
    main()
