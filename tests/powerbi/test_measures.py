"""Every function behind the model and every measure says what is true of its rows, and nothing where there are none."""

from __future__ import annotations

import atexit
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any

import pytest

from powerbi.health import HEALTH_COLOURS
from powerbi.semantic_model import read_model, semantic_model
from tests.support.dax_engine import Measures, measures_of
from tests.support.report_store import FUNCTIONS, LACKING, ReportStore, Row
from tests.support.report_world import (
    BERLIN,
    CITIES,
    DAY,
    DEVICES,
    HOUR,
    LYON,
    MINUTE,
    NOW,
    OUTAGES,
    PUNE,
    TOKYO,
    City,
    Outage,
    alert_rows,
    at,
    availability,
    device_row,
    room_row,
    world,
)

MODEL = read_model()
MEASURES = {name: table for table in MODEL.tables.values() for name in table.measures}
AVAILABILITY = "Availability in office hours"
SCRIPTS = [city.script for city in CITIES]


@cache
def measures() -> Measures:
    return measures_of(world())


def over(processed: list[Row], alerts: list[Row] | None = None) -> Measures:
    """The measures over other rows in the same cities."""
    return measures_of(ReportStore(NOW, {"Processed": processed, "Alerts": alerts or []}, SCRIPTS))


def rows_of(function: str, processed: list[Row], alerts: list[Row] | None = None) -> list[Row]:
    return ReportStore(NOW, {"Processed": processed, "Alerts": alerts or []}, SCRIPTS).rows(f"{function}()")


# ---- no data is blank


@cache
def nothing() -> Measures:
    return over([])


@pytest.mark.parametrize("city", [None, "Lyon"])
@pytest.mark.parametrize("measure", MEASURES)
def test_without_data_every_figure_is_blank(measure: str, city: str | None) -> None:
    assert nothing().value(measure, **({"Cities__city": city} if city else {})) is None


@pytest.mark.parametrize("measure", MEASURES)
def test_a_city_without_devices_has_no_figures(measure: str) -> None:
    assert measures().value(measure, Cities__city="Tokyo") is None


SAYS = {"id", "observedAt", "cityId", "entity", "entityId"}
"""What a row has that says nothing else."""
COUNTED = {
    "Device count": 2,
    "Room count": 1,
    "Newest observation": NOW,
    **dict.fromkeys(("Device colour", "Room colour"), HEALTH_COLOURS["unknown"]),
    **dict.fromkeys(("Devices down", "Devices with issues", "Flapping devices", "Drops last hour", "Rooms not well"), 0),
    **dict.fromkeys(("Open alerts", "Alerts fired"), 0),
}
"""What is known of devices that say nothing: that they are there, and what is sent only where it isn't 0."""


def that_say_nothing(unsaid: str | None) -> ReportStore:
    """Rows of which only what identifies them is known, as of an older ingest; Kusto has empty texts, DuckDB also NULL."""
    texts = dict.fromkeys(("name", "workspaceId", "workspaceName", "locationName", "health", "connectionStatus"), unsaid)
    full = [device_row("a", "lyon", NOW), room_row("room-a", "lyon", NOW, {}), device_row("b", "lyon", NOW)]
    rows = [texts | {name: value for name, value in row.items() if name in SAYS} for row in full]
    rows[2]["workspaceId"] = "room-b"
    minute = {"windowEnd": NOW - MINUTE, "cityId": "lyon", "signal": "devicesDown"}
    return ReportStore(NOW, {"Processed": rows, "CityMinute": [minute]}, SCRIPTS)


@cache
def saying_nothing(unsaid: str | None) -> Measures:
    return measures_of(that_say_nothing(unsaid))


@pytest.mark.parametrize("unsaid", [None, ""])
@pytest.mark.parametrize("measure", MEASURES)
def test_of_rows_that_say_nothing_it_is_known_only_that_they_are_there(measure: str, unsaid: str | None) -> None:
    """A room whose device had no health counted as well, and the share of rooms that are well was 100 %."""
    for city in ({}, {"Cities__city": "Lyon"}):
        assert saying_nothing(unsaid).value(measure, **city) == COUNTED.get(measure)
    assert saying_nothing(unsaid).value(measure, Cities__city="Tokyo") is None


