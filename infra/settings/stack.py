"""A stack's settings: what `Pulumi.<stack>.yaml` says, checked and typed. Imports no Pulumi, so that every tool can read it.

All faults are listed at once with their path, because a person who fixes a file wants to fix it once.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from activator.declarations import DeclarationError, Fault, did_you_mean, placed, read_yaml, schema_faults
from activator.rules import Override, Rule, override_faults
from infra.settings.contacts import Contact, contact_faults, contacts_of, office_hours_of, quiet_hours_of
from infra.settings.deployment import AzureSettings, azure_settings, deployment_faults
from processors.contracts.facts import PARTNER_UNASSIGNED, REMOVAL_HOLD_HOURS, RESERVED_SLUGS, OfficeHours, normalised
from processors.contracts.plain_text import unseen
from processors.contracts.validation import unwritable

NAMESPACE = "roompulse:"
SECRETS = ("webexTokenSet", "webexClientSecret")
"""Keys that hold ciphertext only."""
_SCHEMA = json.loads((Path(__file__).parent / "stack.schema.json").read_text(encoding="utf-8"))
LONGEST_TEXT = 1_000
"""Characters of anything that is written in a stack file."""
NO_PLACES = frozenset({"Factory", "localtime", "posixrules"})
"""Listed with the time zones of a machine: not set, its own, and a default of its own. Each means another hour elsewhere."""
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DEFAULT_DEVICES = 200
_DEFAULT_METRICS = ("temperature", "humidity", "tvoc", "peopleCount")


@dataclass(frozen=True)
class City:
    """A city to watch. `webex_locations` are names or ids of Webex locations; `devices` is an estimate that sizing counts on.

    `readers` may see the city in Power BI (sign-in names in lower case). `quiet_hours`: from when to when (HH:MM, over midnight
    too) nobody is notified of anything but severity 1. `push`: its rooms report by themselves what they measure.
    `organisation`: the slug of the partner whose Webex organisation it is in; empty for the stack's own. `control_hub_secret`
    names the secret with which Control Hub signs its alerts; empty where it sends none.
    """

    slug: str
    name: str
    time_zone: str
    webex_locations: tuple[str, ...]
    devices: int
    contacts: tuple[Contact, ...]
    overrides: tuple[Override, ...]
    office_hours: OfficeHours = field(default_factory=OfficeHours)
    readers: tuple[str, ...] = ()
    quiet_hours: tuple[str, str] | None = None
    push: bool = False
    organisation: str = ""
    control_hub_secret: str = ""


@dataclass(frozen=True)
class Poll:
    """How Webex is polled: every `seconds`; a full snapshot every `snapshot_minutes`; at most so many metric requests a poll.

    `requests_per_second` holds for all requests, `xapi_requests_per_second` for those to devices; a room in need is asked every
    `xapi_seconds`, and rooms with a device that has one of `priority_tags` always are in need. `personal_devices`: observed?
    `removal_hold_hours`: how long devices that go missing in bulk are kept. `bookings`: are rooms asked if they are booked?
    """

    seconds: int
    snapshot_minutes: int
    metric_requests_per_poll: int
    metrics: tuple[str, ...]
    requests_per_second: float
    xapi_requests_per_second: float
    xapi_seconds: int
    metric_seconds: int
    location_minutes: int
    priority_tags: tuple[str, ...]
    personal_devices: bool
    removal_hold_hours: int
    bookings: bool


@dataclass(frozen=True)
class StackSettings:
    """Everything a stack file says, for the program, the plan and the local run. `azure` is None where it only runs locally;
    `runbooks` is the address of the folder with the runbooks.
    """

    stack: str
    cities: tuple[City, ...]
    poll: Poll
    azure: AzureSettings | None
    runbooks: str | None = None

    @property
    def control_hub_secrets(self) -> frozenset[str]:
        """The names of the secrets with which Control Hub signs its alerts."""
        return frozenset(city.control_hub_secret for city in self.cities if city.control_hub_secret)

    def runbook_of(self, rule: Rule) -> str:
        """Where a rule's runbook is: an address that opens, or its file in the repository where the stack names none."""
        return f"{self.runbooks.rstrip('/')}/{rule.runbook.rsplit('/', 1)[-1]}" if self.runbooks else rule.runbook


def _stack_of(path: Path) -> str:
    return path.name.removeprefix("Pulumi.").removesuffix(".yaml")


def _known(path: Path) -> None:
    """Raise DeclarationError where there is no such stack but others, whose names whoever has mistyped one needs."""
    there = sorted(path.parent.glob("Pulumi.*.yaml"))
    if there and path not in there:
        names = ", ".join(map(_stack_of, there))
        text = f"write the settings of stack {_stack_of(path)} here, or take a stack that is there: {names}"
        raise DeclarationError(f"{path.name} is missing", [Fault(os.path.relpath(path), text)])


