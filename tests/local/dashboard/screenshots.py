"""Pictures of a running page: `python tests/local/dashboard/screenshots.py URL OUTDIR [path ...]`.

Writes page-dark.png and page-light.png (1280 px) and phone-dark.png and phone-light.png (390 px); further paths, such as
`/alerts` or `/cities/lyon`, get pictures of their own, named after the path.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

CHROMIUM = Path(os.environ.get("ROOMPULSE_CHROMIUM", "/usr/bin/chromium"))
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--process-per-site",  # a page that follows another is drawn by the same process
    "--disable-site-isolation-trials",
]
PATIENCE_SECONDS = 30
"""How long a page may take on a busy machine to show what is expected of it."""
SIZES = {"page": (1280, 800), "phone": (390, 844)}


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium that talks to this machine only; an expectation waits for what it wants as long as PATIENCE_SECONDS."""
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def take(url: str, folder: Path, paths: list[str]) -> None:
    """A picture of each path in both widths and both themes."""
    folder.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for size, (width, height) in SIZES.items():
            for theme in ("dark", "light"):
                context = browser.new_context(
                    viewport={"width": width, "height": height}, color_scheme=theme, device_scale_factor=2
                )
                page = context.new_page()
                for path in paths:
                    page.goto(url.rstrip("/") + path)
                    page.wait_for_selector("body[data-ready=true]")
                    page.wait_for_timeout(300)  # fonts and charts settle
                    name = path.strip("/").replace("/", "-")
                    target = folder / f"{size}-{name + '-' if name else ''}{theme}.png"
                    page.screenshot(path=target, full_page=True)
                    print(target)
                context.close()


if __name__ == "__main__":
    take(sys.argv[1], Path(sys.argv[2]), sys.argv[3:] or ["/"])
