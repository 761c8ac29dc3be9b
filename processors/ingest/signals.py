"""Signals: the numbers of an observation, each with the alert rules that apply to it in its city. Which there are, and what they
mean: processors/contracts/signals.py.

Rules ride with the data, so the stream query needs no reference data and a new threshold restarts nothing.

Every signal of every device would be most of the traffic, and most of it zeros. So of a device's signals these are sent: those of
`ALWAYS`, those that a rule of its city looks at, those that are not 0, and those that have just become 0. A signal that isn't
listed is 0, or unknown when it is one of `MEASURED`, or of `ISSUES` on a device whose issues can't be seen. What is unknown is
not sent, so that it neither fires an alert nor resolves one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from processors.contracts.issues import SEPARATOR
from processors.contracts.signals import OF_ENTITY
from processors.ingest.changes import Condition, KnownDevice, issues_are_seen
from processors.ingest.error_codes import DISPLAY, PERIPHERAL, TOO_HOT, warning_codes
from processors.ingest.fleet import CityTally, LocationTally, Seen
from processors.ingest.health import health_of
from processors.ingest.records import Device, Workspace
from processors.ingest.settings import City

Signal = dict[str, Any]
Rules = Mapping[str, list[dict[str, Any]]]

DEVICE_SIGNALS = OF_ENTITY["device"]
ALWAYS = tuple(name for name, signal in DEVICE_SIGNALS.items() if signal.always)
MEASURED = frozenset(name for name, signal in DEVICE_SIGNALS.items() if signal.may_be_unknown)
"""Not 0 but unknown when nothing tells them: firmware without a date, a device that has not been asked."""
ISSUES = frozenset(name for name, signal in DEVICE_SIGNALS.items() if signal.of_issues)
"""Not 0 but unknown while a device does not show its issues: it is down, or asleep."""
_NO_RULES: Rules = {}
_NO_TEXTS: Mapping[str, str] = {}


class Told(NamedTuple):
    """What is told of a city besides its devices and its poll; None is not known, and not sent.

    `push_silent`: its rooms should tell by themselves and don't. `vanished`: names of devices that Webex has lately stopped
    listing. `webex_incidents`: how many Webex itself reports. `token_days`: until the token ends with which it is asked.
    """

    push_silent: bool | None = None
    vanished: Sequence[str] = ()
    webex_incidents: int | None = None
    token_days: float | None = None


NOTHING_TOLD = Told()
MOST_NAMED = 10
"""Devices that a text names; the count has the others."""


class RuleBook:
    """The alert rules by city, entity and signal, in the form they have on a signal."""

    def __init__(self, cities: Iterable[City]) -> None:
        self._rules: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = {}
        self._fewest: dict[tuple[str, str], int] = {}
        for city in cities:
            for rule in city.rules:
                on_signal = {
                    "id": rule.id,
                    "severity": rule.severity,
                    "op": rule.op,
                    "threshold": rule.threshold,
                    "forSeconds": rule.for_seconds,
                }
                if rule.fewest_devices:
                    self._fewest[city.slug, rule.id] = rule.fewest_devices
                self._rules.setdefault((city.slug, rule.entity), {}).setdefault(rule.signal, []).append(on_signal)

    def of(self, city_id: str, entity: str) -> Rules:
        """The rules for an entity of a city, by signal."""
        return self._rules.get((city_id, entity), _NO_RULES)

    def for_so_many(self, city_id: str, signal: Signal, devices: int) -> Signal:
        """A signal of a place with so many devices: a rule that wants more of them is out of reach, so that what is open ends."""
        rules = [
            {**rule, "threshold": _out_of_reach(rule["op"], signal["name"])}
            if devices < self._fewest.get((city_id, rule["id"]), 0)
            else rule
            for rule in signal["rules"]
        ]
        return {**signal, "rules": rules}

    def signals(
        self, city_id: str, entity: str, values: Mapping[str, float], texts: Mapping[str, str] = _NO_TEXTS
    ) -> list[Signal]:
        """Signals of an entity in a city, with their rules attached, and their texts where they have one."""
        rules = self.of(city_id, entity)
        return [
            {"name": name, "value": value, "rules": rules.get(name, []), **({"text": texts[name]} if texts.get(name) else {})}
            for name, value in values.items()
        ]


def _out_of_reach(op: str, name: str) -> float:
    """A threshold that no value of a signal of locations breaches."""
    signal = OF_ENTITY["location"][name]
    return signal.high + 1 if op == ">=" else signal.low - 1


def device_signals(book: RuleBook, known: KnownDevice, before: KnownDevice | None) -> list[Signal]:
    """The signals of a device as it is now; `before` is what was last acknowledged of it."""
    values, texts = _device_values(known)
    due = {*ALWAYS, *values}
    if before is not None and before != known:
        due.update(_device_values(before)[0])
        if not issues_are_seen(before.device):
            due |= ISSUES
    rules = book.of(known.place.city_id, "device")
    if rules:
        due.update(rules.keys() - MEASURED)
        due.update(rules.keys() & _measured(known.condition))
    due -= _unseen(known.device) - values.keys()
    signals: list[Signal] = []
    for name in DEVICE_SIGNALS:
        if name in due:
            signal: Signal = {"name": name, "value": values.get(name, 0), "rules": rules.get(name, [])}
            if name in texts:
                signal["text"] = texts[name]
            signals.append(signal)
    if values.get("offline"):
        signals[0]["since"] = known.status_since
    return signals


def removed_signals(book: RuleBook, known: KnownDevice) -> list[Signal]:
    """Signals of a device that left the organisation: all quiet, so that its open alerts resolve."""
    values, _ = _device_values(known)
    rules = book.of(known.place.city_id, "device")
    due = [name for name in DEVICE_SIGNALS if name in ALWAYS or name in rules or name in values]
    return book.signals(known.place.city_id, "device", dict.fromkeys(due, 0))


def reading_signals(book: RuleBook, city_id: str, workspace: Workspace, metric: str, value: float) -> list[Signal]:
    """The signal of a reading; a count of people also tells whether the room is in use, and how full it is."""
    if metric == "peopleCount":
        return use_signals(book, city_id, value, value > 0, workspace.capacity)
    return book.signals(city_id, "workspace", {metric: value})


def use_signals(
    book: RuleBook,
    city_id: str,
    people: float | None,
    in_use: bool | None,
    capacity: int | None,
    booking: Mapping[str, float] = MappingProxyType({}),
) -> list[Signal]:
    """How a room is used, as far as it is known: people in it, whether it is in use, its seats, and how full that is; and how it
    stands with its `booking`.
    """
    values: dict[str, float] = {}
    if people is not None:
        values["peopleCount"] = people
    if in_use is not None:
        values["inUse"] = int(in_use)
    if people is not None and capacity:
        values |= {"capacity": capacity, "occupancy": round(people / capacity, 3)}
    values |= booking
    return book.signals(city_id, "workspace", values)


def location_signals(book: RuleBook, city_id: str, count: LocationTally) -> list[Signal]:
    """The signals of a location."""
    values = {"offlineRatio": count.offline_ratio, "devices": count.devices, **_seen(count.seen)}
    texts: dict[str, str] = {}
    if count.down_rooms:
        floor, rooms = max(count.down_rooms.items(), key=lambda item: len(item[1]))
        values["roomsDownOnFloor"], texts = len(rooms), {"roomsDownOnFloor": floor if rooms else ""}
    signals = book.signals(city_id, "location", values, texts)
    return [book.for_so_many(city_id, signal, count.reachable_kinds) for signal in signals]


def city_signals(
    book: RuleBook,
    slug: str,
    count: CityTally,
    unseen_minutes: float,
    requests: int,
    quarantined: int,
    told: Told = NOTHING_TOLD,
) -> list[Signal]:
    """Devices by health and rooms of a city; of the poll its requests so far, and the records it did not understand; and what
    else is `told` of it.
    """
    values = {
        "devices": count.devices,
        **{f"devices{health.capitalize()}": number for health, number in count.by_health.items()},
        "devicesHeld": count.held,
        **_seen(count.seen),
        "rooms": len(count.rooms),
        "roomsUsable": len(count.rooms) - len(count.unusable_rooms),
        "roomsReporting": count.rooms_reporting,
        "roomsInUse": count.rooms_in_use,
        "unseenMinutes": unseen_minutes,
        "requests": requests,
        "quarantined": quarantined,
    }
    known = {"pushSilent": told.push_silent, "webexIncidents": told.webex_incidents, "tokenDays": told.token_days}
    values |= {name: float(value) for name, value in known.items() if value is not None}
    values["devicesVanished"] = len(told.vanished)
    return book.signals(slug, "city", values, {"devicesVanished": SEPARATOR.join(told.vanished[:MOST_NAMED])})


def _seen(seen: Seen) -> dict[str, float]:
    """How much was seen, and how old the oldest sight is, where there is one."""
    oldest = {} if seen.oldest_minutes is None else {"oldestSightMinutes": seen.oldest_minutes}
    return {"devicesSeen": seen.now, **oldest}


def _unseen(device: Device) -> frozenset[str]:
    """Signals that can't be told for now, unless there is something to tell after all."""
    unseen = frozenset() if issues_are_seen(device) else ISSUES
    return unseen | {"offline"} if health_of(device.connection_status) == "unknown" else unseen


