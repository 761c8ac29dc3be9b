"""Capacity is declared, and sizing says with figures whether it carries the cities."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activator.declarations import DeclarationError
from asa_engine.commands import explain
from infra.settings.deployment import AzureSettings, EventHubs
from infra.settings.sizing import LOOKING_BACK, SIGNALS_OF_A_CITY, Load, Need, _query, _webex, figure, load_of, size, usable_units
from infra.settings.stack import StackSettings, load_stack
from processors.ingest.changes import KnownDevice
from processors.ingest.directory import Place
from processors.ingest.observations import PollContext, device_observation
from processors.ingest.records import Device
from processors.ingest.settings import AlertRule, City
from processors.ingest.signals import RuleBook
from tests.support.rules import RULES
from tests.support.shared_data import REPOSITORY


def stack(name: str) -> StackSettings:
    return load_stack(REPOSITORY / f"Pulumi.{name}.yaml", RULES)


def azure_of(settings: StackSettings) -> AzureSettings:
    assert settings.azure is not None
    return settings.azure


def with_devices(settings: StackSettings, devices: int) -> StackSettings:
    return replace(settings, cities=(replace(settings.cities[0], devices=devices),))


def faults_of(settings: StackSettings) -> dict[str, str]:
    with pytest.raises(DeclarationError) as caught:
        size(settings)
    return {fault.path: fault.message for fault in caught.value.faults}


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_our_stacks_carry_their_cities(name: str) -> None:
    assert all(need.is_met for need in size(stack(name)).needs)


def test_the_reasoning_tells_the_figures() -> None:
    sizing = size(stack("prod"))
    assert all(any(digit.isdigit() for digit in need.because) for need in sizing.needs)
    assert sizing.load.devices == sum(city.devices for city in stack("prod").cities)


def test_a_snapshot_too_large_for_the_namespace_is_refused_with_what_it_needs() -> None:
    fault = faults_of(with_devices(stack("prod"), 60_000))["azure/eventHubs/maximumThroughputUnits"]
    assert "needed, 8 declared" in fault and "60,000 devices" in fault


def test_a_snapshot_too_large_for_any_namespace_needs_a_second_stack() -> None:
    told = faults_of(with_devices(stack("prod"), 125_000))
    assert "47 needed, Azure has 40, because" in told["azure/eventHubs/maximumThroughputUnits"]
    assert "46 needed, Azure has 32, because" in told["azure/eventHubs/partitions"]
    assert all(told[f"azure/eventHubs/{name}"].endswith("Take a second stack for some of the cities.")
               for name in ("maximumThroughputUnits", "partitions"))  # fmt: skip


@pytest.mark.parametrize(("devices", "most"), [(15_000, 98), (1_000, 184)])
def test_too_many_requests_are_refused_with_how_many_metrics_fit(devices: int, most: int) -> None:
    crowded = with_devices(stack("prod"), devices)
    crowded = replace(crowded, poll=replace(crowded.poll, metric_requests_per_poll=500))
    told = faults_of(crowded)["poll/metricRequestsPerPoll"]
    assert ", 192 fit in, because 4/s over 80% of the 60 s between polls" in told
    assert f"Write metricRequestsPerPoll: {most}, or poll less often" in told
    fitting = replace(crowded, poll=replace(crowded.poll, metric_requests_per_poll=most))
    assert all(one.is_met for one in _webex(fitting, load_of(fitting)) if one.path == "poll/metricRequestsPerPoll")


def test_where_no_metric_fits_the_way_out_is_another() -> None:
    crowded = with_devices(stack("prod"), 60_000)
    told = faults_of(replace(crowded, poll=replace(crowded.poll, metric_requests_per_poll=0)))["poll/metricRequestsPerPoll"]
    assert "Ask rooms in need less often (xapiSeconds), or poll less often" in told


def need(settings: StackSettings, what: str) -> Need:
    return next(one for one in every_need(settings) if what in one.what)


def every_need(settings: StackSettings) -> tuple[Need, ...]:
    """The needs of a stack by itself or, where it can't carry its cities, of the query alone."""
    return _query(azure_of(settings), load_of(settings), len(settings.cities))


