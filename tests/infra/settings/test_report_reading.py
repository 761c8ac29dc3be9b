"""The plan says what looking at each page of a report makes the live store read."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from infra.settings.report_reading import PageReading, report_reading
from infra.settings.sizing import load_of
from infra.settings.stack import StackSettings, load_stack
from powerbi.layout import Field, Visual
from powerbi.reading import reads_of, tables_asked
from tests.support.rules import RULES
from tests.support.shared_data import REPOSITORY

STACKS = {name: load_stack(REPOSITORY / f"Pulumi.{name}.yaml", RULES) for name in ("fabric", "prod")}
HOURS = timedelta(hours=1)


def shown(stack: StackSettings) -> StackSettings:
    """A stack with the reports of another."""
    assert stack.azure and STACKS["fabric"].azure
    return replace(stack, azure=replace(stack.azure, fabric=STACKS["fabric"].azure.fabric))


def pages(stack: StackSettings) -> dict[tuple[str, str], PageReading]:
    return {(page.report, page.page): page for page in report_reading(stack, load_of(stack))}


def test_every_page_is_there_with_its_visuals_and_no_page_without_reports() -> None:
    found = pages(STACKS["fabric"])
    assert len(found) == 13 and found["a city", "Environment"].visuals == 5
    assert pages(STACKS["prod"]) == {}


def test_a_refresh_of_the_page_environment_reads_less_than_two_weeks_of_readings_once() -> None:
    stack = shown(STACKS["prod"])
    readings = load_of(stack).steady * 14 * 86_400
    assert pages(stack)["a city", "Environment"].rows < readings * 0.6


def test_the_figure_is_the_sum_of_what_its_visuals_ask() -> None:
    stack = STACKS["fabric"]
    load = load_of(stack)
    (devices,) = (Visual("v", "card", "v", 0, 0, 1, 1, "v", {"Data": (Field("Devices", "Devices down", True),)}),)
    assert tables_asked(devices) == {"Devices"}
    assert reads_of("ReportDevices") == (("Processed", 3 * HOURS), *[("Latest", 3 * HOURS)] * 3)
    seen = load.steady * 3 * 3600 + 3 * (load.devices + load.rooms + len(stack.cities))
    assert pages(stack)["a city", "Firmware"].rows == round(3 * seen)


@pytest.mark.parametrize("share", [2, 10])
def test_more_devices_are_more_rows_on_every_page(share: int) -> None:
    stack = STACKS["fabric"]
    more = replace(stack, cities=tuple(replace(city, devices=city.devices * share) for city in stack.cities))
    assert all(page.rows > pages(stack)[key].rows for key, page in pages(more).items())


@pytest.mark.parametrize(
    ("measure", "tables"),
    [
        (Field("Devices", "Availability in office hours", True), {"Cities", "Devices", "Downtime", "OfficeDays"}),
        (Field("Alerts", "Open alerts", True), {"Alerts", "Devices"}),
        (Field("Workspaces", "Utilisation", True), {"RoomHours"}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_measure_asks_the_tables_of_the_measures_in_it(measure: Field, tables: set[str]) -> None:
    visual = Visual("v", "card", "v", 0, 0, 1, 1, "v", {"Data": (measure,)})
    assert tables_asked(visual) >= tables - {"Cities"}
    assert tables_asked(visual) <= tables
