"""Draws the pictures of docs/stages/reports.md: every page on a desktop and a phone, and as deuteranopes and protanopes see it.

`make pictures` runs it. Figures are of the made-up estate, by the deployed functions and the DAX engine.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cli.reports import chromium, picture
from powerbi.items import FabricItem
from powerbi.layout import HEIGHT, WIDTH, Field
from powerbi.mobile import WIDTH as PHONE
from powerbi.preview import Picture, page_html, pictures
from powerbi.report import city_report, consolidated_report
from tests.support.report_estate import LYON, TORONTO, estate
from tests.support.report_figures import Figures
from tests.support.shared_data import REPOSITORY

FOLDER = REPOSITORY / "docs" / "images" / "reports"
RECORD = FOLDER / "drawn.json"
"""The reports that the pictures are of, by hash."""
VISION = {
    "deuteranopes": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "protanopes": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
}
"""How linear colours are seen (Machado, Oliveira and Fernandes 2009, severity 1)."""
CHOSEN = {
    Field("Workspaces", "room", False): "Ampère",
    Field("Devices", "device", False): "Dalton Room Bar",
    Field("Cities", "city", False): TORONTO.name,
    Field("Alerts", "name", False): "Dalton",
}
"""What one has drilled through on the pictures of pages behind others."""
_GAP = 16
SHEET_WIDTH = WIDTH + _GAP + PHONE + _GAP + PHONE // 2


def reports() -> tuple[FabricItem, FabricItem]:
    """What is drawn: a city's report, and the one across cities."""
    return city_report(LYON.slug, LYON.name, LYON.zone), consolidated_report()


def hashes() -> dict[str, str]:
    """The content of what is drawn, by report."""
    return {report.name: report.content_hash for report in reports()}


def file_of(report: FabricItem, title: str) -> str:
    """The name of a page's picture."""
    return f"{'city' if report.name == LYON.name else 'all'}-{title.lower()}.png"


def sheet(page: Picture) -> tuple[str, int]:
    """A page on a desktop and on a phone, and at half the size in both visions; and the sheet's height in pixels."""
    phone = WIDTH + _GAP
    frames = [_frame(0, 0, page.desktop), _frame(phone, 0, page.phone)]
    for number, vision in enumerate(VISION):
        seen = f";transform:scale(.5);transform-origin:0 0;filter:url(#{vision})"
        frames.append(_frame(number * (WIDTH + _GAP) // 2, HEIGHT + _GAP, page.desktop, seen))
        frames.append(_frame(phone + PHONE + _GAP, number * (page.phone_height + _GAP) // 2, page.phone, seen))
    filters = "".join(_filter(name, matrix) for name, matrix in VISION.items())
    body = f'<svg width="0" height="0" style="position:absolute">{filters}</svg>{"".join(frames)}'
    return body, max(HEIGHT + _GAP + HEIGHT // 2, page.phone_height + _GAP // 2)


def _frame(x: int, y: int, body: str, style: str = "") -> str:
    return f'<div style="position:absolute;left:{x}px;top:{y}px{style}">{body}</div>'


def _filter(name: str, matrix: tuple[tuple[float, ...], ...]) -> str:
    rows = " ".join(" ".join(map(str, row)) + " 0 0" for row in matrix)
    values = f"{rows} 0 0 0 1 0"
    return (
        f'<filter id="{name}" color-interpolation-filters="linearRGB"><feColorMatrix type="matrix" values="{values}"/></filter>'
    )


def drawn() -> Iterator[tuple[str, str, int]]:
    """Every sheet: its file's name, its HTML and its height in pixels."""
    figures = Figures(estate())
    for report in reports():
        for title, page in pictures(report, figures, CHOSEN).items():
            body, height = sheet(page)
            yield file_of(report, title), page_html(body, f"{report.name} · {title}"), height


def main() -> None:
    """Draw them all, and note what they are of."""
    browser = chromium()
    if browser is None:
        raise SystemExit("There is no Chromium: install it, or set ROOMPULSE_CHROMIUM to where it is.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text, height in drawn():
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / f"{Path(name).stem}.html"
            page.write_text(text, encoding="utf-8")
            made = picture(browser, page, (SHEET_WIDTH, height))
            shutil.move(made, FOLDER / name)
    RECORD.write_text(json.dumps(hashes(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