@pytest.mark.parametrize("health", [None, "", "unknown", "on_fire"])
def test_a_health_that_is_not_known_is_unknown_everywhere(health: str | None) -> None:
    rows = [device_row("a", "lyon", NOW, health=health)]
    found = [rows_of(function, rows) for function in ("ReportDevices", "ReportRooms")]
    assert [[row["health"] for row in one] for one in found] == [["unknown"], ["unknown"]]


@pytest.mark.parametrize(
    ("city", "day"),
    [
        (LYON, date(2026, 10, 31)),
        (LYON, date(2026, 11, 1)),
        (PUNE, date(2026, 10, 30)),
        (LYON, date(2026, 11, 5)),
        (BERLIN, date(2026, 11, 5)),
        (LYON, date(2026, 10, 19)),
        (LYON, date(2026, 10, 29)),
        (BERLIN, date(2026, 10, 4)),
    ],
    ids=["Saturday", "Sunday", "Friday in Pune", "tomorrow", "tomorrow, always open", "not deployed", "dead", "long ago"],
)
def test_a_day_without_observed_office_hours_has_no_availability(city: City, day: date) -> None:
    assert measures().value(AVAILABILITY, Cities__city=city.name, Dates__localDay=[midnight(day)]) is None


@cache
def nothing_wrong() -> Measures:
    return over([device_row("a", "lyon", NOW, {"offline": 0})])


@pytest.mark.parametrize("measure", ["Devices down", "Devices with issues", "Flapping devices", "Open alerts", "Alerts fired"])
def test_where_devices_are_seen_and_nothing_is_wrong_the_count_is_0(measure: str) -> None:
    assert nothing_wrong().value(measure, Cities__city="Lyon") == 0


def test_what_is_wrong_stays_in_sight_when_the_data_ends() -> None:
    (open_alert,) = alert_rows(Outage("a", "lyon", NOW - 4 * HOUR, None))
    dead = over([device_row("a", "lyon", NOW - 4 * HOUR)], [open_alert])
    assert dead.value("Open alerts") == 1
    assert dead.value("Devices down") is None


# ---- availability, minute by minute


def midnight(day: date) -> datetime:
    return datetime.combine(day, time.min)


PLACES: list[tuple[City | None, str | None]] = [
    (None, None),
    *((city, None) for city in CITIES),
    *((None, one) for one in DEVICES),
]
DATES = [None, *(NOW.date() - timedelta(days=ago) for ago in range(-1, 33))]


@pytest.mark.parametrize(("city", "device"), PLACES, ids=lambda place: getattr(place, "slug", place) or "all")
def test_availability_is_the_share_of_office_minutes(city: City | None, device: str | None) -> None:
    place: dict[str, Any] = {"Cities__city": city.name} if city else {"Devices__deviceId": device} if device else {}
    told = {
        day: measures().value(AVAILABILITY, **place, **({"Dates__localDay": [midnight(day)]} if day else {})) for day in DATES
    }
    assert told == {day: pytest.approx(availability(city, device, day)) for day in DATES}


def test_an_alert_that_is_open_for_40_days_is_there_and_its_device_was_never_available() -> None:
    (old,) = [row for row in world().rows("ReportAlerts()") if row["entityId"] == "a"]
    assert old["state"] == "fired"
    assert old["minutes"] == 40 * 24 * 60
    assert measures().value(AVAILABILITY, Devices__deviceId="a") == 0
    assert measures().value("Open alerts", Cities__city="Lyon") == 1


def test_an_alert_is_listed_while_open_and_for_a_month_after() -> None:
    starts = [NOW - 40 * DAY, NOW - 32 * DAY, NOW - 31 * DAY, NOW - 30 * DAY, NOW - HOUR]
    ends = [None, NOW - 32 * DAY + HOUR, NOW - 31 * DAY + MINUTE, NOW - 30 * DAY, NOW - 10 * MINUTE]
    spans = {(start, end): f"{start} {end}" for start in starts for end in ends if end is None or end > start}
    alerts = [row for span, name in spans.items() for row in alert_rows(Outage(name, "lyon", *span))]
    listed = {row["entityId"] for row in rows_of("ReportAlerts", [], alerts)}
    assert listed == {name for (_, end), name in spans.items() if end is None or end > NOW - 31 * DAY}


