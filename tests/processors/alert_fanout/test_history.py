"""The history of incidents: every step is sent, at least once under one id, whatever fails, and without anybody's name."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from powerbi.kusto_schema import read_tables
from processors.alert_fanout import history as histories
from processors.alert_fanout.fan_out import HISTORY, FanOut
from processors.alert_fanout.history import HistoryError, HubHistory, Row, begin, history_of, mark, unsent
from processors.alert_fanout.incidents import LOG_KEPT
from processors.alert_fanout.settings import FanoutSettings
from processors.alert_fanout.state import SqliteTexts, State, StateError
from processors.timestamps import format_time
from tests.processors.alert_fanout.city_life import RULES, START, WEBEX, Lyon
from tests.support.hub_reader import events_in
from tests.support.shared_data import REPOSITORY

CONTRACT = (REPOSITORY / "docs/contracts.md").read_text(encoding="utf-8")


@pytest.fixture
def lyon(make_row: Any) -> Lyon:
    return Lyon(make_row)


def sent(lyon: Lyon) -> list[Row]:
    """Send what has not been sent."""
    begin(lyon.book)
    left = unsent(lyon.book, lyon.acts)
    mark(lyon.book, left.sent)
    return left.rows


def a_life(lyon: Lyon) -> str:
    alert = lyon.alert()
    lyon.happens(alert)
    lyon.after(seconds=3)
    lyon.does("acknowledge", alert.alert_id, until=lyon.now + timedelta(hours=1), text="secret words")
    lyon.does("take", alert.alert_id, until=lyon.now + timedelta(hours=1), author="Bob")
    lyon.does("comment", alert.alert_id, text="secret words")
    lyon.does("unacknowledge", alert.alert_id)
    lyon.does("snooze", alert.alert_id, until=lyon.now + timedelta(minutes=5), text="secret words")
    lyon.after(minutes=6)
    lyon.happens(lyon.alert("resolved", START))
    lyon.after(seconds=1)
    return alert.alert_id


def test_every_step_of_a_life_is_in_it(lyon: Lyon) -> None:
    a_life(lyon)
    rows = sent(lyon)
    assert [row["step"] for row in rows] == [
        "began", "told", "reminded", "ended", "told-of-its-end",
        "acknowledged", "taken-over", "commented", "unacknowledged", "snoozed",
    ]  # fmt: skip
    assert rows[0] == {
        "id": rows[0]["id"], "observedAt": format_time(START), "incidentId": rows[0]["incidentId"], "step": "began",
        "ruleId": "device-offline", "severity": 2, "entity": "device", "entityId": "device-1", "cityId": "lyon",
        "locationId": "location-1", "workspaceId": "workspace-1", "startedAt": format_time(START),
    }  # fmt: skip
    assert {row.get("way") for row in rows[5:]} == {"test"}
    assert {row.get("channel") for row in rows if row["step"] == "told"} == {WEBEX.key}


def test_nobody_is_named_in_it(lyon: Lyon) -> None:
    a_life(lyon)
    assert not re.search("Ada|Bob|secret words", json.dumps(sent(lyon)))


def test_a_silence_is_a_step_of_what_it_hides(lyon: Lyon) -> None:
    alert = lyon.alert()
    lyon.happens(alert)
    lyon.does("snooze", alert.alert_id, until=lyon.now + timedelta(hours=1), text="painters")
    lyon.after(minutes=1)
    assert [row["step"] for row in sent(lyon)] == ["began", "silenced", "snoozed"]


def test_what_was_sent_is_not_sent_again_and_what_comes_is(lyon: Lyon) -> None:
    lyon.happens(lyon.alert())
    assert [row["step"] for row in sent(lyon)] == ["began"]
    assert sent(lyon) == []
    lyon.after(seconds=3)
    assert [row["step"] for row in sent(lyon)] == ["told"]


def test_what_was_not_acknowledged_is_sent_again_under_the_same_ids(lyon: Lyon) -> None:
    a_life(lyon)
    first, again = (unsent(lyon.book, lyon.acts).rows for _ in range(2))
    assert first == again
    assert len({row["id"] for row in first}) == len(first)


def test_lines_that_are_forgotten_change_no_id(lyon: Lyon) -> None:
    lyon.happens(lyon.alert())
    (incident,) = lyon.book.incidents.values()
    seen: dict[str, str] = {}
    for number in range(LOG_KEPT + 50):
        incident.note(lyon.now + timedelta(seconds=number), "notified", str(number))
        if number % 7 == 0:
            for row in sent(lyon):
                assert seen.setdefault(row["id"], row.get("channel", "")) == row.get("channel", "")
    for row in sent(lyon):
        seen[row["id"]] = row.get("channel", "")
    assert len(seen) == LOG_KEPT + 51


@pytest.mark.parametrize(("sending", "hours", "kept"), [(False, 2, False), (True, 2, True), (True, 9 * 24, False)])
def test_an_incident_is_kept_until_its_history_is_sent(lyon: Lyon, sending: bool, hours: float, kept: bool) -> None:
    id_ = a_life(lyon)
    if sending:
        begin(lyon.book)
    lyon.now += timedelta(hours=hours)
    lyon.happens()
    assert (id_ in lyon.book.incidents) is kept
    sent(lyon)
    lyon.happens()
    assert id_ not in lyon.book.incidents


def test_a_row_is_what_the_tables_and_the_contract_say(lyon: Lyon) -> None:
    a_life(lyon)
    columns = list(read_tables()["IncidentSteps"].types)
    assert {name for row in sent(lyon) for name in row} == set(columns)
    sentence = re.search(r"table `IncidentSteps`, key `id`:(.*?)\.", CONTRACT, re.DOTALL)
    assert sentence
    assert re.findall(r"`(\w+)`", sentence[1]) == columns


def test_the_query_of_the_contract_finds_the_times_to_acknowledge_and_to_repair() -> None:
    (query,) = re.findall(r"```sql\n(.*?)```", CONTRACT, re.DOTALL)
    rows = [
        ("lyon", "1", "began", 0, 2), ("lyon", "1", "acknowledged", 0, 12), ("lyon", "1", "taken-over", 0, 30),
        ("lyon", "1", "ended", 0, 60), ("lyon", "2", "began", 5, 6), ("lyon", "2", "ended", 5, 25),
        ("oslo", "3", "began", 0, 1),
    ]  # fmt: skip
    with duckdb.connect() as database:
        database.execute(
            "create table IncidentSteps (cityId text, incidentId text, step text, startedAt timestamptz, observedAt timestamptz)"
        )
        moments = [(*row[:3], START + timedelta(minutes=row[3]), START + timedelta(minutes=row[4])) for row in rows]
        database.executemany("insert into IncidentSteps values (?, ?, ?, ?, ?)", moments)
        found = database.execute(query).fetchall()
    assert found == [("lyon", 2, timedelta(minutes=12), timedelta(minutes=40)), ("oslo", 1, None, None)]


class Keeper:
    """A history that keeps rows, as often as it does not fail."""

    def __init__(self, failures: int = 0) -> None:
        self.rows: list[Row] = []
        self.failures = failures

    def send(self, rows: Sequence[Row]) -> None:
        if self.failures:
            self.failures -= 1
            raise HistoryError("the hub is away")
        self.rows += rows

    def close(self) -> None:
        return


class Quiet:
    """A channel that takes everything."""

    def check(self) -> None:
        return

    def send(self, notice: object) -> None:
        return

    def close(self) -> None:
        return


def settled(fan_out: FanOut) -> None:
    """Wait until what is sent just now is sent."""
    with fan_out._changed:
        assert fan_out._changed.wait_for(lambda: HISTORY not in fan_out._busy, 10)


def test_a_hub_that_is_away_gets_it_later_and_nobody_waits_for_it(
    tmp_path: Path, lyon: Lyon, make_row: Any, make_body: Any, standing_clock: Any
) -> None:
    keeper = Keeper(failures=2)
    settings = FanoutSettings(RULES, {"lyon": lyon.city})
    state = State(SqliteTexts(tmp_path / "fanout.sqlite"))
    fan_out = FanOut(settings, state, channels={WEBEX.key: Quiet()}, history=keeper)
    fan_out.handle([make_body(make_row(1, ruleId="room-too-warm"))])
    for _ in range(4):
        fan_out.tend()
        settled(fan_out)
    fan_out.close()
    assert [row["step"] for row in keeper.rows] == ["began", "told"]


def test_a_city_that_can_not_be_read_keeps_back_no_other_ones_history(
    tmp_path: Path, lyon: Lyon, make_row: Any, make_body: Any, standing_clock: Any
) -> None:
    keeper, state = Keeper(failures=0), State(SqliteTexts(tmp_path / "fanout.sqlite"))
    settings = FanoutSettings(RULES, {"lyon": lyon.city, "oslo": lyon.city})
    fan_out = FanOut(settings, state, channels={WEBEX.key: Quiet()}, history=keeper)
    fan_out.handle([make_body(make_row(1, ruleId="room-too-warm"))])
    state._store.save("oslo", "rubbish", None)
    with pytest.raises(StateError, match="The state of oslo"):
        fan_out.tend()
    settled(fan_out)
    assert [row["step"] for row in keeper.rows] == ["began", "told"]


def test_a_hub_that_hangs_holds_nobody_up(tmp_path: Path, lyon: Lyon, make_row: Any, make_body: Any, standing_clock: Any) -> None:
    hanging = threading.Event()

    class Hanging(Keeper):
        def send(self, rows: Sequence[Row]) -> None:
            hanging.wait(10)

    fan_out = FanOut(
        FanoutSettings(RULES, {"lyon": lyon.city}), State(SqliteTexts(tmp_path / "f.sqlite")), channels={WEBEX.key: Quiet()},
        history=Hanging(),
    )  # fmt: skip
    fan_out.handle([make_body(make_row(1, ruleId="room-too-warm"))])
    fan_out.tend()
    fan_out.handle([make_body(make_row(2, ruleId="room-too-warm"))])
    incidents = State(SqliteTexts(tmp_path / "f.sqlite")).book("lyon").incidents.values()
    assert [incident.deliveries[WEBEX.key].stage for incident in incidents] == ["opened", "opened"]
    hanging.set()
    fan_out.close()


def test_it_comes_out_of_the_hub_as_it_was_sent(event_hubs: Any, lyon: Lyon) -> None:
    a_life(lyon)
    rows = sent(lyon)
    to = HubHistory("incidents", {"EVENT_HUBS": event_hubs.connection_string})
    to.send(rows)
    to.close()
    got = [json.loads(event.body) for event in events_in(event_hubs.connection_string, "incidents", len(rows))]
    assert sorted(got, key=lambda row: row["id"]) == sorted(rows, key=lambda row: row["id"])


def test_without_a_hub_there_is_no_history() -> None:
    assert history_of({}) is None
    assert isinstance(history_of({"INCIDENTS_HUB": "incidents"}), histories.HubHistory)


@pytest.mark.parametrize(
    ("more", "namespace"),
    [({}, "alerts.example.net"), ({"INCIDENTS_NAMESPACE": "incidents.example.net"}, "incidents.example.net")],
    ids=["beside the alerts", "in a namespace of its own"],
)
def test_without_a_key_the_hub_is_entered_where_it_is(more: dict[str, str], namespace: str) -> None:
    """Inside Fabric every endpoint of an eventstream may have another namespace."""
    history = HubHistory("es_1", {"EVENT_HUBS__fullyQualifiedNamespace": "alerts.example.net", **more})
    producer = history._opened()
    assert (producer._address.hostname, producer._address.path) == (namespace, "/es_1")
    producer.close()
