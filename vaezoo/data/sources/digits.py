"""Digits: 1,797 real handwritten digits of 8 x 8 pixels that come with scikit-learn. Tiny, and always there.

The test part of the UCI set "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998). A pixel counts
the dark ones among 4 x 4 of the original scan: 0 ... 16.
"""

import hashlib

import numpy as np

from vaezoo.data.files.find import DataFiles, reads
from vaezoo.data.images import ImageArrays
from vaezoo.errors import UserError

SIZES = (8, 16, 32, 64)
DIGITS = DataFiles("digits", (), homepage="https://archive.ics.uci.edu/dataset/80", licence="CC BY 4.0")


@reads(DIGITS)
def digits(size: int = 8) -> ImageArrays:
    """All digits, `size` pixels wide and high: each pixel is repeated, so no grey value is invented."""
    if size not in SIZES:
        raise UserError(f"digits: size={size} is not possible; choose one of {', '.join(map(str, SIZES))}.")
    from sklearn.datasets import load_digits  # slow to import, and needed nowhere else

    data = load_digits()
    images = data.images.astype(np.uint8)  # (1797, 8, 8)
    repeats = size // images.shape[1]
    return ImageArrays(
        name="digits",
        images=images.repeat(repeats, axis=1).repeat(repeats, axis=2)[:, None],
        shape=(1, size, size),
        # The checksum is of the 8 x 8 images, whatever size they are enlarged to.
        identity={"origin": "scikit-learn", "sha256": hashlib.sha256(images).hexdigest()},
        scale=16,
        labels=data.target.astype(np.int64),
        label_names=tuple(map(str, range(10))),
    )
