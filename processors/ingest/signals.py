"""Signals: the numbers of an observation, each with the alert rules that apply to it in its city. Which there are, and what they
mean: processors/contracts/signals.py.

Rules ride with the data, so the stream query needs no reference data and a new threshold restarts nothing.

Every signal of every device would be most of the traffic, and most of it zeros. So of a device's signals these are sent: those of
`ALWAYS`, those that a rule of its city looks at, those that are not 0, and those that have just become 0. A signal that isn't
listed is 0, or unknown when it is one of `MEASURED`, or of `ISSUES` on a device whose issues can't be seen. What is unknown is
not sent, so that it neither fires an alert nor resolves one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from processors.contracts.issues import SEPARATOR
from processors.contracts.signals import OF_ENTITY
from processors.ingest.changes import KnownDevice, issues_are_seen
from processors.ingest.city_facts import NO_FACTS, CityFacts
from processors.ingest.error_codes import OF_SIGNAL
from processors.ingest.fleet import CityTally, LocationTally
from processors.ingest.health import health_of
from processors.ingest.records import Device, Workspace
from processors.ingest.room_use import use_values
from processors.ingest.settings import City

Signal = dict[str, Any]
Rules = Mapping[str, list[dict[str, Any]]]

DEVICE_SIGNALS = OF_ENTITY["device"]
ALWAYS = tuple(name for name, signal in DEVICE_SIGNALS.items() if signal.always)
MEASURED = frozenset(name for name, signal in DEVICE_SIGNALS.items() if signal.may_be_unknown)
"""Not 0 but unknown when nothing reports them: firmware without a date, a device that has not been asked."""
ISSUES = frozenset(name for name, signal in DEVICE_SIGNALS.items() if signal.of_issues)
"""Not 0 but unknown while a device does not show its issues: it is down, or asleep."""
_NO_RULES: Rules = {}
_NO_TEXTS: Mapping[str, str] = {}


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
        due.update(rules.keys() & known.condition.measured().keys())
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
    """The signal of a reading; a count of people also shows whether the room is in use, and how full it is."""
    is_count = metric == "peopleCount"
    values = use_values(value, value > 0, workspace.capacity) if is_count else {metric: value}
    return book.signals(city_id, "workspace", values)


def location_signals(book: RuleBook, city_id: str, count: LocationTally) -> list[Signal]:
    """The signals of a location."""
    signals = book.signals(city_id, "location", count.values(), count.texts())
    return [book.for_so_many(city_id, signal, count.reachable_kinds) for signal in signals]


def city_signals(book: RuleBook, slug: str, count: CityTally, facts: CityFacts = NO_FACTS) -> list[Signal]:
    """The signals of a city: its devices by health and its rooms, and what else is known of it."""
    return book.signals(slug, "city", {**count.values(), **facts.values()}, facts.texts())


def _unseen(device: Device) -> frozenset[str]:
    """Signals that are not known for now, unless there is something to report after all."""
    unseen = frozenset() if issues_are_seen(device) else ISSUES
    return unseen | {"offline"} if health_of(device.connection_status) == "unknown" else unseen


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
    values |= condition.worth_sending()
    return values, texts


def _add_codes(known: KnownDevice, values: dict[str, float], texts: dict[str, str]) -> None:
    codes = known.device.error_codes
    counted = {name: [code for code in codes if code in of_signal] for name, of_signal in OF_SIGNAL.items()}
    counted |= {"issues": list(codes), "criticalIssues": known.critical_codes}
    if not known.condition.display_lost:
        del counted["displayIssues"]
    for name, found in counted.items():
        if found:
            values[name], texts[name] = len(found), SEPARATOR.join(found)