@pytest.mark.parametrize(
    ("devices", "units", "megabytes", "of_su"),
    [(1_000, 3, 60.3, "5%"), (10_000, 7, 596.5, "21%"), (10_000, 10, 596.5, "15%"), (40_000, 10, 2_383.8, "60%")],
)
def test_what_the_query_remembers_is_counted_by_key(devices: int, units: int, megabytes: float, of_su: str) -> None:
    """Ids of ten minutes; a row for each of seven functions, for every device and room and each of six rules."""
    prod = with_devices(stack("prod"), devices)
    state = need(replace(prod, azure=replace(azure_of(prod), streaming_units=units)), "remembers")
    assert state.needed == megabytes and state.declared == pytest.approx(units * 0.1 * 4_000 * 0.8)
    assert f"{round(devices * 1.4) * 6:,} pairs of entity and rule" in state.because and f": {of_su} of SU" in state.because


def test_more_state_than_the_units_hold_is_refused() -> None:
    prod = with_devices(stack("prod"), 40_000)
    small = replace(azure_of(prod), streaming_units=3)
    told = need(replace(prod, azure=small), "remembers")
    assert not told.is_met and "199% of SU with 3 units" in told.because


def test_an_estate_that_needs_more_than_a_query_can_use_is_refused_with_the_way_out() -> None:
    prod = with_devices(stack("prod"), 300_000)
    wide = replace(azure_of(prod), event_hubs=EventHubs(40, 40, 32, 24), streaming_units=60)
    told = faults_of(replace(prod, azure=wide))
    assert told["cities"].startswith("streaming units the query can use: 70 needed, Azure has 60, because")
    assert "Take a second stack" in told["cities"]


@pytest.mark.parametrize(
    ("units", "partitions", "usable"),
    [(3, 1, 3), (7, 8, 7), (10, 1, 10), (20, 1, 10), (20, 8, 20), (30, 8, 26.7), (60, 4, 40), (60, 32, 53.3), (40, 32, 40)],
)
def test_partitions_are_shared_by_whole_units(units: int, partitions: int, usable: float) -> None:
    assert usable_units(units, partitions) == usable


def test_a_query_of_more_than_one_unit_needs_as_many_partitions() -> None:
    prod = with_devices(stack("prod"), 60_000)
    narrow = replace(prod, azure=replace(azure_of(prod), event_hubs=EventHubs(40, 40, 1, 24), streaming_units=20))
    told = {one.what: one for one in every_need(narrow)}
    assert (told["partitions for the streaming units"].needed, told["partitions for the streaming units"].declared) == (2, 1)
    assert (told["streaming units"].needed, told["streaming units"].declared) == (14, 10), "the second unit stands idle"
    assert "1 partitions shared by V2 units whole use 10 of 20" in told["streaming units"].because


@pytest.mark.parametrize(("cities", "partitions", "rows"), [(1, 4, 4), (60, 8, 480), (500, 8, 4_000), (500, 32, 16_000)])
def test_the_step_that_is_not_parallel_is_counted_by_itself(cities: int, partitions: int, rows: int) -> None:
    azure = replace(azure_of(stack("prod")), event_hubs=EventHubs(1, 8, partitions, 24))
    load = load_of(with_devices(stack("prod"), 300_000))
    told = next(one for one in _query(azure, load, cities) if one.what == "rows/s of city minutes")
    assert (told.needed, told.is_met) == (rows, rows <= 5_000) and "fewer partitions" in told.way_out


def test_city_minutes_are_no_more_rows_than_are_read() -> None:
    azure = replace(azure_of(stack("prod")), event_hubs=EventHubs(1, 8, 32, 24))
    told = {one.what: one for one in _query(azure, load_of(with_devices(stack("prod"), 999)), 999)}
    assert told["rows/s of city minutes"].needed < 300 and told["rows/s of city minutes"].is_met


