"""One latent changes along each row, the others stay."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from vaezoo.figures.style import (
    FADED,
    GAP,
    INACTIVE,
    INK,
    LABEL,
    enlargement,
    nats,
    number,
    page,
    size_of,
    span,
    text_width,
    tile,
)


def traversals(
    traversal: np.ndarray,
    traversal_values: np.ndarray,
    traversal_dims: Sequence[int],
    original: np.ndarray,
    reconstruction: np.ndarray,
    title: str,
    traversal_kl: Sequence[float] | None = None,
) -> Figure:
    """Rows in the order given (by falling KL, as a rule), values in columns, the image itself in front."""
    rows, columns = traversal.shape[:2]
    height, width = traversal.shape[3:]
    factor = enlargement(rows, columns, height, width, least=(24, 52))
    drawn = tile(traversal, factor)
    pair = [tile(image.reshape(1, 1, *traversal.shape[2:]), factor) for image in (original, reconstruction)]
    values = np.broadcast_to(traversal_values, (rows, columns))
    shared = bool(np.allclose(values, values[:1]))

    labels, active = [f"z{d}" for d in traversal_dims], [True] * rows
    if traversal_kl is not None:
        active = [not kl < INACTIVE for kl in traversal_kl]
        labels = [
            f"{'' if on else 'inactive  '}{z}  {nats(kl)}"
            for z, kl, on in zip(labels, traversal_kl, active, strict=True)
        ]
    ends = [span(row) for row in values]
    side = max(text_width("reconstruction"), pair[0].shape[1])
    left = side + 28 + max(text_width(label, LABEL) for label in labels) + 10
    caption = (
        f"{title} · one image of {size_of(traversal)} · {rows} latents, {columns} values {span(values)} · "
        f"pixels {span(traversal)}"
    )
    if traversal_kl is not None:
        caption += f" · nats: mean KL to the prior, inactive below {INACTIVE}"
    # In front: the original, below it its reconstruction, each under its name.
    second = len(pair[0]) + 34
    sheet = page(
        drawn.shape[1],
        max(len(drawn), second + len(pair[1])),
        "Traversals: each row changes one latent",
        caption,
        left=left,
        right=0 if shared else max(map(text_width, ends)) + 10,
        top=24,
    )
    for name, y, image in zip(("original", "reconstruction"), (0, second), pair, strict=True):
        sheet.text(-left, y - 12, name)
        sheet.image(-left, y, image)
    sheet.image(0, 0, drawn)
    for i, (label, on) in enumerate(zip(labels, active, strict=True)):
        y = GAP + (i + 0.5) * (height * factor + GAP) - GAP / 2
        sheet.text(-10, y, label, ha="right", size=LABEL, color=INK if on else FADED)
        if not shared:
            sheet.text(drawn.shape[1] + 10, y, ends[i])
    digits = 0 if np.allclose(values, np.rint(values)) else 2
    for j in range(columns) if shared else (0, columns - 1):
        header = number(values[0, j], digits) if shared else ("low" if j == 0 else "high")
        sheet.text(GAP + (j + 0.5) * (width * factor + GAP) - GAP / 2, -12, header, ha="center")
    return sheet.figure
