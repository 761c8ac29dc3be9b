"""The fault matrix: nothing lost, nothing twice, whatever Webex does at whichever request; and the page says what is found."""

from __future__ import annotations

from ingest_faults import FAULTS, PAGE, matrix, page


def test_every_fault_at_every_request_costs_nothing_and_the_page_says_so() -> None:
    rows = matrix()
    assert [row.fault for row in rows] == [fault.name for fault in FAULTS]
    assert {row.fault: row.wrong for row in rows if row.wrong} == {}
    assert all(row.requests >= 6 for row in rows), "the fault met a request each time"
    assert PAGE.read_text(encoding="utf-8") == page(rows), "write it anew: python tests/ingest_faults.py"
