"""A drill goes through everything a real alert goes through, is known for a drill everywhere, and ends."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from azure.eventhub import EventData, EventHubProducerClient

from event_hubs_local.config import read_config
from event_hubs_local.server import EventHubsServer, serving_in_thread
from local.drill import AlertsHub, Drill, Hop, SignedIn, Watch, run, unheard
from local.event_hubs.part import CONFIG
from processors import clock
from processors.alert_fanout.channels.inbox import InboxChannel
from processors.alert_fanout.channels.teams import TeamsChannel
from processors.alert_fanout.fan_out import FanOut
from processors.alert_fanout.settings import City, FanoutSettings, RuleMeaning
from processors.alert_fanout.state import SqliteTexts, State
from processors.contracts.validation import OBSERVATION
from processors.ingest.cloud_events import Event
from tests.support import rules
from tests.support.contracts import faults_of_message
from tests.support.roompulse_query import results

RULES = {rule.id: rule for rule in rules.RULES}
NO_SECRETS: dict[str, str] = {}


class Pipeline:
    """The query and the fan-out in one process: what is sent comes out at the other end at once."""

    def __init__(self, folder: Path, channels: tuple[Any, ...]) -> None:
        self.seen: dict[str, float] = {}
        self.sent: list[dict[str, Any]] = []
        self.city = City("Lyon", "Europe/Paris", channels)
        self.meaning = RuleMeaning("A meaning.", "docs/runbooks/x.md", channels={"teams": (1,)})
        settings = FanoutSettings(dict.fromkeys(RULES, self.meaning), {"lyon": self.city, "*": City("Any", "UTC", ())})
        self.state = State(SqliteTexts(folder / "fanout.sqlite"))
        self.fan_out = FanOut(settings, self.state, secrets=NO_SECRETS.__getitem__)
        self.rows: dict[str, list[dict[str, Any]]] = {}

    def send(self, events: list[Event], hub: str) -> list[Event]:
        self.sent += [json.loads(event.body) for event in events]
        self.rows = results(self.sent)
        for row in self.rows["alerts"]:
            self.seen.setdefault(row["state"], time.monotonic())
            self.fan_out.handle([json.dumps({name: value for name, value in row.items() if value is not None}).encode()])
        return []


InLyon = Callable[..., Pipeline]


@pytest.fixture
def in_lyon(tmp_path: Path) -> Iterator[InLyon]:
    made: list[Pipeline] = []

    def made_in_lyon(*channels: Any) -> Pipeline:
        made.append(Pipeline(tmp_path, channels or (InboxChannel(path=tmp_path / "inbox.sqlite"),)))
        return made[-1]

    yield made_in_lyon
    for one in made:
        one.fan_out.close()


def fired(pipeline: Pipeline, rule: str) -> list[Hop]:
    drill = Drill("lyon", pipeline.city, RULES[rule], pipeline.meaning, 1)
    return run(drill, Watch(pipeline, pipeline, pipeline.state, clock.utc_now, 5), lambda hop: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", sorted(rule.id for rule in RULES.values() if not rule.by_platform))
def test_a_drill_of_every_rule_is_sent_and_ends(in_lyon: InLyon, tmp_path: Path, rule: str) -> None:
    pipeline = in_lyon()
    hops = fired(pipeline, rule)
    assert all(hop.seconds is not None for hop in hops), hops
    told = sqlite3.connect(tmp_path / "inbox.sqlite").execute("SELECT state, title FROM inbox ORDER BY rowid").fetchall()
    assert [state for state, _ in told] == ["fired", "resolved"]
    assert all(title.startswith("DRILL · ") for _, title in told)


def test_it_keeps_the_contract_and_is_in_no_statistics(in_lyon: InLyon) -> None:
    pipeline = in_lyon()
    fired(pipeline, "site-outage")
    assert all(faults_of_message(OBSERVATION, event) == [] for event in pipeline.sent)
    assert pipeline.rows["processed"] == pipeline.rows["lake"] == pipeline.rows["cityminute"] == []


def test_a_channel_that_is_not_for_it_is_named_and_not_waited_for(in_lyon: InLyon, tmp_path: Path) -> None:
    pipeline = in_lyon(InboxChannel(path=tmp_path / "inbox.sqlite"), TeamsChannel(url_secret="teams"))
    (hop,) = [hop for hop in fired(pipeline, "device-offline") if "teams" in hop.name]
    assert (hop.seconds, hop.note) == (None, "not for severity 2")


def test_a_hop_that_fails_is_named_and_the_drill_still_ends(in_lyon: InLyon) -> None:
    pipeline = in_lyon()
    pipeline.fan_out.handle = lambda bodies: None  # type: ignore[method-assign]
    drill = Drill("lyon", pipeline.city, RULES["site-outage"], pipeline.meaning, 1)
    hops = run(drill, Watch(pipeline, pipeline, pipeline.state, clock.utc_now, 0.5), lambda hop: None)  # type: ignore[arg-type]
    assert "does the fan-out run?" in hops[2].note
    assert [event["data"]["signals"][0]["value"] >= 0.5 for event in pipeline.sent] == [True, False]


ARRIVED = [Hop("query: hub alerts", 1.0), Hop("fan-out: written down", 1.5)]


@pytest.mark.parametrize(
    ("channels", "why"),
    [
        ([Hop("channel inbox:x", 2.0)], None),
        ([Hop("channel inbox:x", 2.0), Hop("channel teams:t", None, "not for severity 3")], None),
        ([Hop("channel inbox:x", 2.0), Hop("channel teams:t", None, "waits for its hours")], None),
        ([], "Nobody was notified"),
        ([Hop("channel teams:t", None, "not for severity 3")], "Nobody was notified"),
        ([Hop("channel teams:t", None, "waits for its hours")], "Nobody was notified"),
        ([Hop("channel inbox:x", 2.0), Hop("channel teams:t", None, "given up: open: 404")], "channel teams:t"),
    ],
)
def test_a_drill_that_told_nobody_has_failed(channels: list[Hop], why: str | None) -> None:
    found = unheard([*ARRIVED, *channels])
    assert found is None if why is None else found is not None and why in found


def row(entity: str, state: str) -> str:
    return json.dumps({"entityId": entity, "state": state})


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def test_the_rows_of_a_drill_are_seen_in_the_hub_and_no_others(tmp_path: Path) -> None:
    with serving_in_thread(EventHubsServer(tmp_path / "hubs", read_config(CONFIG))) as server:
        producer = EventHubProducerClient.from_connection_string(server.connection_string, eventhub_name="alerts")
        with producer, closing(AlertsHub({"EVENT_HUBS": server.connection_string}, "drill-1")) as alerts:
            producer.send_batch([EventData(f"{row('device-1', 'resolved')}\n\n{row('drill-1', 'fired')}")], partition_id="0")
            until(lambda: bool(alerts.seen))
            assert alerts.seen.keys() == {"fired"}
            first = alerts.seen["fired"]
            producer.send_batch([EventData(row("drill-1", "fired")), EventData(row("drill-1", "resolved"))], partition_id="0")
            until(lambda: "resolved" in alerts.seen)
            assert alerts.seen["fired"] == first < alerts.seen["resolved"]
        assert alerts._loop.is_closed(), "one that is left open complains when it is collected"


def test_whoever_is_signed_in_gives_an_asynchronous_client_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    class Credential:
        def get_token(self, *scopes: str, **options: Any) -> str:
            asked.append((scopes, options, threading.current_thread() is threading.main_thread()))
            return "token"

        def close(self) -> None:
            asked.append("closed")

    async def token() -> object:
        async with SignedIn() as signed_in:
            return await signed_in.get_token("scope", claims=None)

    monkeypatch.setattr("azure.identity.DefaultAzureCredential", Credential)
    assert asyncio.run(token()) == "token"
    assert asked == [(("scope",), {"claims": None}, False), "closed"]
