"""Images held where they are used, decoded to float in the batch."""

import warnings
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Images(Protocol):
    """The part of a source that a store needs (vaezoo.data.images.ImageArrays)."""

    @property
    def images(self) -> np.ndarray: ...
    @property
    def shape(self) -> tuple[int, int, int]: ...
    @property
    def scale(self) -> int: ...
    @property
    def packed(self) -> bool: ...


class ImageStore:
    """Compact images on one device; `store[rows]` are images as float32 in [0, 1], (B, C, H, W).

    The values do not depend on where the store resides. With `residence` "host" and an accelerator as `device`, the
    compact bytes stay in pinned host memory, or on the disk where they are mapped, and only those of a batch travel.
    """

    def __init__(self, source: Images, device: torch.device, residence: str = "auto") -> None:
        self.device = device
        self.shape = source.shape
        self.scale = source.scale
        self.packed = source.packed
        with warnings.catch_warnings():
            # Torch warns about arrays that are not writable, but nothing writes into these.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            images = torch.from_numpy(source.images)
        mapped = isinstance(source.images, np.memmap)
        self.resident = device.type == "cpu" or residence == "device" or (residence == "auto" and fits(images, device))
        # Mapped images are not pinned, because pinning copies them: they are mapped as they are too large for memory.
        self.images = images.to(device) if self.resident else images if mapped else images.pin_memory()
        self.index_device = self.images.device  # where rows are looked up; rows on another device cost a transfer
        # One row of eight pixels for each byte: a gather of rows unpacks faster than shifts and masks.
        bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
        self.byte_pixels = torch.from_numpy(bits.astype(np.float32)).to(device)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return the images of `rows` (B,) int64 on any device, best on `index_device`."""
        return self.decode(self.take(self.images, rows))

    def take(self, values: Tensor, rows: Tensor) -> Tensor:
        """Return the `rows` of values on `index_device`, on the device; no step waits for their transfer."""
        taken = values[rows.to(self.index_device)]
        return taken if self.resident else taken.pin_memory().to(self.device, non_blocking=True)

    def decode(self, stored: Tensor) -> Tensor:
        """Return stored bytes (B, ...) as float32 in [0, 1], (B, C, H, W)."""
        if self.packed:
            return torch.nn.functional.embedding(stored.int(), self.byte_pixels).view(-1, *self.shape)
        return stored.float() / self.scale


def fits(images: Tensor, device: torch.device) -> bool:
    """Return whether the images leave at least half of the accelerator's free memory to the model."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return images.numel() < free / 2
