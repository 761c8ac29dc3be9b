"""Previews are drawn from the layout: every visual where it is, with its words, and honest about the figures."""

from __future__ import annotations

import pytest

from powerbi.layout import Page, city_layout, consolidated_layout
from powerbi.preview import NOTE, page_html

PAGES = [*city_layout(), *consolidated_layout()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_visual_is_where_the_report_has_it_and_says_what_it_is(page: Page) -> None:
    drawn = page_html("Lyon", page)
    for visual in page.visuals:
        assert f"left:{visual.x}px;top:{visual.y}px;width:{visual.width}px;height:{visual.height}px" in drawn
        assert f'aria-label="{visual.alt}"' in drawn and f"<h2>{visual.title}</h2>" in drawn
    assert NOTE in drawn
    assert page_html("Lyon", page) == drawn


def test_a_name_is_text_and_never_markup() -> None:
    assert "<b>x</b>" not in page_html("<b>x</b>", PAGES[0])