def test_the_query_is_as_parallel_as_the_sizing_takes_it_for() -> None:
    broken = {place.name for place in explain(REPOSITORY / "asa-queries" / "roompulse").keyed if place.breaks}
    assert broken == {"cityMinutes", "cityminute"}, "what isn't parallel has to fit into one V2 unit: infra/settings/sizing.py"


def test_no_city_has_more_signals_than_the_sizing_takes() -> None:
    table = (REPOSITORY / "docs" / "contracts.md").read_text(encoding="utf-8").split("| entity | signal |")[1].split("\n\n")[0]
    assert 20 < len(set(re.findall(r"^\| \w+ \| `(\w+)`", table, re.M))) <= SIGNALS_OF_A_CITY


def test_each_function_of_the_query_that_looks_back_over_days_is_counted() -> None:
    query = (REPOSITORY / "asa-queries" / "roompulse" / "roompulse.asaql").read_text(encoding="utf-8")
    text = re.sub(r"--[^\n]*", "", query)
    assert len(re.findall(r"\bLIMIT\s+DURATION\s*\(\s*day\b|\bISFIRST\s*\(\s*day\b", text)) == LOOKING_BACK


def test_every_short_capacity_is_named_at_once() -> None:
    prod = stack("prod")
    small = replace(azure_of(prod), event_hubs=EventHubs(1, 1, 1, 24), streaming_units=3)
    faults = faults_of(with_devices(replace(prod, azure=small), 400_000))
    assert {
        "azure/eventHubs/throughputUnits",
        "azure/eventHubs/maximumThroughputUnits",
        "azure/eventHubs/partitions",
        "azure/streamAnalytics/streamingUnits",
        "poll/metrics",
    } <= set(faults)


def test_polling_faster_than_webex_bears_is_refused() -> None:
    prod = stack("prod")
    assert "poll/metricRequestsPerPoll" in faults_of(replace(prod, poll=replace(prod.poll, seconds=10)))


def test_a_cache_too_small_for_its_days_is_refused() -> None:
    prod = stack("prod")
    kusto = azure_of(prod).kusto
    assert kusto is not None
    azure = replace(azure_of(prod), kusto=replace(kusto, hot_days=365))
    assert "GB in the fast cache" in faults_of(replace(prod, azure=azure))["azure/kusto/hotDays"]


def test_a_stack_that_only_runs_locally_is_not_sized() -> None:
    assert "azure" in faults_of(replace(stack("dev"), azure=None))


def test_reading_no_metrics_needs_no_time() -> None:
    prod = stack("prod")
    assert load_of(replace(prod, poll=replace(prod.poll, metrics=()))).metric_sweep_hours == 0


@given(fewer=st.integers(1, 50_000), more=st.integers(0, 50_000))
def test_more_devices_never_need_less(fewer: int, more: int) -> None:
    prod = stack_once()
    small, large = load_of(with_devices(prod, fewer)), load_of(with_devices(prod, fewer + more))
    assert small.steady <= large.steady and small.snapshot <= large.snapshot
    assert small.webex_requests <= large.webex_requests and small.gigabytes_per_day <= large.gigabytes_per_day


def test_the_size_an_observation_is_reckoned_with_is_that_of_a_real_one(tmp_path: Path) -> None:
    long_id = "Y2lzY29zcGFyazovL3VybjpURUFNOnVzLXdlc3QtMl9yL0RFVklDRS8" + "x" * 40
    rules = tuple(AlertRule(r.id, r.entity, r.signal, r.op, r.threshold, r.for_seconds, r.severity) for r in RULES)
    device = Device(long_id, "Lyon Part-Dieu 4.12 Room Bar Pro", "roomdesk", "Cisco Room Bar Pro", "RoomOS 26.4.1",
                    "connected_with_issues", ("touchpanelconnection",), long_id, long_id, None, None)  # fmt: skip
    place = Place("lyon", long_id, "Lyon Part-Dieu", long_id, "Lyon Part-Dieu 4.12")
    known = KnownDevice(device, place, "2026-11-24T02:00:00Z", 0)
    book = RuleBook([City("lyon", "Lyon", (), rules)])
    event = device_observation(PollContext("2026-11-24T02:00:00Z", False), book, known, "snapshot")
    assert 1_200 < len(event.body) <= 1_800


