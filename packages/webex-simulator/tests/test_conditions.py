"""Devices over time: a function of seed, clock and effects whose rates are those of the estate model."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webex_simulator.conditions import Conditions
from webex_simulator.effects import Effects, Target
from webex_simulator.estate import City, Estate, build_estate
from webex_simulator.firmware import software, upgrade
from webex_simulator.happenings import site_outage_on, starting_on
from webex_simulator.site_time import local_day

START = datetime(2026, 11, 24, 11, tzinfo=UTC).timestamp()
HOUR, DAY = 3600.0, 86400.0
CITIES = (
    City("lyon", "Lyon", "Europe/Paris", ("Lyon Part-Dieu",)),
    City("toronto", "Toronto", "America/Toronto", ("Toronto Front Street",)),
)


@pytest.fixture(scope="module")
def estate() -> Estate:
    return build_estate(7, 2000, CITIES)


@pytest.fixture
def effects(estate: Estate, tmp_path: Path) -> Effects:
    return Effects(estate, tmp_path / "effects.json")


@pytest.fixture(scope="module")
def calm(estate: Estate, tmp_path_factory: pytest.TempPathFactory) -> Conditions:
    """Conditions with nothing broken on purpose."""
    return Conditions(estate, Effects(estate, tmp_path_factory.mktemp("calm") / "effects.json"))


moments = st.floats(START - 30 * DAY, START + 30 * DAY)


@settings(max_examples=300, deadline=None)
@given(number=st.integers(0, 1999), moment=moments, later=st.floats(0, 0.999))
def test_a_condition_holds_until_it_says_so(calm: Conditions, estate: Estate, number: int, moment: float, later: float) -> None:
    device = estate.devices[number]
    condition = calm.at(device, moment)
    assert condition.valid_until > moment
    if not device.in_store:
        assert calm.at(device, moment + later * (condition.valid_until - moment)) == condition


def test_no_change_comes_before_it_was_announced(calm: Conditions, estate: Estate) -> None:
    """Changes are rare: search them hour by hour over ten days, then close in on the second."""
    changes = 0
    for device in estate.devices[:1500:5]:
        new = calm.at(device, START)[:3]
        for hour in range(0, 240, 2):
            before, after = START + hour * HOUR, START + (hour + 2) * HOUR
            old, new = new, calm.at(device, after)[:3]
            if new == old:
                continue
            while after - before > 1:
                middle = (before + after) / 2
                before, after = (middle, after) if calm.at(device, middle)[:3] == old else (before, middle)
            assert calm.at(device, before).valid_until <= after
            changes += 1
    assert changes > 100


@settings(max_examples=50, deadline=None)
@given(asked=st.lists(st.tuples(st.integers(0, 1999), moments), min_size=1, max_size=20))
def test_what_was_asked_before_changes_nothing(calm: Conditions, estate: Estate, asked: list[tuple[int, float]]) -> None:
    before = [calm.at(estate.devices[number], moment) for number, moment in asked]
    assert [calm.at(estate.devices[number], moment) for number, moment in reversed(asked)] == before[::-1]


def test_the_steady_state_has_the_shares_of_the_model(calm: Conditions, estate: Estate) -> None:
    """Averaged over a month of noons, because one day is chance."""
    counts = Counter(calm.at(device, START - day * DAY).status for device in estate.devices for day in range(0, 28, 4))
    total = counts.total()
    assert counts["connected"] / total == pytest.approx(0.925, abs=0.02)
    assert counts["connected_with_issues"] / total == pytest.approx(0.045, abs=0.01)
    assert counts["disconnected"] / total == pytest.approx(0.018, abs=0.006)
    assert counts["offline_expired"] / total == pytest.approx(0.006, abs=0.002)
    assert {"activating", "unknown", "pending"} <= set(counts)


def test_only_boards_sleep_deeply_and_only_at_night(calm: Conditions, estate: Estate) -> None:
    asleep: Counter[int] = Counter()
    for device in estate.devices:
        for hour in range(24):
            moment = START + hour * HOUR
            if calm.at(device, moment).status == "offline_deep_sleep":
                assert device.location is not None
                local_hour = datetime.fromtimestamp(moment, ZoneInfo(device.location.time_zone)).hour
                assert "Board" in device.product.name
                assert local_hour >= 22 or local_hour < 6
                asleep[local_hour] += 1
    boards = sum("Board" in device.product.name for device in estate.devices)
    assert asleep[2] / boards == pytest.approx(0.3, abs=0.1)


def test_drops_flaps_and_lost_peripherals_come_at_their_rates(estate: Estate) -> None:
    devices = [device for device in estate.devices if device.workspace is not None and device.product.type == "roomdesk"]
    days = [local_day("Europe/Paris", START - number * DAY) for number in range(60)]
    happenings = [happening for device in devices for day in days for happening in starting_on(device, day)]
    months = len(devices) * 60 / (365 / 12)
    down = [happening for happening in happenings if happening.kind == "down"]
    assert len(down) / months == pytest.approx(0.25 + 0.15, rel=0.15)
    assert sum(happening.kind == "issue" for happening in happenings) / months == pytest.approx(0.12 + 0.4, rel=0.15)
    lengths = sorted(happening.end - happening.start for happening in down if happening.end - happening.start > 300)
    assert lengths[len(lengths) // 2] == pytest.approx(35 * 60, rel=0.4)


def test_firmware_only_ever_moves_on_within_a_month_and_most_devices_follow(calm: Conditions, estate: Estate) -> None:
    device = next(d for d in estate.devices if d.product.type == "roomdesk" and not d.in_store and d.location is not None)
    seen = [calm.at(device, datetime(2026, month, 28, 12, tzinfo=UTC).timestamp()).software for month in range(1, 13)]
    assert len(set(seen)) >= 11
    november = datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp()
    versions = Counter(calm.at(d, november).software.split()[1] for d in estate.devices if d.product.type == "roomdesk")
    assert versions["26.11.1.3"] / versions.total() > 0.75
    assert any(version.startswith("11.") for version in versions), "laggards"


def test_an_upgrade_reboots_at_night_for_some_minutes(calm: Conditions, estate: Estate) -> None:
    device = next(d for d in estate.devices if d.product.type == "roomdesk" and d.location is not None)
    assert device.location is not None
    zone = device.location.time_zone
    day = local_day(zone, START)
    planned = upgrade(device, zone, day)
    assert planned is not None
    assert 0 <= datetime.fromtimestamp(planned.start, ZoneInfo(zone)).hour < 5
    assert 4 * 60 <= planned.end - planned.start <= 9 * 60
    assert calm.at(device, (planned.start + planned.end) / 2).status == "disconnected"
    assert software(device, day, planned, planned.start - 1) != software(device, day, planned, planned.end)


def test_site_outages_happen_by_chance_only_when_switched_on_and_then_always_the_same(estate: Estate, effects: Effects) -> None:
    location = estate.locations[0]
    devices = [device for device in estate.devices if device.location is location]
    days = [local_day(location.time_zone, START + number * DAY) for number in range(5 * 365)]
    outage_days = [day for day in days if site_outage_on(location, devices[0], day)]
    assert outage_days, "five years have one"
    begins = [site_outage_on(location, device, outage_days[0]) for device in devices]
    starts, ends = [one.start for one in begins if one], [one.end for one in begins if one]
    assert len(starts) == len(devices)
    assert max(starts) - min(starts) <= 60
    conditions = Conditions(estate, effects)
    middle = (max(starts) + min(ends)) / 2
    before = Counter(conditions.at(device, middle).status for device in devices)
    effects.begin("chance-outages", middle - DAY)
    during = Counter(conditions.at(device, middle).status for device in devices)
    assert before["connected"] > 0.8 * len(devices)
    assert during == Counter({"disconnected": len(devices)})


def test_the_rate_of_site_outages_is_two_a_year() -> None:
    city = City("many", "Many", "Europe/Paris", tuple(f"Site {number}" for number in range(60)))
    sites = build_estate(7, 600, (city,), traps=False)
    days = [local_day("Europe/Paris", START + number * DAY) for number in range(365)]
    device = sites.devices[0]
    outages = sum(site_outage_on(location, device, day) is not None for location in sites.locations for day in days)
    assert outages / len(sites.locations) == pytest.approx(2.0, abs=0.6)


@given(since=st.floats(-HOUR, 0), length=st.floats(1, 2 * HOUR), asked=st.floats(-HOUR, 2 * HOUR))
@settings(max_examples=50, deadline=None)
def test_an_outage_holds_exactly_while_it_lasts(
    estate: Estate, calm: Conditions, tmp_path_factory: pytest.TempPathFactory, since: float, length: float, asked: float
) -> None:
    effects = Effects(estate, tmp_path_factory.mktemp("outage") / "effects.json")
    effects.begin("outage", START + since, START + since + length, Target("city", "lyon", "Lyon"))
    conditions = Conditions(estate, effects)
    moment = START + asked
    for device in estate.devices[::100]:
        hit = device.location is not None and device.location.city is not None and device.location.city.slug == "lyon"
        if hit and START + since <= moment < START + since + length:
            condition = conditions.at(device, moment)
            assert condition.status == "disconnected"
            assert condition.last_seen <= START + since
        else:
            assert conditions.at(device, moment)[:5] == calm.at(device, moment)[:5]
