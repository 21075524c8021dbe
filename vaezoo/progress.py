"""The bars of everything that may take more than a second, besides training, which has its own."""

from tqdm import tqdm


def progress(what: str, total: int, unit: str) -> tqdm:
    """A bar that appears only where a person is watching, and only after a second. Use with `with` and `update`."""
    return tqdm(total=total, desc=what, unit=unit, unit_scale=True, delay=1, leave=False, disable=None)