def test_mean_time_to_repair_is_of_devices_that_came_back() -> None:
    spans = [one.end - one.start for one in OUTAGES if one.end and one.city == "lyon"]
    assert measures().value("MTTR minutes", Cities__city="Lyon") == sum(spans, timedelta()) / len(spans) / MINUTE
    assert measures().value("MTTR minutes", Cities__city="Berlin") == 300


def test_alerts_of_a_room_are_its_own_and_its_devices_ones() -> None:
    there = [device_row(name, "lyon", NOW) for name in "ab"]
    of_device = [row | {"workspaceId": "room-a"} for row in alert_rows(Outage("a", "lyon", NOW - 9 * DAY, NOW - DAY))]
    of_room = [
        row | {"entity": "workspace", "workspaceId": "room-a"}
        for row in alert_rows(Outage("room-a", "lyon", NOW - 3 * HOUR, None), "room-humidity")
    ]
    of_city = list(alert_rows(Outage("lyon", "lyon", NOW - HOUR, None), "city-silent"))
    found = over(there, [*of_device, *of_room, *of_city])
    assert [found.value("Alerts of rooms", Workspaces__workspaceId=f"room-{name}") for name in "ab"] == [2, None]
    assert [found.value("Alerts of devices", Devices__deviceId=name) for name in "ab"] == [1, None]
    for name, chosen in (("Rooms of alerts", "room-humidity"), ("Devices of alerts", "device-offline")):
        assert [found.value(name, Alerts__ruleId=rule) for rule in (chosen, "city-silent")] == [1, None]
    days = {row["ruleId"]: row["localDay"] for row in rows_of("ReportAlerts", there, [*of_device, *of_room])}
    assert days == {
        "device-offline": midnight(LYON.local(NOW - 9 * DAY).date()),
        "room-humidity": midnight(LYON.local(NOW - 3 * HOUR).date()),
    }


@pytest.mark.parametrize("city", CITIES, ids=lambda city: city.slug)
def test_alerts_are_counted_on_the_citys_day_they_began(city: City) -> None:
    begun: dict[datetime, int] = {}
    for outage in OUTAGES:
        if outage.city == city.slug:
            day = midnight(city.local(outage.start).date())
            begun[day] = begun.get(day, 0) + 1
    days = [midnight(NOW.date() - timedelta(days=ago)) for ago in range(41)]
    told = {day: measures().value("Alerts begun", Cities__city=city.name, Alerts__localDay=[day]) for day in days}
    assert {day: count for day, count in told.items() if count} == begun


@pytest.mark.parametrize("measure", ["Device count", "Open alerts", AVAILABILITY])
@pytest.mark.parametrize("city", [LYON, PUNE, BERLIN], ids=lambda city: city.slug)
def test_a_reader_sees_the_figures_of_their_own_city(measure: str, city: City) -> None:
    seen = measures().value(measure, Readers__userPrincipalName=f"{city.slug}@example.com")
    assert seen == measures().value(measure, Cities__city=city.name) is not None


@pytest.mark.parametrize(
    ("signed_in", "sees"),
    [("lyon@example.com", ["Lyon"]), ("PUNE@Example.com", ["Pune"]), ("lyon@example.org", []), ("", [])],
    ids=str,
)
def test_the_role_shows_a_reader_the_rows_that_name_them_and_nobody_else(signed_in: str, sees: list[str]) -> None:
    (rule,) = re.findall(
        r"^\ttablePermission Readers = (.+)$", str(semantic_model().parts["definition/roles/CityReader.tmdl"]), re.MULTILINE
    )
    mine = rule.replace("LOWER ( USERPRINCIPALNAME () )", f'LOWER ( "{signed_in}" )')
    assert mine != rule, "DAX does not compare by case, Kusto does"
    rows = f"FILTER ( Readers, {mine} )"
    found = measures().of_expression(f'CONCATENATEX ( {rows}, Readers[cityId], "," )')
    assert (found or "") == ",".join(sees).lower()