def _measured(condition: Condition) -> set[str]:
    """Those of `MEASURED` that are known."""
    values = {
        "firmwareBehind": condition.days_behind,
        "inCall": condition.in_call,
        "callLoss": None if condition.in_call is None else condition.call_loss,
        "callJitter": None if condition.in_call is None else condition.call_jitter,
    }
    return {name for name, value in values.items() if value is not None}


def _device_values(known: KnownDevice) -> tuple[dict[str, float], dict[str, str]]:
    """The signals of a device that are not 0, and the texts that go with some."""
    device, condition = known.device, known.condition
    values: dict[str, float] = {}
    texts: dict[str, str] = {}
    if known.is_down:
        values["offline"] = 1
    elif condition.in_maintenance:
        texts["offline"] = "planned maintenance"
    if device.error_codes:
        _add_codes(known, values, texts)
    if condition.drops:
        values["drops"] = len(condition.drops)
    if condition.days_behind:
        values["firmwareBehind"] = condition.days_behind
    if condition.in_call is not None:
        values["inCall"] = int(condition.in_call)
    if condition.in_call:
        quality = {"callLoss": condition.call_loss, "callJitter": condition.call_jitter}
        values |= {name: value for name, value in quality.items() if value is not None}
    return values, texts


def _add_codes(known: KnownDevice, values: dict[str, float], texts: dict[str, str]) -> None:
    codes = known.device.error_codes
    of_signal = {
        "issues": codes,
        "warningIssues": warning_codes(codes),
        "criticalIssues": known.critical_codes,
        "peripheralIssues": [code for code in codes if code in PERIPHERAL],
        "displayIssues": [code for code in codes if code in DISPLAY] if known.condition.display_lost else (),
        "overheatingIssues": [code for code in codes if code in TOO_HOT],
    }
    for name, found in of_signal.items():
        if found:
            values[name], texts[name] = len(found), SEPARATOR.join(found)
