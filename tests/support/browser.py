"""A browser of this machine, and what a page does in it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
INSIDE = ("file:", "data:", "blob:")  # addresses that need no network


@contextmanager
def open_browser() -> Iterator[Any]:
    """Yield a headless browser, through playwright, which brings none along; skip the test where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no Chromium or Chrome on this machine")
    with sync_api.sync_playwright() as api:
        chrome = api.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chrome
        chrome.close()


def open_page(chrome: Any, path: Path, width: int = 1280, height: int = 900, **options: Any) -> tuple[Any, list[str]]:
    """Open a file in a window; return the page, and a list that gets its messages and its requests to elsewhere."""
    page = chrome.new_page(viewport={"width": width, "height": height}, **options)
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: request.url.startswith(INSIDE) or troubles.append(request.url))
    page.goto(path.as_uri())
    return page, troubles
