"""What a source of images returns: compact arrays in memory, and what is known about each image."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class ImageArrays:
    """A whole data set, stored as compactly as it can be used.

    `images` is uint8: either (N, C, H, W) with values 0 ... `scale`, or, when `packed`, (N, C*H*W/8) with eight
    binary pixels a byte, row by row, most significant bit first.
    """

    name: str  # "dsprites"
    images: np.ndarray
    shape: tuple[int, int, int]  # (C, H, W) of one image
    identity: dict[str, str | int]  # which bytes these are: origin, file, checksum; goes to environment.json
    scale: int = 255  # the stored value that means 1.0
    packed: bool = False
    factors: np.ndarray | None = None  # (N, K) integer classes, last factor fastest on full grids
    factor_names: tuple[str, ...] = ()
    factor_sizes: tuple[int, ...] = ()
    labels: np.ndarray | None = None  # (N,) integer classes
    label_names: tuple[str, ...] = field(default=())
    test_images: int | None = None  # so many at the end are the published test part
    groups: np.ndarray | None = None  # (N,) integers, the same for images that belong together: copies of one drawing

    def __post_init__(self) -> None:
        c, h, w = self.shape
        expected = (c * h * w // 8,) if self.packed else self.shape
        if self.images.dtype != np.uint8 or self.images.shape[1:] != expected:
            raise ValueError(
                f"{self.name}: images are {self.images.dtype} {self.images.shape[1:]}, expected uint8 {expected}"
            )
        for known in (self.factors, self.labels, self.groups):
            if known is not None and len(known) != len(self.images):
                raise ValueError(
                    f"{self.name}: {len(self.images)} images, but {len(known)} rows of factors, labels or groups"
                )

    def __len__(self) -> int:
        return len(self.images)

    def pixels(self, rows: np.ndarray) -> np.ndarray:
        """The chosen images as float32 in [0, 1], (len(rows), C, H, W)."""
        stored = self.images[rows]
        values = np.unpackbits(stored, axis=1) if self.packed else stored
        return values.reshape(-1, *self.shape).astype(np.float32) / self.scale
