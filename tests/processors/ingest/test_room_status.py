"""The xAPI tier: who is asked, how an answer is understood, what is told of it, and what a fault costs."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.contracts.signals import OF_ENTITY
from processors.ingest import webex_client
from processors.ingest.changes import Condition, KnownDevice, observed
from processors.ingest.directory import Place
from processors.ingest.error_codes import OF_SIGNAL
from processors.ingest.records import read_device
from processors.ingest.room_status import ANSWERS, due, expressions, forgotten, in_need, read_room_status
from processors.ingest.settings import AlertRule
from processors.ingest.token_bucket import RequestRates
from tests.processors.conftest import StandingClock
from tests.processors.ingest.conftest import KeptEvents, MakePoller
from tests.support.scripted_webex import Answer, Request, ScriptedWebex, device, error, workspace
from tests.support.shared_data import shared_data

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
LYON = Place("lyon", "location-1", "Lyon Part-Dieu", "workspace-1", "Room 1")
TAGS = frozenset({"tier-1"})
OF_DEVICE = [name for name in ANSWERS if name in OF_ENTITY["device"]]
XAPI = {"permissions": ["xapi:readonly"]}
ILL: dict[str, Any] = {"connectionStatus": "connected_with_issues", "errorCodes": ["camerapairing"]}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=8,
)


def known(number: int = 1, place: Place = LYON, **fields: Any) -> KnownDevice:
    return observed(read_device(device(number, **XAPI, **fields), TAGS), place, None, NOW)


def example(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(shared_data(f"webex/examples/{name}").read_text(encoding="utf-8"))["result"]
    return result


def status(**parts: Any) -> dict[str, Any]:
    """What a device says: standby, calls, people, seats, in_use; of a call loss and jitter."""
    lost = round(10 * parts.get("loss", 0))
    netstat = {"LastIntervalLost": lost, "LastIntervalReceived": 1000 - lost, "Jitter": parts.get("jitter", 5)}
    return {
        "Standby": {"State": parts.get("standby", "Off")},
        "SystemUnit": {"State": {"NumberOfActiveCalls": parts.get("calls", 0)}},
        "RoomAnalytics": {
            "PeopleCount": {"Current": parts.get("people", -1), "Capacity": parts.get("seats", -1)},
            "RoomInUse": str(parts.get("in_use", False)),
        },
        "MediaChannels": {"Call": [{"id": 1, "Channel": [{"id": 1, "Netstat": netstat}]}] if parts.get("calls") else []},
    }


class TestWhoIsAsked:
    @pytest.mark.parametrize(
        ("fields", "asked"),
        [
            (ILL, True),
            ({"tags": ["tier-1"]}, True),
            ({}, False),
            (ILL | {"permissions": []}, False),
            (ILL | {"permissions": "xapi:all"}, False),
            ({"tags": ["tier-1"], "connectionStatus": "disconnected"}, False),
            ({"tags": ["tier-1"], "connectionStatus": "offline_deep_sleep"}, False),
            (ILL | {"type": "accessory"}, False),
            (ILL | {"workspaceId": None}, False),
        ],
    )
    def test_rooms_in_need_where_we_may(self, fields: dict[str, Any], asked: bool) -> None:
        assert in_need(observed(read_device(device(1, **(XAPI | fields)), TAGS), LYON, None, NOW)) is asked

    def test_a_room_in_a_call_stays_in_need(self) -> None:
        assert in_need(known()._replace(condition=Condition(in_call=True)))

    def test_rooms_of_no_city_are_not_asked(self) -> None:
        assert not in_need(known(place=LYON._replace(city_id="unassigned"), **ILL))

    def test_the_longest_unasked_come_first_each_after_its_time(self) -> None:
        devices = [known(number, **ILL) for number in range(1, 5)]
        asked = {f"device-{number}": NOW - timedelta(minutes=number) for number in (1, 2, 4)}
        found = due(devices, asked, NOW, 120)
        assert [each.device.id for each in found] == ["device-3", "device-4", "device-2"]


class TestUnderstanding:
    def test_the_documented_examples(self) -> None:
        in_call = read_room_status(example("xapi.status.room.in-call.json"))
        assert (in_call.in_call, in_call.standby, in_call.people, in_call.capacity, in_call.in_use) == (True, False, 7, 12, True)
        idle = read_room_status(example("xapi.status.room.idle.with-issues.json"))
        assert (idle.in_call, idle.standby, idle.people, idle.capacity, idle.in_use) == (False, True, None, 6, False)
        media = read_room_status(example("xapi.status.call.media.json"))
        assert (media.call_loss, media.call_jitter) == (0.79, 11)

    def test_nothing_granted_is_nothing_known(self) -> None:
        nothing = read_room_status(example("xapi.status.empty-result.json"))
        assert (nothing.standby, nothing.in_call, nothing.people, nothing.in_use) == (None, None, None, None)

    def test_loss_of_the_whole_call_serves_where_the_last_interval_is_not_told(self) -> None:
        tree = {"MediaChannels": {"Call": [{"Channel": [{"Netstat": {"Loss": "30", "Packets": 1000}}]}]}}
        assert read_room_status(tree).call_loss == 3

    @settings(suppress_health_check=[HealthCheck.too_slow])
    @given(st.dictionaries(st.sampled_from(["Standby", "SystemUnit", "RoomAnalytics", "MediaChannels"]), json_values))
    def test_no_tree_raises(self, tree: dict[str, object]) -> None:
        read_room_status(tree)

    @given(json_values, json_values, json_values)
    def test_loss_is_a_share_and_numbers_are_finite(self, lost: object, received: object, jitter: object) -> None:
        netstat = {"LastIntervalLost": lost, "LastIntervalReceived": received, "Jitter": jitter}
        read = read_room_status({"MediaChannels": {"Call": [{"Channel": [{"Netstat": netstat}]}]}})
        assert 0 <= read.call_loss <= 100
        json.dumps(read, allow_nan=False)

    def test_what_is_not_told_stays_unknown(self) -> None:
        said = read_room_status({"Standby": {"State": "Standby"}}).applied_to(Condition())
        assert (said.standby, said.in_call, said.has_said_something) == (True, None, True)
        assert not read_room_status({}).applied_to(Condition()).has_said_something

    def test_ten_expressions_are_the_most_a_request_takes(self) -> None:
        assert len(expressions(bookings=False)) <= 10


def statuses(tree: object, path: str = "") -> Iterator[str]:
    """The paths of the statuses in an answer, as expressions write them."""
    if isinstance(tree, dict):
        for name, below in tree.items():
            yield from statuses(below, f"{path}.{name}".removeprefix("."))
    elif isinstance(tree, list):
        for below in tree:
            yield from statuses(below, f"{path}[*]")
    else:
        yield path


class TestEverySignalThatDevicesAnswer:
    @pytest.mark.parametrize("name", ANSWERS)
    @pytest.mark.parametrize("bookings", [False, True])
    def test_its_status_is_asked_for(self, name: str, bookings: bool) -> None:
        asked = [expression.removesuffix("*") for expression in expressions(bookings)]
        unasked = [path for path in statuses(ANSWERS[name](1)) if not path.startswith(tuple(asked))]
        assert unasked == [], "ask for it in processors/ingest/room_status.py: _EVERYBODY_IS_ASKED, or _USE and _USE_AND_BOOKINGS"

    @pytest.mark.parametrize("name", OF_DEVICE)
    def test_it_holds_until_the_device_is_gone_or_no_longer_believed(self, name: str) -> None:
        said = read_room_status(ANSWERS[name](1)).applied_to(Condition())
        assert said.measured()[name] == 1, "set it in RoomStatus.applied_to, and give it in Condition.measured"
        before = known()._replace(condition=said)
        now = observed(before.device, before.place, before, NOW + timedelta(seconds=10)).condition
        assert now.measured().get(name) == 1, "the next poll loses it: name its field in SAID of processors/ingest/changes.py"
        assert name not in forgotten(said).measured(), "name its field in SAID of processors/ingest/changes.py"

    @pytest.mark.parametrize("name", [name for name in OF_DEVICE if OF_ENTITY["device"][name].pushed])
    def test_it_is_taken_where_webex_pushes_it(self, name: str) -> None:
        pushed = read_room_status(ANSWERS[name](1)).pushed_to(Condition())
        assert pushed.measured().get(name) == 1, "set it in RoomStatus.pushed_to (processors/ingest/room_status.py)"

    @pytest.mark.parametrize("name", ANSWERS)
    def test_whatever_is_sent_for_it_is_declared(self, name: str) -> None:
        said = read_room_status(ANSWERS[name](1)).of_room(None).keys() | {name}
        declared = OF_ENTITY["device"].keys() | OF_ENTITY["workspace"].keys()
        assert said <= declared, "declare it in processors/contracts/signals.py"

    def test_what_a_device_is_known_to_say_is_declared(self) -> None:
        fields: dict[str, Any] = {name: 1 for name in Condition._fields if name != "drops"}
        everything = Condition(**fields, drops=("",))
        names = everything.measured().keys() | everything.worth_sending().keys() | OF_SIGNAL.keys()
        assert names <= OF_ENTITY["device"].keys(), "declare it in processors/contracts/signals.py: undeclared it is not sent"


@pytest.fixture(autouse=True)
def _time(standing_clock: StandingClock) -> None:
    """Every test at 2026-11-24 10:00:03."""


def values(data: dict[str, Any]) -> dict[str, float]:
    return {signal["name"]: signal["value"] for signal in data["signals"]}


Once = Callable[..., dict[str, dict[str, Any]]]


class TestTelling:
    @pytest.fixture
    def poll(self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock) -> Once:
        estate.listings["/workspaces"][0] = workspace(1, capacity=8)
        estate.listings["/devices"][0] |= {**XAPI, "tags": ["tier-1"]}
        rules = (AlertRule("call-quality", "device", "callLoss", ">=", 5, 60, 3),)
        poller = make_poller(rules=rules, priority_tags=("tier-1",), xapi_seconds=10)

        def once(said: Any = None, **fields: Any) -> dict[str, dict[str, Any]]:
            """The last observation of each entity of a poll, after the device says this."""
            if said is not None:
                estate.statuses["device-1"] = said
            estate.listings["/devices"][0] |= fields
            poller.poll()
            standing_clock.advance(10)
            return {data["entityId"]: data for data in kept.taken()}

        return once

    def test_a_call_is_told_at_every_answer_with_its_rules_and_its_end_once(self, poll: Once, estate: ScriptedWebex) -> None:
        reported = poll(status(calls=1, loss=6, jitter=45))["device-1"]
        assert (reported["reason"], reported["connectionStatus"]) == ("metric", "connected")
        assert values(reported).items() >= {"inCall": 1, "callLoss": 6, "callJitter": 45}.items()
        assert [signal["rules"][0]["id"] for signal in reported["signals"] if signal["rules"]] == ["call-quality"]
        assert values(poll(status(calls=1, loss=1))["device-1"])["callLoss"] == 1
        assert values(poll(status())["device-1"]).items() >= {"inCall": 0, "callLoss": 0, "callJitter": 0}.items()
        assert "device-1" not in poll()
        assert estate.asked("/xapi/status")[0].params["deviceId"] == "device-1"

    def test_how_a_room_is_used_is_told_of_the_room(self, poll: Once) -> None:
        reported = poll(status(people=10, in_use=True))["workspace-1"]
        assert values(reported) == {"peopleCount": 10, "inUse": 1, "capacity": 8, "occupancy": 1.25}
        asleep = poll(status(people=-1, standby="Standby"))["workspace-1"]
        assert values(asleep) == {"inUse": 0}

    def test_a_call_that_ends_with_the_device_is_over(self, poll: Once) -> None:
        poll(status(calls=1, loss=9))
        gone = poll(connectionStatus="disconnected")["device-1"]
        assert values(gone).items() >= {"offline": 1, "inCall": 0, "callLoss": 0}.items() - {("inCall", 0)}

    def test_a_sleeping_display_is_no_issue_and_one_that_stays_away_after_waking_is(self, poll: Once) -> None:
        lost = {"connectionStatus": "connected_with_issues", "errorCodes": ["missingdisplay"]}
        poll(status(standby="Standby"), **lost)
        for _ in range(20):
            reported = values(poll()["device-1"])
        assert (reported.get("displayIssues", 0), reported["criticalIssues"], reported["issues"]) == (0, 0, 1)
        poll(status(standby="Off"))
        awake = [values(poll()["device-1"]).get("displayIssues", 0) for _ in range(15)]
        assert (awake[0], awake[-1]) == (0, 1)

    def test_what_was_said_long_ago_is_no_longer_believed(self, poll: Once, estate: ScriptedWebex) -> None:
        poll(status(calls=1, loss=9))
        del estate.statuses["device-1"]
        reported = [values(data["device-1"]) for data in (poll() for _ in range(6)) if "device-1" in data]
        assert reported[-1]["callLoss"] == 0

    def test_a_restart_asks_again_and_resolves(
        self, poll: Once, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
    ) -> None:
        poll(status(calls=1, loss=9))
        estate.statuses["device-1"] = status()
        make_poller(priority_tags=("tier-1",), xapi_seconds=10).poll()
        (reported,) = [data for data in kept.taken("device") if data["entityId"] == "device-1"]
        assert values(reported)["callLoss"] == 0


class TestFaults:
    @pytest.fixture(autouse=True)
    def _ill(self, estate: ScriptedWebex) -> None:
        for number, item in enumerate(estate.listings["/devices"], start=1):
            item |= XAPI | ILL
            estate.statuses[f"device-{number}"] = status(calls=1)

    def reported(self, kept: KeptEvents) -> set[str]:
        return {data["entityId"] for data in kept.taken("device") if data["reason"] == "metric"}

    def test_what_is_not_permitted_is_left_alone_for_an_hour_and_the_poll_is_whole(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        del estate.statuses["device-1"]
        poller = make_poller(xapi_seconds=10)
        asked = []
        for pause in (60, 60, 60, 3600, 60):
            report = poller.poll()
            assert not report.partial
            asked.append([request.params["deviceId"] for request in estate.asked("/xapi/status")].count("device-1"))
            assert self.reported(kept) == {"device-2", "device-3", "device-4"}
            standing_clock.advance(pause)
        assert asked == [1, 2, 2, 2, 3]
        assert report.not_permitted == 1

    def test_a_refusal_that_was_a_slip_costs_one_turn(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        poller = make_poller(xapi_seconds=10)
        estate.faults["/xapi/status"] = [error(403)] * 4
        for _ in range(2):
            poller.poll()
            standing_clock.advance(10)
        assert self.reported(kept) == {"device-1", "device-2", "device-3", "device-4"}

    def test_a_failing_city_holds_up_no_other(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        lyon = {"device-1", "device-2", "device-3"}
        answer = estate.answer
        estate.respond = lambda request: error(503) if request.params.get("deviceId") in lyon else answer(request)
        poller = make_poller(xapi_seconds=10, rates=RequestRates(1e6, 1e6, 1e6, 1))
        report = poller.poll()
        assert self.reported(kept) == {"device-4"}
        assert len(estate.asked("/xapi/status")) == 4
        assert report.made["roomStatus"] == 4
        assert not report.partial

    def test_an_answer_that_never_comes_costs_the_tier_and_not_the_poll(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
    ) -> None:
        estate.always["/xapi/status"] = Answer(stall=5)
        report = make_poller(poll_seconds=1).poll()
        assert not report.partial
        assert report.devices == 4
        assert {data["entity"] for data in kept.taken()} == {"device", "location", "city"}

    @pytest.mark.parametrize(
        "fault",
        [
            error(403), error(404), error(429, Retry_After="1"), error(423, Retry_After="rand(30),add(30)"), error(500),
            error(503), error(504), Answer(body=b'{"result": {"Stand'), Answer(body=b"<html>"), Answer(body=b'{"result": []}'),
            Answer(body=b'{"result": {}}' + b" " * 50_000, cut=20), Answer(body=b'{"items": []}'), None,
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("at", [0, 1, 3])
    def test_whatever_one_answer_is_the_others_are_told_and_it_is_at_its_next_turn(
        self,
        make_poller: MakePoller,
        estate: ScriptedWebex,
        kept: KeptEvents,
        standing_clock: StandingClock,
        monkeypatch: pytest.MonkeyPatch,
        fault: Answer | None,
        at: int,
    ) -> None:
        monkeypatch.setattr(webex_client, "pause_seconds", lambda *_: 0.01)
        estate.listings["/devices"][3]["locationId"] = "location-1"
        estate.faults["/xapi/status"] = [*[None] * at, fault]
        poller = make_poller(xapi_seconds=10, rates=RequestRates(1e6, 1e6, 1e6, 1))
        reported: set[str] = set()
        for _ in range(3):
            assert not poller.poll().partial
            reported |= self.reported(kept)
            standing_clock.advance(10)
        assert reported == {"device-1", "device-2", "device-3", "device-4"}

    def test_no_more_than_allowed_are_in_flight(self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents) -> None:
        lock, flying, most = threading.Lock(), [0], [0]
        answer = estate.answer

        def watch(request: Request) -> Answer:
            if request.path != "/xapi/status":
                return answer(request)
            with lock:
                flying[0] += 1
                most[0] = max(most[0], flying[0])
            threading.Event().wait(0.05)
            with lock:
                flying[0] -= 1
            return answer(request)

        estate.respond = watch
        make_poller(rates=RequestRates(1e6, 1e6, 1e6, 2)).poll()
        assert most[0] == 2
        assert len(estate.asked("/xapi/status")) == 4

    def test_switched_off_nobody_is_asked(self, make_poller: MakePoller, estate: ScriptedWebex) -> None:
        make_poller(rates=RequestRates(1e6, 1e6, 0, 5)).poll()
        assert estate.asked("/xapi/status") == []