# ---- all cities are the sum of each


@pytest.mark.parametrize(
    "measure",
    ["Device count", "Devices down", "Devices with issues", "Room count", "Rooms not well", "Open alerts", "Alerts fired"],
)
def test_all_cities_are_the_sum_of_each(measure: str) -> None:
    parts = [measures().value(measure, Cities__city=city.name) for city in CITIES]
    assert measures().value(measure) == sum(part for part in parts if part is not None)


def test_removed_devices_and_cities_that_are_not_declared_are_in_no_figure() -> None:
    assert {row["deviceId"] for row in world().rows("ReportDevices()")} == set(DEVICES)
    assert {row["deviceId"] for row in world().rows("ReportDowntime()")} == {"a", "b", "d", "f"}
    assert {row["cityId"] for row in world().rows("ReportAlerts()")} == {"lyon", "pune", "berlin"}


HISTORY = {
    "ReportRoomHours": room_row("room-x", "lyon", NOW - DAY, {"temperature": 21}),
    "ReportCallDays": device_row("x", "lyon", NOW - DAY, {"inCall": 1, "callLoss": 1}),
}


@pytest.mark.parametrize("function", HISTORY)
@pytest.mark.parametrize(
    ("change", "there"),
    [({}, True), ({"connectionStatus": "removed"}, False), ({"cityId": "ghost"}, False), ({"observedAt": NOW - 4 * HOUR}, False)],
    ids=["there", "removed", "not declared", "not seen"],
)
def test_history_is_of_rooms_and_devices_that_are_there(function: str, change: Row, there: bool) -> None:
    past = HISTORY[function] | {name: value for name, value in change.items() if name == "cityId"}
    assert bool(rows_of(function, [past, device_row("x", "lyon", NOW - MINUTE) | change])) == there


# ---- calls


NO_CALL = {"inCall": 0.0, "callLoss": 0.0, "callJitter": 0.0}


CALLS: dict[str, tuple[Sequence[Mapping[str, float]], float | None, float | None]] = {
    "twenty minutes of an hour": ([{"inCall": 1, "callLoss": 8, "callJitter": 20}] * 2 + [NO_CALL], 8, 20),
    "half of them known": ([{"inCall": 1, "callLoss": 6}, {"inCall": 1}], 6, None),
    "mixed": ([{"inCall": 1, "callLoss": 0, "callJitter": 4}, {"inCall": 1, "callLoss": 9}], 4.5, 4),
    "no loss": ([{"inCall": 1, "callLoss": 0}], 0, None),
    "no figures": ([{"inCall": 1}], None, None),
    "no call": ([NO_CALL] * 3, None, None),
    "call unknown": ([{"callLoss": 5, "callJitter": 5}], None, None),
    "no reading": ([], None, None),
}


@cache
def calls() -> Measures:
    past = [
        device_row(name, "lyon", NOW - DAY - number * MINUTE, signals)
        for name, (readings, *_) in CALLS.items()
        for number, signals in enumerate(readings)
    ]
    return over([*past, *(device_row(name, "lyon", NOW) for name in CALLS)])


@pytest.mark.parametrize("case", CALLS)
def test_call_quality_is_the_mean_of_readings_in_calls_that_know_it(case: str) -> None:
    found = [calls().value(measure, Devices__deviceId=case) for measure in ("Call loss", "Call jitter")]
    assert found == list(CALLS[case][1:])


def test_each_reading_weighs_the_same_whatever_the_hour_and_the_device() -> None:
    past = [device_row("a", "lyon", NOW - DAY - number * MINUTE, {"inCall": 1, "callLoss": 1}) for number in range(3)]
    past += [device_row("b", "lyon", NOW - 2 * DAY, {"inCall": 1, "callLoss": 9})]
    there = [device_row(name, "lyon", NOW) for name in "ab"]
    assert over(past + there).value("Call loss") == 3


