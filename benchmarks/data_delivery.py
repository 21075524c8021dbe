"""How fast batches come: made by index in the store, or by a torch DataLoader with two workers over the same arrays.

    python benchmarks/data_delivery.py [rounds=5] [seconds=4] [batch_size=64] [colour_images=20000] [workers=2]
                                       [threads=1]

Both deliver shuffled float32 batches on the device that trains, and take turns in one process, so that a drifting
machine changes both. The ratio of a round is the store's images a second over the loader's. With a GPU the store is
measured with the images on it and with the images in pinned host memory. The sets are dSprites, packed to bits, and
random bytes in the shape of CelebA (64x64 RGB; `colour_images=202599` is its full size, 2.5 GB).

The store works in one thread here, as each of the workers does. More of them help it on idle cores, but threads that
wait for one another on busy cores would measure who else is at work there.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vaezoo.data.arrays import ImageArrays
from vaezoo.data.module import Batch, TrainingStream
from vaezoo.data.sources.dsprites import dsprites
from vaezoo.data.store import ImageStore

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

    def get(rows: Tensor) -> Batch:
        return Batch(store[rows], None, rows)

    rows = np.arange(len(arrays))
    return lambda: (batch.images for batch in TrainingStream(get, rows, batch_size, 0, lambda: 0, store.index_device))


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

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    for _ in range(WARM_UP):
        next(batches)
    began, count = now(), 0
    while time.perf_counter() - began < seconds:
        count += len(next(batches))
    return count / (now() - began)


def main() -> None:
    options = {key: float(value) for key, value in (argument.split("=", 1) for argument in sys.argv[1:])}
    rounds, batch_size = int(options.get("rounds", 5)), int(options.get("batch_size", 64))
    seconds, workers = options.get("seconds", 4), int(options.get("workers", 2))
    torch.set_num_threads(int(options.get("threads", 1)))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    residences = ("device", "host") if device.type == "cuda" else ("host",)  # of a CPU they are the same
    print(f"{device.type}, batches of {batch_size}, {rounds} rounds of {seconds:g} s each")
    for arrays in (dsprites(), colour(int(options.get("colour_images", 20_000)))):
        ways = {"loader": from_loader(arrays, device, batch_size, workers)}
        ways |= {f"store {residence}": from_store(arrays, device, batch_size, residence) for residence in residences}
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                rates[name].append(rate(way(), device, seconds))
        print(f"{arrays.name}, {len(arrays):,} images of {'x'.join(map(str, arrays.shape))}")
        for name, values in rates.items():
            ratios = [rate / loader for rate, loader in zip(values, rates["loader"], strict=True)]
            low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
            print(
                f"  {name:12} {statistics.median(values):12,.0f} images a second, median;"
                f" {middle:.1f} times the loader's ({low:.1f} to {high:.1f} over the rounds)"
            )


if __name__ == "__main__":
    main()
