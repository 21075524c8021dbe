"""The images of a data set as compact arrays, with the factors and labels of each image; sources return them."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ImageArrays:
    """A whole data set, as compact as it can be used.

    `images` is uint8: either (N, C, H, W) with values 0 ... `scale`, or, when `packed`, (N, C*H*W/8) with eight binary
    pixels in a byte, row by row, the most significant bit first. Raises ValueError where shapes or lengths differ.
    """

    name: str  # "dsprites"
    images: np.ndarray
    shape: tuple[int, int, int]  # (C, H, W) of one image
    identity: dict[str, str | int]  # which bytes these are: origin, file, checksum; written to environment.json
    scale: int = 255  # the stored value of a pixel of 1.0
    packed: bool = False
    factors: np.ndarray | None = None  # (N, K) integer classes, last factor fastest on full grids
    factor_names: tuple[str, ...] = ()
    factor_sizes: tuple[int, ...] = ()
    labels: np.ndarray | None = None  # (N,) integer classes
    label_names: tuple[str, ...] = ()
    test_images: int | None = None  # the number of images at the end that are the published test part
    groups: np.ndarray | None = None  # (N,) integers, equal for images that belong together, such as turned copies

    def __post_init__(self) -> None:
        c, h, w = self.shape
        expected = (c * h * w // 8,) if self.packed else self.shape
        if self.images.dtype != np.uint8 or self.images.shape[1:] != expected:
            raise ValueError(
                f"{self.name}: images are {self.images.dtype} {self.images.shape[1:]}, expected uint8 {expected}"
            )
        for table in (self.factors, self.labels, self.groups):
            if table is not None and len(table) != len(self.images):
                raise ValueError(
                    f"{self.name}: {len(self.images)} images, but {len(table)} rows of factors, labels or groups"
                )

    def __len__(self) -> int:
        return len(self.images)

    def pixels(self, rows: np.ndarray) -> np.ndarray:
        """Return the images of these rows as float32 in [0, 1], (len(rows), C, H, W)."""
        stored = self.images[rows]
        values = np.unpackbits(stored, axis=1) if self.packed else stored
        return values.reshape(-1, *self.shape).astype(np.float32) / self.scale