# ---- the city's own days and hours


@pytest.mark.parametrize("city", CITIES, ids=lambda city: city.slug)
def test_days_and_hours_are_those_of_the_citys_clock(city: City) -> None:
    moments = {str(number): NOW - number * 7 * HOUR - 13 * MINUTE for number in range(47)}
    rows = [device_row(name, city.slug, NOW) for name in moments]
    for name, moment in moments.items():
        rows.append(device_row(name, city.slug, moment, {"inCall": 1, "callLoss": 2}))
        rows.append(room_row(f"room-{name}", city.slug, moment, {"temperature": 21.5}))
    store = ReportStore(NOW, {"Processed": rows}, SCRIPTS)
    local = {name: city.local(moment) for name, moment in moments.items()}
    clock = {name: (midnight(there.date()), there.replace(minute=0)) for name, there in local.items()}
    rooms = {row["workspaceId"].removeprefix("room-"): row for row in store.rows("ReportRoomHours()")}
    calls_by_day = {row["deviceId"]: row["localDay"] for row in store.rows("ReportCallDays()")}
    assert calls_by_day == {name: day for name, (day, _) in clock.items()}
    assert {name: (row["localDay"], row["hour"]) for name, row in rooms.items()} == clock
    assert {name: row["inOfficeHours"] for name, row in rooms.items()} == {
        name: city.is_open(there) for name, there in local.items()
    }


@pytest.mark.parametrize("city", [LYON, PUNE, TOKYO], ids=lambda city: city.slug)
def test_times_that_people_read_are_of_the_citys_clock(city: City) -> None:
    start, end = NOW - 12 * DAY, NOW - 3 * DAY
    device = device_row("a", city.slug, NOW - HOUR, statusSince=start)
    minute = {"windowEnd": NOW - HOUR, "cityId": city.slug, "signal": "devicesDown", "mean": 3.0}
    rows = {"Processed": [device], "Alerts": list(alert_rows(Outage("a", city.slug, start, end))), "CityMinute": [minute]}
    store = ReportStore(NOW, rows, SCRIPTS)
    (alert,), (room,) = store.rows("ReportAlerts()"), store.rows("ReportRooms()")
    (shown,), (down,) = store.rows("ReportDevices()"), store.rows("ReportCityMinutes()")
    assert (alert["startedAt"], alert["resolvedAt"]) == (city.local(start), city.local(end))
    assert shown["statusSince"] == city.local(start)
    assert room["observedAt"] == down["minute"] == city.local(NOW - HOUR)
    assert (down["devicesDown"], down["devicesIssues"]) == (3, None)


def test_every_day_that_has_figures_is_a_day_of_the_model() -> None:
    dates = {row["localDay"] for row in world().rows("ReportDates()")}
    for function in ("ReportOfficeDays", "ReportDowntime"):
        assert {row["localDay"] for row in world().rows(f"{function}()")} <= dates


# ---- rooms


NINE = at("2026-11-03T09:00")


def hours(*readings: dict[str, float], start: datetime = NINE) -> Measures:
    """A room with a reading an hour, from ten in the morning on."""
    past = [room_row("room-a", "lyon", start + number * HOUR, signals) for number, signals in enumerate(readings)]
    return over([*past, device_row("a", "lyon", NOW)])


@pytest.mark.parametrize(
    ("temperatures", "mean", "comfortable"),
    [
        ([20.0, 26.0], 23, 1),
        ([19.9, 26.1], 23, 0),
        ([21.0, 30.0, 30.0, 30.0], 27.75, 0.25),
        ([None], None, None),
        ([], None, None),
    ],
)
def test_comfort_is_of_hours_with_a_temperature(temperatures: list[float | None], mean: float, comfortable: float) -> None:
    found = hours(*({"humidity": 40.0} if value is None else {"temperature": value, "humidity": 40.0} for value in temperatures))
    assert found.value("Mean temperature") == (None if mean is None else pytest.approx(mean))
    assert found.value("Comfortable hours ratio") == comfortable
    assert found.value("Mean humidity") == (40 if temperatures else None)