_PROD = stack("prod")


def stack_once() -> StackSettings:
    return _PROD


def test_each_organisation_has_a_budget_of_requests_of_its_own() -> None:
    both = stack("prod")
    own, partner = (
        replace(both.cities[0], devices=7_000, slug=slug, organisation=name) for slug, name in (("a", ""), ("b", "contoso"))
    )
    what = "Webex requests in a poll"
    alone = next(need for need in size(replace(both, cities=(own,))).needs if need.what == what)
    needs = {need.what: need.needed for need in size(replace(both, cities=(own, partner))).needs}
    assert needs[what] == needs[f"{what} (contoso)"] == alone.needed


class TestTheInventory:
    def load(self, devices: int, seconds: int) -> Load:
        prod = stack("prod")
        return load_of(with_devices(replace(prod, poll=replace(prod.poll, seconds=seconds)), devices))

    def test_one_that_fits_into_a_poll_is_listed_by_each(self) -> None:
        load = self.load(10_000, 60)
        assert load.inventory_requests == 15
        assert load.inventory_minutes * 60 == pytest.approx(15 / 4), "at four requests a second"

    def test_one_that_does_not_takes_several_and_says_how_long(self) -> None:
        load = self.load(100_000, 15)
        assert load.inventory_requests == 45
        assert load.inventory_minutes == 4 * 0.25, "141 pages, 37 a poll: in the fourth"

    @pytest.mark.parametrize(
        ("devices", "seconds", "minutes"),
        [(400, 60, 4 / 240), (20_000, 60, 141 / 240), (30_000, 60, 2.0), (100_000, 60, 5.0), (100_000, 15, 17.75)],
    )
    def test_how_long_it_takes_at_most_is_reckoned_with_small_pages(self, devices: int, seconds: int, minutes: float) -> None:
        assert self.load(devices, seconds).longest_inventory_minutes == pytest.approx(minutes)

    def test_the_plan_states_the_time_for_either_size_of_a_page(self) -> None:
        (need,) = (need for need in size(stack_once()).needs if need.what == "minutes to list everything once")
        assert figure(need.needed) == "0.2"
        assert "200 a page" in need.because and "0.1 if Webex gives 1,000 a page" in need.because

    def test_one_that_would_be_old_news_is_refused(self) -> None:
        prod = stack("prod")
        slow = replace(prod, poll=replace(prod.poll, seconds=60, requests_per_second=0.05, metric_requests_per_poll=0))
        assert "minutes to list everything once" in faults_of(with_devices(slow, 100_000))["poll/seconds"]


@pytest.mark.parametrize(
    ("number", "digits", "text"),
    [
        (0, 1, "0"),
        (0.0125, 1, "<0.1"),
        (0.05, 1, "0.1"),
        (0.4, 0, "<1"),
        (0.6, 0, "1"),
        (3.0, 1, "3"),
        (12_345.67, 1, "12,345.7"),
    ],
)
def test_what_rounds_to_nothing_is_not_said_as_nothing(number: float, digits: int, text: str) -> None:
    assert figure(number, digits) == text


def test_no_need_that_there_is_is_said_as_zero() -> None:
    """The smallest stack that there may be: every figure of its plan is positive, and looks it."""
    dev = stack("dev")
    smallest = replace(dev, poll=replace(dev.poll, xapi_seconds=86_400), cities=dev.cities[:1])
    shown = {need.what: figure(need.needed) for need in size(smallest).needs if need.needed > 0}
    assert [what for what, text in shown.items() if text in ("0", "0.0")] == []
