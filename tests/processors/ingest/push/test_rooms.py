"""From what a device tells to observations: the same as those of polling, each once, whatever the order in which they come."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.ingest.poll import Poller
from processors.ingest.push.coverage import Coverage
from processors.ingest.push.listener import Desk, Listener
from processors.ingest.sinks import SendError
from tests.support.pushed import Hands, Heard, at, signals, status
from tests.support.scripted_webex import ScriptedWebex, device, error, workspace

TEMPERATURE, HUMIDITY = "RoomAnalytics.AmbientTemperature", "RoomAnalytics.RelativeHumidity"
PEOPLE, CAPACITY, IN_USE = (f"RoomAnalytics.{name}" for name in ("PeopleCount.Current", "PeopleCount.Capacity", "RoomInUse"))
NAVIGATOR = "Peripherals.ConnectedDevice[1001].RoomAnalytics."
CALLS, STANDBY = "SystemUnit.State.NumberOfActiveCalls", "Standby.State"


def told(path: str, value: Any) -> dict[str, Any]:
    return {path: value}


READINGS: list[tuple[dict[str, Any], dict[str, float]]] = [
    ({TEMPERATURE: "23.2"}, {"temperature": 23.2}),
    ({TEMPERATURE: "23"}, {"temperature": 23}),
    ({TEMPERATURE: -4.5}, {"temperature": -4.5}),
    ({HUMIDITY: 41}, {"humidity": 41}),
    (told(f"{NAVIGATOR}AmbientTemperature", "19.5"), {"temperature": 19.5}),
    (told(f"{NAVIGATOR}RelativeHumidity", 33), {"humidity": 33}),
    (told(f"{NAVIGATOR}AirQuality.Index", "1.2"), {"tvoc": 1.2}),
    ({"RoomAnalytics.AmbientNoise.Level.A": 35}, {"ambientNoise": 35}),
    ({"RoomAnalytics.Sound.Level.A": "61"}, {"soundLevel": 61}),
    ({PEOPLE: 3}, {"peopleCount": 3, "inUse": 1}),
    ({PEOPLE: 0}, {"peopleCount": 0, "inUse": 0}),
    ({PEOPLE: "5", CAPACITY: 4}, {"peopleCount": 5, "inUse": 1, "capacity": 4, "occupancy": 1.25}),
    ({PEOPLE: 0, IN_USE: "True"}, {"peopleCount": 0, "inUse": 1}),
    ({IN_USE: "False"}, {"inUse": 0}),
]


@pytest.mark.parametrize(("updated", "expected"), READINGS)
def test_what_a_room_measures_is_an_observation_at_its_own_moment(
    heard: Heard, updated: dict[str, Any], expected: dict[str, float]
) -> None:
    (event,) = heard.events(status(1, 12.5, updated))
    data = event["data"]
    assert (event["time"], data["pollId"], data["reason"]) == (at(12.5), "2026-11-24T11:00:00.000Z", "metric")
    assert (data["entity"], data["entityId"], data["cityId"], data["partial"]) == ("workspace", "workspace-1", "lyon", False)
    assert signals(data) == expected


@pytest.mark.parametrize(
    "updated",
    [
        {PEOPLE: -1},
        {PEOPLE: None},
        {TEMPERATURE: ""},
        {TEMPERATURE: None},
        {"Audio.Volume": 50},
        {"RoomAnalytics.PeoplePresence": "Yes"},
        {},
    ],
)
def test_what_says_nothing_is_no_observation(heard: Heard, updated: dict[str, Any]) -> None:
    assert heard.hear(status(1, 1, updated)) == []


@pytest.mark.parametrize("value", ["warm", [21], {"Value": 21}, True, 1e300, "NaN", "1e999"])
def test_a_reading_that_is_none_is_put_aside_and_the_others_hold(heard: Heard, value: object) -> None:
    (data,) = heard.hear(status(1, 1, {TEMPERATURE: value, HUMIDITY: 40}))
    assert signals(data) == {"humidity": 40}
    assert [event["data"]["reason"].split(":")[0] for event in heard.kept.events["deadletter"]] == [
        "RoomAnalytics.AmbientTemperature"
    ]


def test_of_two_thermometers_the_device_s_own_counts(heard: Heard) -> None:
    both = {f"{NAVIGATOR}AmbientTemperature": "19.5", TEMPERATURE: "22"}
    (data,) = heard.hear(status(1, 1, both))
    assert signals(data) == {"temperature": 22}


@pytest.mark.parametrize(
    ("metric", "pushed", "polled"),
    [("temperature", {TEMPERATURE: "23.0"}, 23), ("temperature", {TEMPERATURE: "23.4"}, 23.4), ("peopleCount", {PEOPLE: 4}, 4)],
)
def test_what_is_pushed_and_polled_is_one_observation(
    heard: Heard, estate: ScriptedWebex, hands: Hands, metric: str, pushed: dict[str, Any], polled: float
) -> None:
    """The same reading has the same id, whichever way it came."""
    (event,) = heard.events(status(1, 20, pushed))
    estate.listings["/workspaces"][0] = workspace(1, "temperature", "occupancyDetection")
    estate.metrics["workspace-1", metric] = [{"deviceId": "device-1", "timestamp": at(20), "value": polled}]
    heard.coverage.end("as if nothing were pushed")
    heard.coverage._moments.clear()  # as a process that has begun since
    hands.now = hands.now.replace(minute=1)
    heard.poller.poll()
    again = [one for one in heard.kept.events["observations"] if one["data"]["entity"] == "workspace"]
    assert [one["id"] for one in again] == [event["id"]]
    assert [one["data"] for one in again] == [event["data"]]


class TestDevices:
    def test_a_call_is_told_and_how_good_it_is_is_not_known(self, heard: Heard) -> None:
        (data,) = heard.hear(status(1, 3, {CALLS: 1}))
        assert (data["entity"], data["entityId"], signals(data)["inCall"]) == ("device", "device-1", 1)
        assert not {"callLoss", "callJitter"} & signals(data).keys(), "unknown is never zero"

    def test_a_call_that_ends_has_no_loss(self, heard: Heard) -> None:
        heard.hear(status(1, 3, {CALLS: 1}))
        (data,) = heard.hear(status(1, 5, {CALLS: 0}))
        assert signals(data)["inCall"] == 0

    def test_nothing_is_told_again_that_has_not_changed(self, heard: Heard) -> None:
        heard.hear(status(1, 3, {CALLS: 1, STANDBY: "Off"}))
        assert heard.hear(status(1, 4, {CALLS: 2})) == []

    def test_the_next_poll_knows_it(self, heard: Heard, hands: Hands) -> None:
        heard.hear(status(1, 3, {CALLS: 1}))
        assert heard.poller.state.devices["device-1"].condition.in_call is True
        hands.now = hands.now.replace(minute=20)
        polled = [data for data in heard.poll() if data["entityId"] == "device-1"]
        assert [signals(data)["inCall"] for data in polled] == [1]

    def test_what_a_full_sync_does_not_name_is_gone(self, heard: Heard) -> None:
        heard.hear(status(1, 3, {CALLS: 1, STANDBY: "Off", PEOPLE: 3, IN_USE: "True"}))
        heard.hear(status(1, 9, {STANDBY: "Off"}, full=True))
        assert heard.poller.state.devices["device-1"].condition.in_call is None
        (data,) = heard.hear(status(1, 10, {PEOPLE: 0}))
        assert signals(data) == {"peopleCount": 0, "inUse": 0}, "RoomInUse is gone, so the people say it"

    def test_what_was_never_told_is_not_taken_from_what_was_polled(self, heard: Heard) -> None:
        known = heard.poller.state.devices["device-1"]
        heard.poller.state.commit_devices({"device-1": known._replace(condition=known.condition._replace(standby=True))})
        heard.hear(status(1, 3, {PEOPLE: 3}, full=True))
        assert heard.poller.state.devices["device-1"].condition.standby is True

    @pytest.mark.parametrize("removed", ["SystemUnit.State.NumberOfActiveCalls", "SystemUnit.State", "SystemUnit"])
    def test_what_is_removed_is_gone_with_what_is_below_it(self, heard: Heard, removed: str) -> None:
        heard.hear(status(1, 3, {CALLS: 1}))
        heard.hear(status(1, 4, removed=(removed,)))
        assert heard.poller.state.devices["device-1"].condition.in_call is None

    def test_an_unknown_state_of_standby_is_counted(self, heard: Heard) -> None:
        heard.hear(status(1, 3, {STANDBY: "Dreaming"}))
        assert heard.desk._rooms.unknowns.counts == {"Standby.State=Dreaming": 1}


class TestPrivacy:
    @pytest.mark.parametrize("number", [4, 9])
    def test_another_city_and_a_room_that_nobody_knows_are_left_out(self, heard: Heard, number: int) -> None:
        assert heard.hear(status(number, 1, {PEOPLE: 3, CALLS: 1})) == []

    @pytest.mark.parametrize("workspace_id", [None, "workspace-1"])
    def test_a_person_s_device_is_left_out_whatever_it_says(self, heard: Heard, workspace_id: str | None) -> None:
        known = heard.poller.state.devices["device-1"]
        personal = known._replace(device=known.device._replace(person_id="person", workspace_id=None))
        heard.poller.state.commit_devices({"device-1": personal})
        assert heard.hear({**status(1, 1, {PEOPLE: 3}), "workspaceId": workspace_id}) == []


class TestOrder:
    def test_a_message_that_comes_twice_is_told_once(self, heard: Heard) -> None:
        message = status(1, 3, {PEOPLE: 3, CALLS: 1, TEMPERATURE: "22"})
        assert len(heard.hear(message, message)) == 3
        assert heard.hear(message) == []

    def test_an_older_message_is_reported_at_its_time_and_changes_nothing(self, heard: Heard) -> None:
        heard.hear(status(1, 9, {CALLS: 0, PEOPLE: 0}))
        (event,) = heard.events(status(1, 3, {CALLS: 1, PEOPLE: 4}))
        assert (event["time"], signals(event["data"])) == (at(3), {"peopleCount": 4, "inUse": 1})
        assert heard.poller.state.devices["device-1"].condition.in_call is False

    def test_two_moments_of_one_answer_are_both_told(self, heard: Heard) -> None:
        told = heard.events(status(1, 3, {PEOPLE: 4}), status(1, 4, {PEOPLE: 5}))
        assert [(event["time"], signals(event["data"])["peopleCount"]) for event in told] == [(at(3), 4), (at(4), 5)]


@pytest.mark.parametrize("sends", [0, 1])
def test_what_was_not_acknowledged_is_sent_again_under_the_same_ids(heard: Heard, sends: int) -> None:
    message = [status(1, 3, {PEOPLE: 3, IN_USE: "True"}), status(1, 4, {CALLS: 1}), status(2, 4, {TEMPERATURE: "22"})]
    heard.kept.sends_until_failure = 0
    with pytest.raises(SendError):
        heard.desk.take(message)
    arrived = {event["id"] for event in heard.kept.events["observations"]}
    assert heard.poller.state.devices["device-1"].condition.in_call is None, "nothing is remembered before"
    heard.kept.sends_until_failure = None
    again = {event["id"] for event in heard.events(*message)}
    assert len(again) == 3
    assert arrived <= again


BROKEN: list[tuple[Any, str]] = [
    (None, "the message is nothing"),
    ("text", "the message is text"),
    ({}, "the message has no type"),
    ({"type": "status"}, "the message has no deviceId"),
    ({**status(1, 1), "changes": []}, "changes is a list"),
    ({**status(1, 1), "changes": {"updated": [1]}}, "changes.updated is a list"),
    ({**status(1, 1), "changes": {"removed": "x"}}, "changes.removed is text"),
    ({**status(1, 1), "timestamp": "soon"}, "timestamp is text that is not a time"),
    ({**status(1, 1), "timestamp": "2026-11-24T12:00:00Z"}, "timestamp lies in the future"),
]


@pytest.mark.parametrize(("message", "reason"), BROKEN)
def test_a_broken_message_is_put_aside_and_the_others_are_heard(heard: Heard, message: Any, reason: str) -> None:
    sent = heard.hear(message, status(1, 2, {PEOPLE: 1}), message)
    assert [signals(data)["peopleCount"] for data in sent] == [1]
    assert [event["data"]["reason"] for event in heard.kept.events["deadletter"]] == [reason]


PATHS: dict[str, list[Any]] = {TEMPERATURE: ["21", "22.5"], PEOPLE: [0, 3], IN_USE: ["True", "False"], CALLS: [0, 1]}
changes = st.dictionaries(st.sampled_from(list(PATHS)), st.integers(0, 1), min_size=1, max_size=3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(told=st.lists(changes, min_size=1, max_size=6), order=st.randoms(use_true_random=False), repeats=st.integers(0, 3))
def test_whatever_is_doubled_or_out_of_order_each_reading_is_told_once(
    heard: Heard, told: list[dict[str, int]], order: Any, repeats: int
) -> None:
    heard.desk = heard.new_desk()
    messages = [
        status(1, 1 + second, {path: PATHS[path][which] for path, which in change.items()}) for second, change in enumerate(told)
    ]
    shuffled = [*messages, *(order.choice(messages) for _ in range(repeats))]
    order.shuffle(shuffled)
    events = heard.events(*shuffled)
    rooms = [event for event in events if event["data"]["entity"] == "workspace"]
    assert len({event["id"] for event in events}) == len(events), "nothing twice"
    temperatures = {(event["time"], signals(event["data"]).get("temperature")) for event in rooms}
    for message in messages:
        updated = message["changes"]["updated"]
        if "RoomAnalytics.AmbientTemperature" in updated:
            assert (message["timestamp"], float(updated["RoomAnalytics.AmbientTemperature"])) in temperatures
        if "RoomAnalytics.PeopleCount.Current" in updated:
            people = [signals(event["data"]) for event in rooms if event["time"] == message["timestamp"]]
            assert updated["RoomAnalytics.PeopleCount.Current"] in [values.get("peopleCount") for values in people]
    last = [
        message["changes"]["updated"]
        for message in messages
        if "SystemUnit.State.NumberOfActiveCalls" in message["changes"]["updated"]
    ]
    if last:
        in_call = heard.poller.state.devices["device-1"].condition.in_call
        assert in_call is bool(last[-1]["SystemUnit.State.NumberOfActiveCalls"]), "the newest holds, whenever it came"


class TestPollingBeside:
    def sensors(self, estate: ScriptedWebex) -> None:
        estate.listings["/workspaces"] = [workspace(n, "temperature") for n in range(1, 41)]
        estate.listings["/devices"] = [device(n) for n in range(1, 41)]

    def asked(self, estate: ScriptedWebex) -> list[str]:
        return [request.params["workspaceId"] for request in estate.asked("/workspaceMetrics")]

    def test_what_is_pushed_is_polled_in_samples_and_the_rest_as_ever(
        self, heard: Heard, estate: ScriptedWebex, hands: Hands
    ) -> None:
        self.sensors(estate)
        hands.now = hands.now.replace(minute=1)
        heard.poll()
        heard.hear(*(status(n, 70, {TEMPERATURE: "21"}) for n in range(1, 31)))
        hands.now = hands.now.replace(minute=2)
        heard.poll()
        estate.requests.clear()
        for minute in (4, 6, 8):
            hands.now = hands.now.replace(minute=minute)
            heard.poll()
        asked = self.asked(estate)
        pushed = {f"workspace-{n}" for n in range(1, 31)}
        assert sum(room in pushed for room in asked) == 30, "ten a poll"
        assert set(asked) & pushed == pushed, "each in its turn"
        assert sum(room not in pushed for room in asked) == 3 * 10

    def test_when_nothing_is_pushed_any_more_everything_is_polled_and_then_given_back(
        self, heard: Heard, estate: ScriptedWebex, hands: Hands
    ) -> None:
        self.sensors(estate)
        hands.now = hands.now.replace(minute=1)
        heard.poll()
        heard.hear(*(status(n, 70, {TEMPERATURE: "21"}) for n in range(1, 41)))
        numbers = []
        for minute in (3, 5, 7, 9, 11):
            if minute == 7:
                heard.coverage.end("silence")
            elif minute == 9:
                heard.coverage.begin()
                heard.hear(*(status(n, 480, {TEMPERATURE: "22"}) for n in range(1, 41)))
            estate.requests.clear()
            hands.now = hands.now.replace(minute=minute)
            heard.poll()
            numbers.append(len(self.asked(estate)))
        assert numbers == [10, 10, 40, 10, 10], "a few at a time, though each is to be read once for what came before"

    def test_polling_goes_on_where_pushing_stopped(self, heard: Heard, estate: ScriptedWebex, hands: Hands) -> None:
        """Nothing is read twice, and what was lost in a silence is read."""
        estate.listings["/workspaces"] = [workspace(1, "temperature")]
        heard.hear(status(1, 5, {TEMPERATURE: "20"}))
        estate.metrics["workspace-1", "temperature"] = [{"timestamp": at(5), "value": 20}, {"timestamp": at(100), "value": 21}]
        hands.now = hands.now.replace(minute=2)
        first = [signals(data)["temperature"] for data in heard.poll() if data["entity"] == "workspace"]
        heard.hear(status(1, 200, {TEMPERATURE: "22"}))
        heard.coverage.end("silence")
        estate.metrics["workspace-1", "temperature"] += [{"timestamp": at(200), "value": 22}, {"timestamp": at(250), "value": 23}]
        hands.now = hands.now.replace(minute=5)
        second = [signals(data)["temperature"] for data in heard.poll() if data["entity"] == "workspace"]
        assert (first, second) == ([21], [23])

    def test_a_room_in_need_is_asked_all_the_same_for_what_is_not_pushed_and_what_it_told_is_believed(
        self, make_poller: Callable[..., Poller], kept: Any, estate: ScriptedWebex, hands: Hands
    ) -> None:
        permitted = {"permissions": ["xapi:readonly"], "tags": ["vip"]}
        estate.listings["/devices"] = [device(n, **permitted) for n in (1, 2, 3)]
        lossy = {"Netstat": {"LastIntervalLost": 4, "LastIntervalReceived": 96}}
        call = {"SystemUnit": {"State": {"NumberOfActiveCalls": 1}}, "MediaChannels": {"Call": [{"id": 1, "Channel": [lossy]}]}}
        estate.statuses = {f"device-{n}": call for n in (1, 2, 3)}
        heard = Heard(make_poller(60, push=("lyon",), priority_tags=("vip",), xapi_seconds=60), kept)
        heard.hear(status(1, 1, {CALLS: 0}), status(2, 1, {CALLS: 1}))
        estate.requests.clear()
        hands.now = hands.now.replace(minute=2)
        heard.poll()
        assert {request.params["deviceId"] for request in estate.asked("/xapi/status")} == {"device-1", "device-2", "device-3"}
        hands.now = hands.now.replace(minute=30)
        heard.poll()
        conditions = [heard.poller.state.devices[f"device-{n}"].condition for n in (1, 2, 3)]
        assert [(one.in_call, one.call_loss) for one in conditions] == [(False, 0.0), (True, 4.0), (True, 4.0)], (
            "what it told holds"
        )
        heard.poller.close()

    @pytest.mark.parametrize(("state", "value"), [("live", 0), ("off", 1)])
    def test_a_silent_city_says_so_and_one_that_has_it_off_says_nothing(
        self, heard: Heard, hands: Hands, state: str, value: int
    ) -> None:
        heard.poller.pushed._listener = object()  # type: ignore[assignment]
        heard.poller.pushed._listens = True
        if state == "off":
            heard.coverage.end("nobody listens")
        hands.now = hands.now.replace(minute=1)
        said = {data["cityId"]: signals(data).get("pushSilent") for data in heard.poll() if data["entity"] == "city"}
        heard.poller.pushed._listens = False
        assert said["lyon"] == value
        assert said["oslo"] is None


class AtTheDoor(Listener):
    """A listener that only notes who would be told."""

    def __init__(self) -> None:
        self.coverage = Coverage()
        self.desks: list[Desk] = []

    def attach(self, desk: Desk) -> None:
        self.desks.append(desk)

    def detach(self) -> None:
        self.desks.clear()


def test_nobody_listens_before_the_rooms_are_listed(
    make_poller: Callable[..., Poller], kept: Any, estate: ScriptedWebex, hands: Hands
) -> None:
    """What a device states first would be about a room that nobody knows, and it states it once."""
    estate.faults["/workspaces"] = [error(503)] * 3
    listener = AtTheDoor()
    poller = make_poller(60, push=("lyon",), listener=listener)
    poller.poll()
    assert listener.desks == []
    for minute in (5, 6):
        hands.now = hands.now.replace(minute=minute)
        poller.poll()
    assert len(listener.desks) == 1
    poller.close()
    assert listener.desks == []


def test_a_city_that_has_it_on_with_no_integration_says_what_to_set(heard: Heard, hands: Hands) -> None:
    hands.now = hands.now.replace(minute=1)
    report = heard.poller.poll()
    assert any("WEBEX_INTEGRATION_FOLDER" in fault for fault in report.faults)
    assert not report.partial, "its rooms are polled"
    lyon = next(json.loads(json.dumps(data)) for data in heard.kept.taken("city") if data["cityId"] == "lyon")
    assert signals(lyon)["pushSilent"] == 1