@pytest.mark.parametrize(
    ("start", "use", "expected"),
    [
        (at("2026-11-03T09:00"), [1, 0, 0, 0], 0.25),
        (at("2026-11-03T09:00"), [0, 0], 0),
        (at("2026-11-01T09:00"), [1, 1], None),
        (at("2026-11-03T06:00"), [1, 0], 0),
        (at("2026-11-03T16:00"), [1, 0], 1),
    ],
    ids=["a quarter", "nobody", "Sunday", "from seven on", "from five on"],
)
def test_use_counts_in_office_hours_only(start: datetime, use: list[float], expected: float | None) -> None:
    assert hours(*({"inUse": value} for value in use), start=start).value("Utilisation") == expected


@cache
def half_known() -> ReportStore:
    call = {"inCall": 1, "callJitter": 12}
    readings = [room_row("room-a", "lyon", NOW - HOUR, {"humidity": 40}), device_row("a", "lyon", NOW - HOUR, call)]
    minute = {"windowEnd": NOW - HOUR, "cityId": "lyon", "signal": "devicesIssues", "mean": 1.0}
    return ReportStore(NOW, {"Processed": [*readings], "CityMinute": [minute]}, SCRIPTS)


atexit.register(half_known.cache_clear)  # DuckDB complains of what is still there when it goes


@pytest.mark.parametrize("function", ["ReportRoomHours", "ReportRooms", "ReportDevices", "ReportCityMinutes", "ReportCallDays"])
def test_what_is_not_known_is_null_and_never_nan(function: str) -> None:
    rows = half_known().rows(f"{function}()")
    assert rows
    assert not [value for row in rows for value in row.values() if isinstance(value, float) and value != value]


@pytest.mark.parametrize(
    ("healths", "not_well", "ratio"),
    [
        (["up"], 0, 1),
        (["up", "asleep"], 0, 1),
        (["down"], 1, 0),
        (["up", "issues"], 1, 0.5),
        (["unknown", "up"], 0, 1),
        (["unknown"], 0, None),
    ],
    ids=str,
)
def test_rooms_are_well_not_well_or_unknown(healths: list[str], not_well: int, ratio: float | None) -> None:
    found = over([device_row(f"{number}", "lyon", NOW, health=health) for number, health in enumerate(healths)])
    assert (found.value("Room count"), found.value("Rooms not well")) == (len(healths), not_well)
    assert found.value("Rooms well ratio") == ratio


def test_a_room_is_as_bad_as_its_worst_device() -> None:
    worst_first = ["down", "issues", "unknown", "asleep", "up"]
    rooms = {f"{one} {other}": (one, other) for one in worst_first for other in worst_first}
    rows = [
        device_row(f"{room} {number}", "lyon", NOW, workspaceId=room, health=health)
        for room, healths in rooms.items()
        for number, health in enumerate(healths)
    ]
    expected = {room: min(healths, key=worst_first.index) for room, healths in rooms.items()}
    assert {row["workspaceId"]: row["health"] for row in rows_of("ReportRooms", rows)} == expected


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (["touchpanelconnection"], "touch panel lost"),
        (["networkquality", "microphonesconnected"], "no microphone, poor network"),
        (["provisioningstatus", "provisioningmodeandstatus"], "not provisioned"),
        (["brandnewcode"], "brandnewcode"),
        (["brandnewcode", "networkquality"], "brandnewcode, poor network"),
        ([], ""),
    ],
    ids=str,
)
def test_issues_are_in_words_and_a_code_without_words_stands_as_it_is(codes: list[str], words: str) -> None:
    (device,) = rows_of("ReportDevices", [device_row("a", "lyon", NOW, errorCodes=codes)])
    assert device["issues"] == words


# ---- firmware and drops


