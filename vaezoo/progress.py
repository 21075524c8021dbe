"""Progress bars for everything that may take more than a second, except training, which has its own."""

from tqdm import tqdm


def progress(title: str, total: int, unit: str) -> tqdm:
    """Return a bar that appears in a terminal only, and only after a second. Use it with `with` and `update`."""
    return tqdm(total=total, desc=title, unit=unit, unit_scale=True, delay=1, leave=False, disable=None)
