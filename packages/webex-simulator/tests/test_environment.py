"""People and sensors: every site has its own working day, and rooms feel their people."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from webex_simulator.capabilities import measures
from webex_simulator.conditions import Conditions
from webex_simulator.effects import Effects, Target
from webex_simulator.environment import Environment, in_standby
from webex_simulator.estate import City, Estate, Workspace, build_estate
from webex_simulator.occupancy import SEATS_WHEN_UNKNOWN, is_booked, meeting_at, people_at

TUESDAY = datetime(2026, 11, 24, tzinfo=UTC).timestamp()
HOUR, DAY = 3600.0, 86400.0
CITIES = (
    City("lyon", "Lyon", "Europe/Paris", ("Lyon Part-Dieu",)),
    City("singapore", "Singapore", "Asia/Singapore", ("Singapore Marina One",)),
)


@pytest.fixture(scope="module")
def estate() -> Estate:
    return build_estate(7, 1500, CITIES, traps=False)


@pytest.fixture
def effects(estate: Estate, tmp_path: Path) -> Effects:
    return Effects(estate, tmp_path / "effects.json")


@pytest.fixture
def environment(estate: Estate, effects: Effects) -> Environment:
    return Environment(estate, Conditions(estate, effects), effects)


def rooms(estate: Estate, city: str) -> list[Workspace]:
    return [room for room in estate.workspaces if room.kind and room.location.city and room.location.city.slug == city]


def share_in_use(estate: Estate, city: str, moment: float) -> float:
    found = rooms(estate, city)
    return sum(people_at(room, moment) > 0 for room in found) / len(found)


def test_rooms_are_in_use_in_the_working_day_of_their_own_site(estate: Estate) -> None:
    ten_in_singapore = TUESDAY + 2.4 * HOUR
    assert share_in_use(estate, "singapore", ten_in_singapore) > 0.3
    assert share_in_use(estate, "lyon", ten_in_singapore) == 0


def test_weekends_and_mondays_are_quieter_than_tuesdays(estate: Estate) -> None:
    tuesday, monday, sunday = (share_in_use(estate, "lyon", TUESDAY + 9.4 * HOUR - days * DAY) for days in (0, 1, 2))
    assert tuesday > monday > sunday


def test_at_the_peak_shares_of_booked_and_used_rooms_are_those_of_the_model(estate: Estate) -> None:
    peaks = [TUESDAY + 9 * HOUR + minutes * 60 + week * 7 * DAY for minutes in range(0, 60, 5) for week in range(4)]
    found = rooms(estate, "lyon")
    assert sum(is_booked(room, peak) for room in found for peak in peaks) / len(found) / len(peaks) == pytest.approx(
        0.7, abs=0.05
    )
    assert sum(people_at(room, peak) > 0 for room in found for peak in peaks) / len(found) / len(peaks) == pytest.approx(
        0.42, abs=0.05
    )


def test_a_room_holds_hardly_more_people_than_seats(estate: Estate) -> None:
    for room in estate.workspaces:
        for hour in range(24):
            meeting = meeting_at(room, TUESDAY + hour * HOUR + 1500)
            if meeting:
                assert 1 <= meeting.people <= (room.seats or SEATS_WHEN_UNKNOWN) + 1


def test_a_meeting_warms_a_room_slowly_and_the_air_stays_in_its_band(estate: Estate, environment: Environment) -> None:
    for room in rooms(estate, "lyon")[:100]:
        values = [environment.value(room, "temperature", TUESDAY + minutes * 60) for minutes in range(0, 24 * 60, 10)]
        assert 19 < min(values) <= max(values) < 26
        assert max(abs(later - earlier) for earlier, later in pairwise(values)) < 1.6
    crowded = max((room for room in rooms(estate, "lyon")), key=lambda room: people_at(room, TUESDAY + 9.4 * HOUR))
    night, meeting = (environment.value(crowded, "temperature", TUESDAY + hour * HOUR) for hour in (2, 9.7))
    assert meeting > night + 0.5


@pytest.mark.parametrize(
    ("metric", "low", "high"), [("humidity", 28, 57), ("tvoc", 0, 2), ("ambientNoise", 28, 41), ("soundLevel", 32, 68)]
)
def test_readings_stay_in_their_ranges(estate: Estate, environment: Environment, metric: str, low: float, high: float) -> None:
    values = [environment.value(room, metric, TUESDAY + hour * HOUR) for room in rooms(estate, "lyon")[:60] for hour in range(24)]
    assert low <= min(values) < max(values) <= high


def test_a_count_of_people_is_minus_one_in_standby(estate: Estate, environment: Environment) -> None:
    room = rooms(estate, "lyon")[0]
    assert in_standby(room, TUESDAY + 2 * HOUR)
    assert environment.value(room, "peopleCount", TUESDAY + 2 * HOUR) == -1
    assert environment.value(room, "peopleCount", TUESDAY + 12 * HOUR) >= 0


def test_a_heated_room_reports_at_once_and_only_while_it_is_heated(
    estate: Estate, environment: Environment, effects: Effects
) -> None:
    room = next(room for room in rooms(estate, "lyon") if measures(estate, room, "temperature"))
    start = TUESDAY + 12 * HOUR + 7
    effects.begin("heat", start, start + 1200, Target("workspace", room.id, room.name), {"celsius": 31.0})
    samples = list(environment.samples(room, "temperature", start - 600, start + 2400))
    hot = {sample.time for sample in samples if sample.value == 31.0}
    assert min(hot) == start
    assert hot == {sample.time for sample in samples if start <= sample.time < start + 1200}
    assert all(sample.value < 27 for sample in samples if sample.time not in hot)


def test_a_device_that_is_away_reads_nothing(estate: Estate, environment: Environment, effects: Effects) -> None:
    room = next(room for room in rooms(estate, "lyon") if measures(estate, room, "soundLevel"))
    start = TUESDAY + 12 * HOUR
    effects.begin("outage", start, start + HOUR, Target("city", "lyon", "Lyon"))
    times = [sample.time for sample in environment.samples(room, "soundLevel", start - HOUR, start + 2 * HOUR)]
    assert times
    assert not [time for time in times if start <= time < start + HOUR]
