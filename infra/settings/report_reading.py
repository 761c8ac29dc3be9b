"""What looking at a report costs: rows that the live store reads for one person in a minute, by page.

An estimate on the careful side, to compare pages with, and a page of today with one of tomorrow. It is of rows, not of money:
a cluster costs the same however much it is asked, and what a row takes of a capacity nobody publishes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from infra.settings.sizing import ROWS_PER_OBSERVATION, Load
from infra.settings.stack import StackSettings
from powerbi.layout import Page, city_layout, consolidated_layout
from powerbi.reading import Read, reads_of_page
from processors.contracts.signals import SIGNALS

QUARTER, MONTH = timedelta(minutes=15), timedelta(days=30)
ALERTS_PER_DEVICE_MONTH = 1.0
"""Assumed, on the careful side: a device that is lost now and then, or has some other alert."""


@dataclass(frozen=True)
class PageReading:
    """A page of a report: how many visuals ask, and the rows read for one person in a minute, since pages refresh once in it."""

    report: str
    page: str
    visuals: int
    rows: int


def report_reading(stack: StackSettings, load: Load) -> tuple[PageReading, ...]:
    """Every page of a city's report and of the one across cities; none where a stack has no reports."""
    fabric = stack.azure.fabric if stack.azure else None
    if fabric is None or "reports" not in fabric.content:
        return ()
    cities = len(stack.cities)
    layouts = (("a city", city_layout()), ("all cities", consolidated_layout()))
    return tuple(_reading(report, page, load, cities) for report, pages in layouts for page in pages)


def _reading(report: str, page: Page, load: Load, cities: int) -> PageReading:
    rows = sum(_rows(read, load, cities) * often for read, often in reads_of_page(page).items())
    return PageReading(report, page.title, len(page.visuals), round(rows))


def _rows(read: Read, load: Load, cities: int) -> float:
    """Rows that the store looks at: a filter by city or by kind spares none, one by time does."""
    source, span = read
    seconds = (span or timedelta()).total_seconds()
    quarters = (span or timedelta()) / QUARTER
    return {
        "Processed": load.steady * seconds,
        "CityMinute": cities * len(SIGNALS) * seconds / 60,
        "Latest": load.devices + load.rooms + cities,
        "LatestSignal": load.rooms * ROWS_PER_OBSERVATION,
        "LatestAlert": load.devices * ALERTS_PER_DEVICE_MONTH * max(1.0, (span or MONTH) / MONTH),
        "RoomQuarterHours": load.rooms * quarters,
        "BookingQuarterHours": load.rooms * quarters,
        "CallQuarterHours": load.rooms * quarters,
        "CityQuarterHours": cities * quarters,
    }[source]