@pytest.mark.parametrize(
    ("behind", "current", "count", "most"),
    [([0, 0], 1, 0, 0), ([0, 30, 60, 0], 0.5, 2, 60), ([None, 30], 0, 1, 30), ([None, 0], 1, 0, 0), ([None], None, None, None)],
    ids=str,
)
def test_firmware_that_is_not_known_is_neither_current_nor_behind(
    behind: list[float | None], current: float | None, count: int | None, most: float | None
) -> None:
    rows = [
        device_row(f"{number}", "lyon", NOW, {} if days is None else {"firmwareBehind": days})
        for number, days in enumerate(behind)
    ]
    found = over(rows)
    assert found.value("Device count") == len(behind)
    assert [found.value(name) for name in ("Firmware current ratio", "Devices behind", "Most days behind")] == [
        current,
        count,
        most,
    ]


@pytest.mark.parametrize(("drops", "flapping"), [([4, 3, 0], 1), ([5, 4], 2), ([None], 0)], ids=str)
def test_four_drops_of_an_hour_are_flapping(drops: list[int | None], flapping: int) -> None:
    rows = [device_row(f"{number}", "lyon", NOW, {"offline": 0} | ({"drops": n} if n else {})) for number, n in enumerate(drops)]
    found = over(rows)
    assert (found.value("Flapping devices"), found.value("Drops last hour")) == (flapping, sum(n or 0 for n in drops))


def test_the_newest_observation_is_in_utc_for_every_city() -> None:
    assert measures().value("Newest observation") == NOW - 10 * MINUTE


def test_lines_by_minute_add_cities_up() -> None:
    minutes = [
        {"windowEnd": NOW, "cityId": city, "signal": signal, "mean": mean}
        for city, mean in (("lyon", 2.0), ("berlin", 3.0))
        for signal in ("devicesDown", "devicesIssues")
    ]
    found = measures_of(ReportStore(NOW, {"CityMinute": minutes}, SCRIPTS))
    assert (found.value("Down by minute"), found.value("Issues by minute", Cities__city="Lyon")) == (5, 2)


# ---- the judges


def test_only_what_kusto_documents_is_added_to_the_translator() -> None:
    used = {name for name in LACKING if any(name in body for body in FUNCTIONS.values())}
    assert used == set(LACKING)


def test_every_measure_can_be_evaluated() -> None:
    for measure in MEASURES:
        measures().value(measure)


# ---- use and bookings, counted from the rows by hand


def use_of(*signals: tuple[float, Mapping[str, float | None]]) -> ReportStore:
    """A room of Lyon whose readings were so many minutes ago."""
    readings = [room_row("room-a", "lyon", NOW - ago * MINUTE, said) for ago, said in signals]
    return ReportStore(NOW, {"Processed": [device_row("a", "lyon", NOW), *readings]}, SCRIPTS)


USE = ("Rooms that say their use", "Rooms in use", "Ghost meetings")


@pytest.mark.parametrize(
    ("signals", "figures", "word"),
    [
        ([], (None, None, None), ""),
        ([(1, {"inUse": 1})], (1, 1, None), "In use"),
        ([(1, {"inUse": 0})], (1, 0, None), "Free"),
        ([(16, {"inUse": 1})], (None, None, None), ""),
        ([(14, {"inUse": 1})], (1, 1, None), "In use"),
        ([(3, {"inUse": 1}), (1, {"inUse": 0})], (1, 0, None), "Free"),
        ([(1, {"booked": 1, "unattendedMinutes": 9.9, "inUse": 0})], (1, 0, 0), "Booked"),
        ([(1, {"booked": 1, "unattendedMinutes": 10, "inUse": 0})], (1, 0, 1), "Booked, nobody there"),
        ([(11, {"booked": 1, "unattendedMinutes": 30, "inUse": 0})], (1, 0, None), "Booked"),
        ([(1, {"booked": 1, "unattendedMinutes": 30}), (0, {"inUse": 1, "unattendedMinutes": 0})], (1, 1, 0), "In use"),
        ([(1, {"booked": 0, "unattendedMinutes": 0})], (None, None, 0), ""),
        ([(1, {"inUse": None, "unattendedMinutes": None})], (None, None, None), ""),
    ],
)
def test_a_room_is_used_as_it_said_last_and_not_long_ago(
    signals: list[tuple[float, Mapping[str, float | None]]], figures: tuple[float | None, ...], word: str
) -> None:
    store = use_of(*signals)
    found = measures_of(store)
    assert tuple(found.value(name) for name in USE) == figures
    (room,) = store.rows("ReportRooms()")
    assert room["use"] == word
    newest = min((ago for ago, _ in signals), default=None)
    assert room["readAt"] == (None if newest is None else LYON.local(NOW - newest * MINUTE))


