"""Tiles, tables and views are KQL as Kusto understands it, and yield the columns they say they yield."""

from __future__ import annotations

from pathlib import Path

import pytest
from kusto_checker import check_kql, tile_findings

from activator.declarations import DeclarationError
from powerbi.tiles import read_tiles

TILES = read_tiles()
NEEDED_BY_THE_PAGE = {
    "alerts_recent",
    "cities",
    "city_trend",
    "environment",
    "firmware",
    "locations",
    "open_alerts",
    "pipeline",
    "rooms",
    "worst_rooms",
}


def test_the_tiles_the_page_needs_are_there() -> None:
    assert set(TILES) >= NEEDED_BY_THE_PAGE


def test_kusto_accepts_tables_views_and_tiles() -> None:
    assert tile_findings().faults == ()


@pytest.mark.parametrize("name", TILES)
def test_a_tile_yields_the_columns_of_its_header_on_kusto(name: str) -> None:
    assert tuple(tile_findings().columns[name]) == TILES[name].columns


def test_the_checker_finds_faults_with_line_and_column() -> None:
    findings = check_kql({"column": "Latest | where helth == 'up'", "operator": "Latest\n| sumarize count()", "table": "Lastest"})
    for fault in ("column:1:16 The name 'helth' does not refer to any known column", "operator:2:3 ", "table:1:1 "):
        assert any(found.startswith(fault) for found in findings.faults)


def test_a_tile_without_its_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bare.kql").write_text("Latest | count\n")
    with pytest.raises(DeclarationError, match=r"bare.kql  begin the tile with the lines `// title: …`"):
        read_tiles(tmp_path)
