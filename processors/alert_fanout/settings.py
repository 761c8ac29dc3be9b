"""Settings of the alert fan-out: what each rule means, and through which channels each city is notified, for what and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from processors.alert_fanout.channel_kind import ChannelSettings
from processors.alert_fanout.channel_kinds import channel_settings
from processors.contracts.facts import ANY_OTHER_CITY, OfficeHours
from processors.contracts.validation import FANOUT_SETTINGS
from processors.settings_source import settings_at

OUTSIDE_OFFICE_HOURS = "outside-office-hours"
"""A rule whose alerts are sent while people are there only."""
PLANNED_MAINTENANCE = "planned-maintenance"
"""Nothing to do here: the signal is 0 then."""


@dataclass(frozen=True)
class RuleMeaning:
    """What an alert rule means to an operator, and the runbook that says what to do.

    `suppress_when`: rules whose alerts make its own say nothing new, and OUTSIDE_OFFICE_HOURS. `channels`: the severities at
    which a kind of contact is notified. `outside_severity`: what its alerts have outside office hours, where that is less.
    """

    meaning: str
    runbook: str
    suppress_when: tuple[str, ...] = ()
    channels: dict[str, tuple[int, ...]] = field(default_factory=dict)
    outside_severity: int | None = None

    @cached_property
    def causes(self) -> tuple[str, ...]:
        """Rules whose open alerts may explain one of this rule."""
        return tuple(cause for cause in self.suppress_when if cause not in (OUTSIDE_OFFICE_HOURS, PLANNED_MAINTENANCE))


@dataclass(frozen=True)
class City:
    """A city's name, IANA time zone, office hours, channels, and the rules it has muted with the last day (ISO date) of that.
    `quiet`: from when to when (HH:MM) nobody is notified of anything but severity 1. `control_hub_secret` names the secret with
    which Control Hub signs its alerts about the city's devices, where it sends them.
    """

    name: str
    time_zone: str
    channels: tuple[ChannelSettings, ...]
    hours: OfficeHours = field(default_factory=OfficeHours)
    mutes: dict[str, str] = field(default_factory=dict)
    quiet: tuple[str, str] | None = None
    control_hub_secret: str | None = None


@dataclass(frozen=True)
class FanoutSettings:
    """Rules by id; cities by slug, with `*` for every city that isn't listed. `pages` is where the pages of incidents are."""

    rules: dict[str, RuleMeaning]
    cities: dict[str, City]
    pages: str | None = None

    def slug_of(self, city_id: str) -> str:
        """The slug of the city whose people are notified of an alert of `city_id`."""
        return city_id if city_id in self.cities else ANY_OTHER_CITY


def load_fanout_settings(path: Path) -> FanoutSettings:
    """Read and check the fan-out's settings, a folder of pieces or one file; raises SettingsError with every fault."""
    return fanout_settings_of(settings_at(path, FANOUT_SETTINGS).document())


def fanout_settings_of(document: dict[str, Any]) -> FanoutSettings:
    """The settings that a checked document holds."""
    return FanoutSettings(
        rules={
            rule_id: RuleMeaning(
                rule["meaning"],
                rule["runbook"],
                tuple(rule.get("suppressWhen", ())),
                {kind: tuple(severities) for kind, severities in rule.get("channels", {}).items()},
                rule.get("outsideSeverity"),
            )
            for rule_id, rule in document["rules"].items()
        },
        cities={slug: _city(city) for slug, city in document["cities"].items()},
    )


def _city(city: dict[str, Any]) -> City:
    hours = city["officeHours"]
    return City(
        city["name"],
        city["timeZone"],
        tuple(channel_settings(channel) for channel in city["channels"]),
        OfficeHours(tuple(hours["days"]), hours["from"], hours["to"]),
        city.get("mutes", {}),
        (city["quietHours"]["from"], city["quietHours"]["to"]) if "quietHours" in city else None,
        city.get("controlHubSecret"),
    )
