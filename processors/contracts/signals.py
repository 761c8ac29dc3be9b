"""The signals: everything that a rule, a message, the page or a report may look at, each declared here and nowhere else.

What follows from it: the signals that the ingest sends and that a rule may look at, their words in messages, the mutants of
rules, and what `make generate` writes (the table of docs/contracts.md, the page's words, the metrics that a stack may name).
Queries, tiles and models that name a signal are held to it by `tests/processors/contracts/test_signals.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Entity = Literal["device", "workspace", "location", "city", "pipeline"]
"""What has signals. `pipeline` has what the platform counts, not the query."""
Unit = Literal["0 or 1", "count", "times", "days", "minutes", "people", "index", "share", "%", "ms", "°C", "dB(A)"]
"""What the value of a signal is in. A share is 0 to 1 (more where something is over-full) and shown in per cent."""

_SHOWN: dict[Unit, str] = {"0 or 1": "", "count": "", "people": "", "index": "", "minutes": "min"}
"""What stands after a value where that is not the unit itself."""


@dataclass(frozen=True)
class Signal:
    """One signal of an entity.

    `source`: where it comes from (Markdown). `label` names it for people: "humidity" of "humidity 83 %"; `phrase` says a value
    ("{} of packets lost"; one and many apart by "|" for what is counted) where label and value don't make a sentence.
    `low` and `high`: what it can be. `step`: by how much a rule's threshold is wrong that is just wrong, 0 for a twentieth of it.
    `digits`: those behind the point on the page.

    `always`: each observation of a device has it; of the others those that matter, and one that is not there is 0, or not known
    where `may_be_unknown`, or `of_issues` on a device that shows no issues (down, or asleep). `capability`: what Webex calls
    the sensor of a workspace that gives its readings; `calendar` for one that can be booked.
    `pushed`: the xAPI statuses that it is read from where Webex pushes them; of several readings the first that a device has.
    `knows_maintenance`: 0 for what is being worked on as planned. `names_issues`: its text are issue codes
    (processors/contracts/issues.py).
    """

    name: str
    entity: Entity
    unit: Unit
    source: str
    label: str
    phrase: str = ""
    low: float = 0.0
    high: float = math.inf
    step: float = 1.0
    digits: int = 0
    always: bool = False
    may_be_unknown: bool = False
    of_issues: bool = False
    capability: str | None = None
    knows_maintenance: bool = False
    names_issues: bool = False
    pushed: tuple[str, ...] = ()

    @property
    def span(self) -> str:
        """What it can be: `0 to 100`, `0 or more`."""
        return f"{self.low:g} to {self.high:g}" if self.high < math.inf else f"{self.low:g} or more"

    @property
    def suffix(self) -> str:
        """What stands after a value for people: `°C`, `days`, nothing for a count."""
        return _SHOWN.get(self.unit, self.unit)

    def said(self, value: float) -> str:
        """A value for people: `29.4 °C`, `83 %`, `3 days`."""
        if self.unit == "share":
            return f"{round(value * 100, 1):g} %"
        return f"{value:g} {self.suffix}".rstrip()

    def in_words(self, value: float) -> str:
        """A value as part of a sentence: `100 % of devices down`, `went down 4 times in an hour`, `temperature 29.4 °C`."""
        if not self.phrase:
            return f"{self.label} {self.said(value)}"
        one, _, many = self.phrase.partition("|")
        return one.format(self.said(value)) if not many else (one if value == 1 else many).format(f"{value:g}")

    def step_from(self, threshold: float) -> float:
        """By how much a threshold would be wrong that is just wrong."""
        return self.step or threshold / 20


_ISSUES = "`text` names them"

CALENDAR = "calendar"
"""What a room has that can be booked; Webex does not count it among the capabilities."""
SIGNALS: tuple[Signal, ...] = (
    # ---- devices, in the order in which an observation has them
    Signal(
        "offline", "device", "0 or 1",
        "`connectionStatus` disconnected or offline_expired; 0 in planned maintenance (`text` says so) and in deep sleep",
        label="down", high=1, always=True, knows_maintenance=True,
    ),
    Signal(
        "issues", "device", "count", f"`errorCodes`, of every grade and ungraded; {_ISSUES}",
        label="issues", phrase="{} issue|{} issues", always=True, names_issues=True, of_issues=True,
    ),
    Signal(
        "warningIssues", "device", "count", f"`errorCodes` graded warning; {_ISSUES}",
        label="warnings", phrase="{} warning|{} warnings", names_issues=True, of_issues=True,
    ),
    Signal(
        "criticalIssues", "device", "count",
        f"`errorCodes` graded critical; {_ISSUES}. A lost display is none while the device is known to sleep",
        label="critical issues", phrase="{} critical issue|{} critical issues", always=True, names_issues=True, of_issues=True,
    ),
    Signal(
        "peripheralIssues", "device", "count", f"`errorCodes` of a lost touch panel, camera or microphone; {_ISSUES}",
        label="touch panels, cameras or microphones lost", phrase="{} peripheral lost|{} peripherals lost",
        names_issues=True, of_issues=True,
    ),
    Signal(
        "displayIssues", "device", "count",
        "`errorCodes` of a lost display that have lasted two minutes: one that wakes up is reported lost for up to 90 s; 0 while "
        "the device is known to sleep (xAPI `Standby.State`), and then anew from when it wakes",
        label="displays lost", phrase="{} display lost|{} displays lost", names_issues=True, of_issues=True,
        pushed=("Standby.State",),
    ),
    Signal(
        "overheatingIssues", "device", "count", f"`errorCodes` of a device that is too hot inside; {_ISSUES}",
        label="parts too hot", phrase="{} part too hot|{} parts too hot", names_issues=True, of_issues=True,
    ),
    Signal(
        "drops", "device", "times", "polls of the last hour that saw it go down, but for planned maintenance",
        label="connection lost in the last hour", phrase="went down {} time in an hour|went down {} times in an hour",
        knows_maintenance=True,
    ),
    Signal(
        "firmwareBehind", "device", "days",
        "from the release of its `software` to the newest that its product runs in the estate on the same upgrade channel; "
        "RoomOS before 26 counts as of 1 January 2026, firmware without a date (phones) has no such signal",
        label="behind the newest firmware", phrase="{} day behind the newest firmware|{} days behind the newest firmware",
        may_be_unknown=True,
    ),
    Signal(
        "inCall", "device", "0 or 1",
        "xAPI `SystemUnit.State.NumberOfActiveCalls`, where the device is asked: "
        "[the xAPI tier](stages/ingest.md#tiers-and-their-budget)",
        label="in a call", high=1, may_be_unknown=True,
        pushed=("SystemUnit.State.NumberOfActiveCalls", "MicrosoftTeams.Calling.InCall"),
    ),
    Signal(
        "callLoss", "device", "%",
        "xAPI `MediaChannels`: packets lost in the last interval, on the worst channel of its calls; 0 when no call is on",
        label="packet loss", phrase="{} of packets lost", high=100, step=0, digits=1, may_be_unknown=True,
    ),
    Signal(
        "callJitter", "device", "ms", "xAPI `MediaChannels`: jitter of the worst channel; 0 when no call is on",
        label="jitter", phrase="{} of jitter", step=0, may_be_unknown=True,
    ),
    # ---- rooms
    Signal(
        "temperature", "workspace", "°C", "workspaceMetrics",
        label="temperature", low=-40, high=80, step=0, digits=1, capability="temperature",
        pushed=("RoomAnalytics.AmbientTemperature", "Peripherals.ConnectedDevice[*].RoomAnalytics.AmbientTemperature"),
    ),
    Signal(
        "humidity", "workspace", "%", "workspaceMetrics", label="humidity", high=100, step=0, capability="relativeHumidity",
        pushed=("RoomAnalytics.RelativeHumidity", "Peripherals.ConnectedDevice[*].RoomAnalytics.RelativeHumidity"),
    ),
    Signal(
        "tvoc", "workspace", "index", "workspaceMetrics",
        label="air quality index (TVOC)", step=0, digits=1, capability="airQuality",
        pushed=("Peripherals.ConnectedDevice[*].RoomAnalytics.AirQuality.Index",),
    ),
    Signal(
        "ambientNoise", "workspace", "dB(A)", "workspaceMetrics", label="ambient noise", step=0, capability="ambientNoise",
        pushed=("RoomAnalytics.AmbientNoise.Level.A",),
    ),
    Signal(
        "soundLevel", "workspace", "dB(A)", "workspaceMetrics", label="sound level", step=0, capability="soundLevel",
        pushed=("RoomAnalytics.Sound.Level.A",),
    ),
    Signal(
        "peopleCount", "workspace", "people",
        "workspaceMetrics, or xAPI `RoomAnalytics.PeopleCount`; -1 (asleep, or not counting) is left out",
        label="people in the room", capability="occupancyDetection", pushed=("RoomAnalytics.PeopleCount.Current",),
    ),
    Signal(
        "inUse", "workspace", "0 or 1",
        "xAPI `RoomAnalytics.RoomInUse`; with a `peopleCount` of workspaceMetrics: somebody is there",
        label="in use", high=1, pushed=("RoomAnalytics.RoomInUse",),
    ),
    Signal(
        "capacity", "workspace", "people",
        "with `peopleCount`: the seats of the workspace, where somebody has filled them in, or those the device knows",
        label="seats", pushed=("RoomAnalytics.PeopleCount.Capacity",),
    ),
    Signal(
        "occupancy", "workspace", "share", "with `peopleCount`: people ÷ `capacity`; above 1 the room is over-full",
        label="seats taken", phrase="{} of its seats taken", step=0,
    ),
    Signal(
        "booked", "workspace", "0 or 1",
        "xAPI `Bookings.Availability.Status`, where `poll.bookings` is on: its calendar holds the room; never by whom, or what "
        "for. Bookings without a break between them are one",
        label="booked", high=1, pushed=("Bookings.Availability.Status",),
    ),
    Signal(
        "unattendedMinutes", "workspace", "minutes",
        "with `booked`: since the booking was first seen, while nobody has been in the room (a ghost meeting from ten minutes "
        "on); 0 once somebody has come or the booking is over; again with every poll",
        label="booked, and nobody there", phrase="booked, and nobody there for {}",
    ),
    Signal(
        "noShow", "workspace", "0 or 1",
        "when a booking is over that was seen to begin and lasted ten minutes: 1 if nobody ever came",
        label="no-show", high=1,
    ),
    Signal(
        "timeBooked", "workspace", "minutes",
        "workspaceDurationMetrics: minutes of a full hour in which the calendar held the room, where `poll.metrics` names it",
        label="booked in the hour", high=60, capability=CALENDAR,
    ),
    Signal(
        "timeUsed", "workspace", "minutes",
        "workspaceDurationMetrics: minutes of a full hour in which the room was in use, where `poll.metrics` names it",
        label="used in the hour", high=60, capability=CALENDAR,
    ),
    # ---- locations
    Signal(
        "offlineRatio", "location", "share",
        "room devices and phones that are down ÷ seen, both without those in planned maintenance",
        label="devices down", phrase="{} of devices down", high=1, step=0.1, knows_maintenance=True,
    ),
    Signal("devices", "location", "count", "devices seen at the location", label="devices"),
    Signal(
        "devicesSeen", "location", "count",
        "devices that this poll listed, fewer than `devices` where a listing takes several polls; the others count as they last "
        "were",
        label="devices seen by the poll",
    ),
    Signal(
        "oldestSightMinutes", "location", "minutes",
        "since the device that was seen longest ago was listed; left out where there is none",
        label="oldest sight of a device", phrase="oldest sight of a device {} ago",
    ),
    Signal(
        "roomsDownOnFloor", "location", "count",
        "rooms whose room device is down, on the floor that has most of them (`text` names it); left out where no room has a "
        "floor",
        label="rooms down on one floor", phrase="{} room down on one floor|{} rooms down on one floor",
    ),
    # ---- cities
    Signal("devices", "city", "count", "the poll", label="devices"),
    Signal("devicesUp", "city", "count", "the poll, by health", label="devices up"),
    Signal("devicesIssues", "city", "count", "the poll, by health", label="devices with issues"),
    Signal("devicesDown", "city", "count", "the poll, by health", label="devices down"),
    Signal("devicesAsleep", "city", "count", "the poll, by health", label="devices asleep"),
    Signal("devicesUnknown", "city", "count", "the poll, by health", label="devices whose health is not known"),
    Signal(
        "devicesHeld", "city", "count",
        "devices that Webex no longer lists, too many at once to be believed: they count as they last were, until somebody "
        "accepts that they are gone",
        label="devices missing in bulk", phrase="{} device missing from Webex|{} devices missing from Webex",
    ),
    Signal(
        "devicesSeen", "city", "count",
        "devices that this poll listed, fewer than `devices` where a listing takes several polls; the others count as they last "
        "were",
        label="devices seen by the poll",
    ),
    Signal(
        "oldestSightMinutes", "city", "minutes",
        "since the device that was seen longest ago was listed, but for those in `devicesHeld`; left out where there is none",
        label="oldest sight of a device", phrase="oldest sight of a device {} ago",
    ),
    Signal("rooms", "city", "count", "rooms with a room device", label="rooms"),
    Signal(
        "roomsUsable", "city", "count", "rooms whose room devices are all up or asleep or have no critical issue",
        label="usable rooms",
    ),
    Signal(
        "roomsReporting", "city", "count",
        "rooms that have said in the last quarter of an hour whether somebody is there, or that say so by themselves",
        label="rooms that say how they are used",
    ),
    Signal("roomsInUse", "city", "count", "of `roomsReporting` those with somebody in them", label="rooms in use"),
    Signal(
        "unseenMinutes", "city", "minutes",
        "since a poll last listed a device of the city; for one never seen since the first poll that looked",
        label="no device listed for", phrase="no device listed for {}",
    ),
    Signal("requests", "city", "count", "HTTP requests since the poll before summed up", label="requests to Webex"),
    Signal(
        "quarantined", "city", "count", "records of the poll that could not be understood, or in part only",
        label="records not understood",
    ),
    Signal(
        "pushSilent", "city", "0 or 1",
        "1: its rooms should report by themselves what they measure ([push](stages/push.md)) and don't, so they are polled; left "
        "out where that is off",
        label="pushed readings missing", high=1,
    ),
    Signal(
        "devicesVanished", "city", "count",
        "devices that Webex has stopped listing in the last 24 hours, not in bulk, and has not listed again; `text` names them",
        label="devices gone from Webex", phrase="{} device gone from Webex|{} devices gone from Webex",
    ),
    Signal(
        "webexIncidents", "city", "count",
        "incidents that Webex's own status page has open, five at most; left out while that can't be read",
        label="incidents at Webex", phrase="{} incident at Webex|{} incidents at Webex",
    ),
    Signal(
        "tokenDays", "city", "days",
        "until the refresh token of the service app ends; left out where that is not known",
        label="until the Webex token ends", phrase="{} day until the Webex token ends|{} days until the Webex token ends",
    ),
    # ---- the platform
    Signal(
        "processedRows", "pipeline", "count", "the platform: rows that came out of the query, per minute", label="rows processed",
    ),
    Signal(
        "controlHubUnmatched", "pipeline", "0 or 1",
        "the fan-out: 1 while Control Hub has reported a device as offline or back, and nothing is or was open about it here",
        label="seen by Control Hub alone", high=1,
    ),
)  # fmt: skip

OF_ENTITY: dict[str, dict[str, Signal]] = {
    entity: {signal.name: signal for signal in SIGNALS if signal.entity == entity}
    for entity in ("device", "workspace", "location", "city", "pipeline")
}
"""The signals of an entity by name."""
METRICS = {signal.name: signal.capability for signal in SIGNALS if signal.capability}
"""The signals that are read of a workspace one by one: of its sensors, under what Webex calls the sensor, and of its calendar."""
_BY_NAME = {signal.name: signal for signal in SIGNALS}


def signal_of(name: str) -> Signal | None:
    """The signal with this name (one of several entities is the same for each); None for one of another release."""
    return _BY_NAME.get(name)
