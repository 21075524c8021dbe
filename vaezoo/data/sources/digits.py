"""Digits: 1,797 real handwritten digits of 8 x 8 pixels that come with scikit-learn. Tiny, and always there.

The test part of the UCI set "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998). The value of a
pixel, 0 ... 16, is the number of dark pixels among 4 x 4 of the original scan.
"""

import hashlib
from typing import Literal, get_args

import numpy as np

from vaezoo.data.files.find import DataFiles, reads
from vaezoo.data.images import ImageArrays
from vaezoo.errors import UserError

Size = Literal[8, 16, 32, 64]
DIGITS = DataFiles("digits", (), homepage="https://archive.ics.uci.edu/dataset/80", licence="CC BY 4.0")


@reads(DIGITS)
def digits(size: Size = 8) -> ImageArrays:
    """Return all digits, `size` pixels wide and high. Each pixel is repeated, so no new grey value appears."""
    check_size("digits", size)
    from sklearn.datasets import load_digits  # Imported here because it takes long.

    data = load_digits()
    images = data.images.astype(np.uint8)  # (1797, 8, 8)
    repeats = size // images.shape[1]
    return ImageArrays(
        name="digits",
        images=images.repeat(repeats, axis=1).repeat(repeats, axis=2)[:, None],
        shape=(1, size, size),
        # The checksum is of the 8 x 8 images, so that it is the same for every size.
        identity={"origin": "scikit-learn", "sha256": hashlib.sha256(images).hexdigest()},
        scale=16,
        labels=data.target.astype(np.int64),
        label_names=tuple(map(str, range(10))),
    )


def check_size(dataset: str, size: int) -> None:
    """Raise UserError where the digits cannot be enlarged to this size."""
    if size not in get_args(Size):
        raise UserError(f"{dataset}: size={size} is not possible; choose one of {', '.join(map(str, get_args(Size)))}.")