ENDED: list[tuple[str, str, str, Mapping[str, float | None]]] = [
    ("a", "lyon", "2026-10-24T22:00", {"noShow": 1, "timeBooked": 60, "timeUsed": 0}),
    ("a", "lyon", "2026-10-25T01:00", {"timeBooked": 60, "timeUsed": 10}),
    ("a", "lyon", "2026-10-25T23:00", {"noShow": 0, "timeBooked": 30, "timeUsed": 50}),
    ("a", "lyon", "2026-10-25T23:05", {"noShow": 1}),
    ("b", "lyon", "2026-10-26T09:00", {"timeUsed": 45}),
    ("d", "pune", "2026-10-25T18:30", {"noShow": 0}),
    ("d", "pune", "2026-10-25T18:35", {"noShow": 1, "timeBooked": 20}),
    ("x", "lyon", "2026-10-26T09:00", {"noShow": 1, "timeBooked": 60, "timeUsed": 60}),
]
"""What ended when (UTC), in which room. Lyon's clocks go back on 25 October: that day ends at 23:00, the one before at 22:00."""
BY_DAY: dict[tuple[str, str], tuple[float | None, ...]] = {
    ("a", "2026-10-24"): (1, 1, 1, 0),
    ("a", "2026-10-25"): (1, 0, 1.5, 1),
    ("a", "2026-10-26"): (1, 1, None, None),
    ("b", "2026-10-26"): (None, None, None, 0.75),
    ("d", "2026-10-25"): (1, 0, None, None),
    ("d", "2026-10-26"): (1, 1, 1 / 3, None),
}
"""Bookings, no-shows, hours booked and in use, by room and the city's own day: what ends at midnight is of the day that ends."""
BOOKING = ("Bookings", "No-shows", "Booked hours", "Used hours")


@cache
def booked() -> Measures:
    ended = [room_row(f"room-{room}", city, at(when), said) for room, city, when, said in ENDED]
    devices = [device_row(room, city, NOW) for room, city in (("a", "lyon"), ("b", "lyon"), ("d", "pune"))]
    return over([*devices, *ended])


@pytest.mark.parametrize("room", ["a", "b", "d"])
def test_bookings_are_of_the_city_s_own_day_on_days_that_clocks_change_too(room: str) -> None:
    for day in ("2026-10-23", "2026-10-24", "2026-10-25", "2026-10-26", "2026-10-27"):
        found = [booked().value(name, Workspaces__workspaceId=f"room-{room}", Dates__localDay=[at(day)]) for name in BOOKING]
        assert found == [pytest.approx(one) if one else one for one in BY_DAY.get((room, day), (None,) * 4)], day


def test_all_cities_are_the_sum_of_each_and_a_share_is_of_all_bookings() -> None:
    totals = [sum(figures[number] or 0 for figures in BY_DAY.values()) for number in range(4)]
    assert [booked().value(name) for name in BOOKING] == [pytest.approx(one) for one in totals]
    assert booked().value("No-show ratio") == totals[1] / totals[0] == 3 / 5
    assert [booked().value("No-show ratio", Cities__city=city) for city in ("Lyon", "Pune", "Tokyo")] == [2 / 3, 1 / 2, None]


def test_where_bookings_are_not_read_nothing_is_said_of_them() -> None:
    known = measures_of(use_of((1, {"inUse": 1, "temperature": 21.0})))
    assert {name: known.value(name) for name in (*BOOKING, "No-show ratio", "Ghost meetings")} == dict.fromkeys(
        (*BOOKING, "No-show ratio", "Ghost meetings")
    )
