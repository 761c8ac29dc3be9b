"""Settings of the alert fan-out: what each rule means, and through which channels each city is told, for what and when."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from processors.contracts.facts import ANY_OTHER_CITY, SEVERITIES, OfficeHours
from processors.contracts.validation import FANOUT_SETTINGS
from processors.settings_source import settings_at

ALWAYS = "always"
OUTSIDE_OFFICE_HOURS = "outside-office-hours"
"""A rule that is told while people are there only."""
PLANNED_MAINTENANCE = "planned-maintenance"
"""Nothing to do here: the signal is 0 then."""


@dataclass(frozen=True, kw_only=True)
class ChannelSettings:
    """For which severities and when (always, office-hours, off-hours) a channel is told."""

    severities: tuple[int, ...] = SEVERITIES
    when: str = ALWAYS

    @property
    def key(self) -> str:
        """What tells channels apart, over restarts too; it gives no secret and no person away."""
        terms = "" if self.severities == SEVERITIES else "".join(map(str, self.severities))
        return ":".join(part for part in (self._name, terms, "" if self.when == ALWAYS else self.when) if part)

    @property
    def kind(self) -> str | None:
        """What a rule calls contacts like this one (email, sms, webhook, webex, teams); None where every rule is told."""
        return None

    @property
    def _name(self) -> str:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class InboxChannel(ChannelSettings):
    """A SQLite file with a table `inbox`, which the page of a local run shows."""

    path: Path

    @property
    def _name(self) -> str:
        return f"inbox:{self.path}"


@dataclass(frozen=True, kw_only=True)
class WebhookChannel(ChannelSettings):
    """An address that takes JSON by POST, in the shape of a template. `url` may hold a secret (never log more than its host), or
    `url_secret` names it. `secret` names the key the template needs.
    """

    url: str | None = None
    url_secret: str | None = None
    template: str = "roompulse"
    secret: str | None = None

    @property
    def kind(self) -> str:
        """See ChannelSettings.kind."""
        return "webhook"

    @property
    def label(self) -> str:
        """The host, or the name of the secret that holds the address."""
        return self.url_secret or urlsplit(self.url or "").hostname or "webhook"

    @property
    def _name(self) -> str:
        kind = "webhook" if self.template == "roompulse" else self.template
        return f"{kind}:{self.label}:{_digest(f'{self.url}|{self.secret}')}"


@dataclass(frozen=True, kw_only=True)
class WebexChannel(ChannelSettings):
    """A Webex room (its id) or a person (an e-mail address), told by the bot whose token is the secret `secret`."""

    to: str
    secret: str

    @property
    def kind(self) -> str:
        """See ChannelSettings.kind."""
        return "webex"

    @property
    def _name(self) -> str:
        return f"webex:{'person' if '@' in self.to else 'room'}:{_digest(f'{self.to}|{self.secret}')}"


@dataclass(frozen=True, kw_only=True)
class TeamsChannel(ChannelSettings):
    """A Teams workflow, whose address is the secret `url_secret`."""

    url_secret: str

    @property
    def kind(self) -> str:
        """See ChannelSettings.kind."""
        return "teams"

    @property
    def _name(self) -> str:
        return f"teams:{self.url_secret}"


@dataclass(frozen=True, kw_only=True)
class AzureMonitorChannel(ChannelSettings):
    """The Log Analytics table over which Azure Monitor tells an audience by e-mail or text message; the environment says where
    the table is.
    """

    audience: str

    @property
    def kind(self) -> str | None:
        """See ChannelSettings.kind. An audience is called `lyon/sms-12`; that of rooms of no city hears everything."""
        _, slash, name = self.audience.partition("/")
        return name.split("-")[0] if slash else None

    @property
    def _name(self) -> str:
        return f"azure-monitor:{self.audience}"


@dataclass(frozen=True)
class RuleMeaning:
    """What an alert rule means to an operator, and the runbook that says what to do.

    `suppress_when`: rules whose alerts make its own say nothing new, and OUTSIDE_OFFICE_HOURS. `channels`: the severities at
    which a kind of contact is told.
    """

    meaning: str
    runbook: str
    suppress_when: tuple[str, ...] = ()
    channels: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def causes(self) -> tuple[str, ...]:
        """Rules whose open alerts may explain one of this rule."""
        return tuple(cause for cause in self.suppress_when if cause not in (OUTSIDE_OFFICE_HOURS, PLANNED_MAINTENANCE))


@dataclass(frozen=True)
class City:
    """A city's name, IANA time zone, office hours, channels, and the rules it has muted with the last day (ISO date) of that."""

    name: str
    time_zone: str
    channels: tuple[ChannelSettings, ...]
    hours: OfficeHours = field(default_factory=OfficeHours)
    mutes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FanoutSettings:
    """Rules by id; cities by slug, with `*` for every city that isn't listed."""

    rules: dict[str, RuleMeaning]
    cities: dict[str, City]

    def slug_of(self, city_id: str) -> str:
        """The slug of the city whose people are told of an alert of `city_id`."""
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
        tuple(_channel(channel) for channel in city["channels"]),
        OfficeHours(tuple(hours["days"]), hours["from"], hours["to"]),
        city.get("mutes", {}),
    )


def _channel(channel: dict[str, Any]) -> ChannelSettings:
    severities, when = tuple(channel.get("severities", SEVERITIES)), channel.get("when", ALWAYS)
    if channel["type"] == "inbox":
        return InboxChannel(path=Path(channel["path"]))
    if channel["type"] == "azureMonitor":
        return AzureMonitorChannel(audience=channel["audience"], severities=severities, when=when)
    if channel["type"] == "webex":
        return WebexChannel(to=channel["to"], secret=channel["secret"], severities=severities, when=when)
    if channel["type"] == "teams":
        return TeamsChannel(url_secret=channel["urlSecret"], severities=severities, when=when)
    return WebhookChannel(
        url=channel.get("url"),
        url_secret=channel.get("urlSecret"),
        template=channel.get("template", "roompulse"),
        secret=channel.get("secret"),
        severities=severities,
        when=when,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
