"""Draw dSprites: the geometry of its three sprites, and a polygon filler that agrees with the original bit for bit.

The published images were rasterised without anti-aliasing. Their geometry was recovered from published samples: an
outline of straight edges is scaled, rotated and placed, and its vertices are snapped to 1/256 pixel; a pixel is 1 when
its centre is inside. x increases to the right and y downwards, in pixels; the pixel in row r and column c has its
centre at (c + 1/2, r + 1/2).
"""

import numpy as np

SHAPES = ("square", "ellipse", "heart")
SIDE = 64
RADIUS = 0.15 * SIDE
SUBPIXELS = 256  # vertices lie on a grid of 1/256 pixel
HALF = SUBPIXELS // 2  # from a pixel's corner to its centre

# The value of each class of each factor. The last factor changes fastest from one image to the next.
FACTOR_VALUES: dict[str, np.ndarray] = {
    "shape": np.arange(1, 4),
    "scale": np.arange(5, 11) / 10,
    "orientation": 2 * np.pi * np.arange(40) / 39,
    "posX": np.arange(32) / 31,
    "posY": np.arange(32) / 31,
}
FACTOR_SIZES = tuple(len(values) for values in FACTOR_VALUES.values())


def outline(shape: str) -> np.ndarray:
    """Return the vertices (V, 2) of a sprite of scale 1 in order; the last one is joined to the first one.

    The origin is the point that the sprite turns around. The square is 2R wide, for R = `RADIUS`. The ellipse has the
    half-axes 1.33 R and R / 1.33, the long one horizontal. The heart stands upright: its notch is above, its tip below.
    """
    if shape == "square":
        return RADIUS * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    if shape == "ellipse":
        t = 2 * np.pi * np.arange(100) / 100
        return RADIUS * np.stack([1.33 * np.cos(t), np.sin(t) / 1.33], axis=1)
    if shape == "heart":
        t = 2 * np.pi * np.arange(150) / 150
        height = (13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 14.5 + 0.15
        return RADIUS * np.stack([np.sin(t) ** 3, -height], axis=1)
    raise ValueError(f"no outline for shape {shape!r}, only for {', '.join(SHAPES)}")


def rotate_vertices(vertices: np.ndarray, angle: float) -> np.ndarray:
    """Return vertices (V, 2) turned about the origin, counter-clockwise as displayed; y points down."""
    x, y = vertices.T
    return np.stack([x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)], axis=1)


def place_vertices(coordinates: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return a coordinate (V,) of all vertices at each position (P,) in [0, 1]: (P, V) integers, in 1/256 pixel.

    The centre travels from pixel 16 to 48. A step is 32/31 pixel, so neighbouring images are no whole-pixel shifts of
    each other.
    """
    centres = SIDE / 4 + SIDE / 2 * positions[:, None]
    return np.rint((coordinates + centres) * SUBPIXELS).astype(np.int64)


def fill_polygons(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Fill the polygons with the vertices (x[a], y[b]) for all a and b, which must lie inside the frame.

    `x` (A, V) and `y` (B, V) are in units of 1/256 pixel. The result, (A, B, 64), holds a 64-bit word for each row of
    pixels, whose most significant bit is column 0.

    An edge crosses the row with centre yc when min(y) < yc <= max(y) of its ends. Each crossing, at xc, flips the
    pixels whose centre is at or to the right of xc, so a pixel ends as 1 when the number of crossings up to its centre
    is odd. Vertices often lie exactly on a centre line. Such ties are still decided exactly: coordinates are integers,
    so a quotient that is a whole number is computed without rounding, and any other quotient is too far from a whole
    number to be rounded to it.
    """
    a, v = x.shape
    b = len(y)
    y_next = np.roll(y, -1, axis=1)
    first_row = ((np.minimum(y, y_next) - HALF) // SUBPIXELS + 1).ravel()
    end_row = ((np.maximum(y, y_next) - HALF) // SUBPIXELS + 1).ravel()

    # List every crossing once, whatever x is: edge and polygon b as one number, and the row that is crossed.
    rows_crossed = end_row - first_row
    edge = np.repeat(np.arange(b * v), rows_crossed)
    row = np.arange(len(edge)) + np.repeat(first_row - (np.cumsum(rows_crossed) - rows_crossed), rows_crossed)
    line = edge // v * SIDE + row  # rows of pixels, counted over all polygons
    order = np.argsort(line, kind="stable")
    edge, row, line = edge[order], row[order], line[order]
    rise = (y_next - y).ravel()[edge, None]
    depth = row[:, None] * SUBPIXELS + HALF - y.ravel()[edge, None]

    # Find the column at or to the right of each crossing, for all x at once: (crossings, A).
    run = (np.roll(x, -1, axis=1) - x).T.astype(np.float64)
    crossing = run[edge % v]
    crossing *= depth
    crossing /= rise
    crossing += x.T.astype(np.float64)[edge % v]
    column = np.ceil((crossing - HALF) / SUBPIXELS).astype(np.uint64)
    flips = np.uint64(2**SIDE - 1) >> column

    words = np.zeros((b * SIDE, a), dtype=np.uint64)
    start = np.flatnonzero(np.diff(line, prepend=-1))
    words[line[start]] = np.bitwise_xor.reduceat(flips, start, axis=0)
    return words.T.reshape(a, b, SIDE)


def render_block(shape: int, scale: int, orientation: int) -> np.ndarray:
    """Return the 1,024 images of one shape, scale and orientation (classes from 0), posY changing fastest.

    They are packed, (1024, 512) uint8: eight pixels in a byte, row by row, the most significant bit first.
    """
    full_turn = len(FACTOR_VALUES["orientation"]) - 1
    # The last orientation is the first one again. Its sine is not quite zero, so the first angle is used.
    angle = FACTOR_VALUES["orientation"][orientation % full_turn]
    x, y = rotate_vertices(outline(SHAPES[shape]) * FACTOR_VALUES["scale"][scale], angle).T
    words = fill_polygons(place_vertices(x, FACTOR_VALUES["posX"]), place_vertices(y, FACTOR_VALUES["posY"]))
    return np.ascontiguousarray(words, dtype=">u8").view(np.uint8).reshape(-1, SIDE * SIDE // 8)