def load_stack(path: Path, rules: Sequence[Rule]) -> StackSettings:
    """Read and check a stack file; raises DeclarationError with all its faults.

    `rules` are the alert rules that cities may override.
    """
    _known(path)
    name = _stack_of(path)
    document = read_yaml(path, f"the settings of stack {name}")
    faults = []
    config = document.get("config") if isinstance(document, Mapping) else None
    if not isinstance(config, Mapping):
        text = 'is missing: the file starts with "config:" and under it the roompulse:* keys (docs/configuration.md).'
        raise DeclarationError(f"{path.name} is not a valid stack", [Fault("config", text)])
    settings = {str(key).removeprefix(NAMESPACE): value for key, value in config.items() if str(key).startswith(NAMESPACE)}
    bare = {str(key): value for key, value in config.items() if key in _SCHEMA["properties"] and key not in settings}
    faults = [Fault(key, f'lacks its prefix: write "{NAMESPACE}{key}".') for key in bare]
    settings |= bare
    if broken := [Fault(fault.path, fault.text) for fault in unwritable(settings)]:
        raise DeclarationError(f"{path.name} is not a valid stack", broken)  # nothing else about such a value could be shown
    faults += _unseen_faults(settings)
    faults += _secret_faults(settings) + schema_faults(settings, _SCHEMA)
    faults += city_faults(settings.get("cities"), {rule.id: rule for rule in rules})
    faults += deployment_faults(name, settings.get("azure"), settings.get("cities"))
    if faults:
        raise DeclarationError(f"{path.name} is not a valid stack", placed(faults, path, (f"config/{NAMESPACE}", "config/")))
    return StackSettings(
        stack=name,
        cities=tuple(_city(slug, city) for slug, city in settings["cities"].items()),
        poll=_poll(settings.get("poll", {})),
        azure=azure_settings(settings["azure"], name) if "azure" in settings else None,
        runbooks=settings.get("runbooks"),
    )


def _secret_faults(settings: dict[str, Any]) -> list[Fault]:
    """Secrets written in plain; they are taken out of `settings`, so that no other fault repeats them."""
    way_out = "is in plain: take it out of the file and out of its history, get a new one, then pulumi config set --secret"
    plain = [key for key in SECRETS if key in settings and not _is_encrypted(settings[key])]
    for key in plain:
        del settings[key]
    return [Fault(key, f"{way_out} {key}.") for key in plain]


def _is_encrypted(value: Any) -> bool:
    """As `pulumi config set --secret` writes it; a token set pasted as YAML is a mapping too."""
    return isinstance(value, Mapping) and set(value) == {"secure"}


def _unseen_faults(value: Any, path: str = "") -> list[Fault]:
    """Texts, keys included, that nobody could read as they are: what is here is shown on pages, in messages and in reports."""
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            return [Fault(path, f"has {len(value):,} characters: {LONGEST_TEXT:,} at most.")]
        if value != value.strip():
            return [Fault(path, "begins or ends with a space, which nobody sees: write it without.")]
        found = unseen(value)
        return [Fault(path, f"holds {found}: write it without, in one line (>- folds several).")] if found else []
    if isinstance(value, Mapping):
        keys = [Fault(path, f"has a key that holds {unseen(str(key))}: write it without.") for key in value if unseen(str(key))]
        inner = [] if _is_encrypted(value) else value.items()
        return keys + [fault for key, item in inner for fault in _unseen_faults(item, f"{path}/{key}".lstrip("/"))]
    if isinstance(value, list):
        return [fault for index, item in enumerate(value) for fault in _unseen_faults(item, f"{path}/{index}")]
    return []


def city_faults(cities: Any, rules: Mapping[str, Rule]) -> list[Fault]:
    """What a schema can't say about cities: real time zones, locations in one city only, known rules, real dates,
    hours that open before they close."""
    if not isinstance(cities, Mapping):
        return []
    faults: list[Fault] = []
    owners: dict[str, str] = {}
    for slug, city in cities.items():
        if not isinstance(city, Mapping):
            continue
        path = f"cities/{slug}"
        faults += _slug_faults(path, slug)
        faults += _time_zone_faults(path, city.get("timeZone"))
        faults += _location_faults(path, str(slug), city.get("webexLocations"), owners)
        faults += _override_faults(path, city.get("alerts"), rules)
        faults += contact_faults(path, city, rules)
    return faults


