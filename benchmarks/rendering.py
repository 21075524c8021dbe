"""Rendering dSprites, and decoding the images of a figure, against the plainest loops.

    python benchmarks/rendering.py [rounds=3] [images=200] [threads=0] [results=FILE] [overrides of the configuration]

The plain loop draws one image after the other, edge by edge, from the same outlines; its images are compared with ours.
It draws so many `images`, drawn at random, and its time is multiplied. A figure of traversals has 10 rows of 11 images,
which we decode at once; the plain loop decodes them one by one.
"""

import time

import interleaved
import numpy as np
import tables
import torch
from training import Job, workplace

from vaezoo.data.sources.dsprites import dsprites
from vaezoo.data.sources.dsprites_render import (
    FACTOR_VALUES,
    HALF,
    SHAPES,
    SIDE,
    SUBPIXELS,
    outline,
    place_vertices,
    rotate_vertices,
)

FIGURE = (10, 11)  # latents, values


def one_image(factors: np.ndarray) -> np.ndarray:
    """A pixel is 1 when an odd number of edges lies to the left of its centre."""
    shape, scale, orientation, x, y = (
        values[i] for values, i in zip(FACTOR_VALUES.values(), factors % [3, 6, 39, 32, 32], strict=True)
    )
    vertices = rotate_vertices(outline(SHAPES[shape - 1]) * scale, orientation)
    xs, ys = (place_vertices(vertices[:, i], np.array([at]))[0] for i, at in ((0, x), (1, y)))
    centres = np.arange(SIDE) * SUBPIXELS + HALF
    image = np.zeros((SIDE, SIDE), dtype=bool)
    for x0, y0, x1, y1 in zip(xs, ys, np.roll(xs, -1), np.roll(ys, -1), strict=True):
        crossed = (min(y0, y1) < centres) & (centres <= max(y0, y1))
        if y0 != y1:
            crossing = x0 + (x1 - x0) * (centres - y0) / (y1 - y0)
            image ^= crossed[:, None] & (centres >= crossing[:, None])
    return image


def main() -> None:
    asked, overrides = interleaved.options({"rounds": 3, "images": 200})
    device = interleaved.set_up(asked.threads)
    arrays = dsprites()
    some = np.random.default_rng(0).choice(len(arrays), asked.images, replace=False)
    rows = arrays.factors[some].astype(np.int64)
    ours = np.unpackbits(arrays.images[some], axis=1).reshape(-1, SIDE, SIDE).astype(bool)
    differing = sum((one_image(row) != image).any() for row, image in zip(rows, ours, strict=True))
    if differing > 0.005 * len(some):
        raise SystemExit(f"{differing} of {len(some)} images are not those of the plain loop.")

    def rendered() -> float:
        began = time.perf_counter()
        dsprites()
        return time.perf_counter() - began

    def looped() -> float:
        began = time.perf_counter()
        for row in rows:
            one_image(row)
        return (time.perf_counter() - began) * len(arrays) / len(rows)

    with workplace() as (folder, interrupts):
        model = Job(["model=betavae", "dataset=dsprites", *overrides], folder, interrupts).model.to(device).eval()
    z = torch.randn(FIGURE[0] * FIGURE[1], model.latent.dim, device=device)

    @torch.inference_mode()
    def decoded(size: int) -> float:
        model.decode(z[:size])
        began = interleaved.now(device)
        for part in z.split(size):
            model.decode(part).mean.cpu()
        return interleaved.now(device) - began

    ways = {
        "dSprites": {"ours": rendered, "plain loop": looped},
        "traversals": {"ours": lambda: decoded(len(z)), "plain loop": lambda: decoded(1)},
    }
    results = [
        interleaved.keep(asked.results, "rendering", device, {"what": what}, interleaved.take_turns(pair, asked.rounds))
        for what, pair in ways.items()
    ]
    print("\n".join(tables.rendering(results)))


if __name__ == "__main__":
    main()
