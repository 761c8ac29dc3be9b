"""Settings of the alert fan-out: what each rule means, and through which channels each city is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processors.contracts.validation import FANOUT_SETTINGS, read_settings

ALL_SEVERITIES = (1, 2, 3, 4)


@dataclass(frozen=True)
class InboxChannel:
    """A SQLite file with a table `inbox`, which the page of a local run shows."""

    path: Path
    severities: tuple[int, ...] = ALL_SEVERITIES


@dataclass(frozen=True)
class WebhookChannel:
    """An address that takes alerts as JSON by POST. It may hold a secret: never log more than its host."""

    url: str
    severities: tuple[int, ...] = ALL_SEVERITIES


@dataclass(frozen=True)
class AzureMonitorChannel:
    """The Log Analytics table over which Azure Monitor tells an audience by e-mail or text message; the environment says where
    the table is.
    """

    audience: str
    severities: tuple[int, ...] = ALL_SEVERITIES


ChannelSettings = InboxChannel | WebhookChannel | AzureMonitorChannel


@dataclass(frozen=True)
class RuleMeaning:
    """What an alert rule means to an operator, and the runbook that says what to do."""

    meaning: str
    runbook: str


@dataclass(frozen=True)
class City:
    """A city's name, IANA time zone and channels."""

    name: str
    time_zone: str
    channels: tuple[ChannelSettings, ...]


@dataclass(frozen=True)
class FanoutSettings:
    """Rules by id; cities by slug, with `*` for every city that isn't listed."""

    rules: dict[str, RuleMeaning]
    cities: dict[str, City]


def load_fanout_settings(path: Path) -> FanoutSettings:
    """Read and check the fan-out's settings file; raises SettingsError with every fault."""
    document = read_settings(path, FANOUT_SETTINGS)
    return FanoutSettings(
        rules={rule_id: RuleMeaning(rule["meaning"], rule["runbook"]) for rule_id, rule in document["rules"].items()},
        cities={slug: _city(city) for slug, city in document["cities"].items()},
    )


def _city(city: dict[str, Any]) -> City:
    return City(city["name"], city["timeZone"], tuple(_channel(channel) for channel in city["channels"]))


def _channel(channel: dict[str, Any]) -> ChannelSettings:
    severities = tuple(channel.get("severities", ALL_SEVERITIES))
    if channel["type"] == "azureMonitor":
        return AzureMonitorChannel(channel["audience"], severities)
    return InboxChannel(Path(channel["path"])) if channel["type"] == "inbox" else WebhookChannel(channel["url"], severities)