def _slug_faults(path: str, slug: Any) -> list[Fault]:
    """A slug that is not text (JSON Schema knows no such key and lets it pass), or one that RoomPulse uses itself."""
    if not isinstance(slug, str):
        return [Fault(path, "is not text: a city's slug starts with a letter, such as new-york.")]
    return [Fault(path, f"{RESERVED_SLUGS[slug]}: take another slug.")] if slug in RESERVED_SLUGS else _of_partners(path, slug)


def _of_partners(path: str, slug: str) -> list[Fault]:
    reserved = f"is what rooms of no city of a partner are filed under ({PARTNER_UNASSIGNED}...): take another slug."
    return [Fault(path, reserved)] if slug.startswith(PARTNER_UNASSIGNED) else []


def _time_zone_faults(path: str, zone: Any) -> list[Fault]:
    if not isinstance(zone, str) or zone in _time_zones():
        return []
    suggestion = did_you_mean(zone, _time_zones()) or " Take one of the IANA list, such as Europe/Paris."
    return [Fault(f"{path}/timeZone", f'"{zone}" is not an IANA time zone.{suggestion}')]


def _location_faults(path: str, slug: str, locations: Any, owners: dict[str, str]) -> list[Fault]:
    faults = []
    for index, location in enumerate(locations if isinstance(locations, list) else []):
        if not isinstance(location, str):
            continue
        owner = owners.setdefault(normalised(location), slug)
        if owner != slug or [normalised(str(other)) for other in locations].index(normalised(location)) != index:
            text = f'"{location}" is already in city {owner}: take one of the two out.'
            faults.append(Fault(f"{path}/webexLocations/{index}", text))
    return faults


def _override_faults(path: str, overrides: Any, rules: Mapping[str, Rule]) -> list[Fault]:
    faults = []
    for rule_id, override in (overrides if isinstance(overrides, Mapping) else {}).items():
        where = f"{path}/alerts/{rule_id}"
        if rule_id not in rules:
            known = ", ".join(sorted(rules))
            faults.append(Fault(where, f"is not an alert rule.{did_you_mean(str(rule_id), rules)} Known: {known}."))
        if not isinstance(override, Mapping):
            continue
        if rule_id in rules:
            faults += override_faults(where, rules[rule_id], override)
        if not {"threshold", "forMinutes", "severity"} & set(override) and override.get("mute", False) is False:
            faults.append(Fault(where, "changes nothing: give threshold, forMinutes, severity or mute: true, or take it out."))
        until = override.get("until")
        if isinstance(until, str) and _DATE.fullmatch(until) and not _is_date(until):
            text = f'"{until}" is not a day of the calendar: write the last day it holds, as YYYY-MM-DD.'
            faults.append(Fault(f"{where}/until", text))
    return faults


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones()) - NO_PLACES


def _city(slug: str, city: Mapping[str, Any]) -> City:
    return City(
        slug=slug,
        name=city["name"],
        time_zone=city["timeZone"],
        webex_locations=tuple(city["webexLocations"]),
        devices=city.get("devices", _DEFAULT_DEVICES),
        contacts=contacts_of(city["contacts"]),
        overrides=tuple(override_of(rule_id, override) for rule_id, override in city.get("alerts", {}).items()),
        office_hours=office_hours_of(city.get("officeHours", {})),
        readers=tuple(reader.lower() for reader in city.get("readers", ())),
        quiet_hours=quiet_hours_of(city.get("quietHours")),
        push=city.get("push", False),
        organisation=city.get("organisation", ""),
        control_hub_secret=city.get("controlHubSecret", ""),
    )


def override_of(rule_id: str, override: Mapping[str, Any]) -> Override:
    minutes = override.get("forMinutes")
    return Override(
        rule_id=rule_id,
        because=override["because"],
        until=override["until"],
        threshold=override.get("threshold"),
        for_seconds=None if minutes is None else round(minutes * 60),
        severity=override.get("severity"),
        mute=override.get("mute", False),
    )


def _poll(poll: Mapping[str, Any]) -> Poll:
    return Poll(
        seconds=poll.get("seconds", 60),
        snapshot_minutes=poll.get("snapshotMinutes", 15),
        metric_requests_per_poll=poll.get("metricRequestsPerPoll", 60),
        metrics=tuple(poll.get("metrics", _DEFAULT_METRICS)),
        requests_per_second=poll.get("requestsPerSecond", 4),
        xapi_requests_per_second=poll.get("xapiRequestsPerSecond", 2),
        xapi_seconds=poll.get("xapiSeconds", 300),
        metric_seconds=poll.get("metricSeconds", 60),
        location_minutes=poll.get("locationMinutes", 1440),
        priority_tags=tuple(poll.get("priorityTags", ())),
        personal_devices=poll.get("personalDevices", False),
        removal_hold_hours=poll.get("removalHoldHours", REMOVAL_HOLD_HOURS),
        bookings=poll.get("bookings", False),
    )
