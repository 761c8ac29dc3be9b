"""The picture of the live page in README.md, of made-up figures; `make pictures` draws it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.local.dashboard import sample_tiles
from tests.local.dashboard.page_under_test import page_under_test
from tests.local.dashboard.screenshots import chromium
from tests.support.shared_data import REPOSITORY

FILE = REPOSITORY / "docs" / "images" / "page.png"
WIDTH, HEIGHT = 1280, 800


def draw() -> None:
    """Write the picture: an outage of a site, in the dark."""
    with tempfile.TemporaryDirectory() as folder, page_under_test(Path(folder)) as running, chromium() as browser:
        running.show(sample_tiles.outage(running.now()))
        shot = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="dark")
        shot.goto(running.url)
        shot.wait_for_selector("body[data-ready=true] .incident")
        shot.evaluate("document.fonts.ready")
        shot.screenshot(path=FILE)


if __name__ == "__main__":
    draw()
