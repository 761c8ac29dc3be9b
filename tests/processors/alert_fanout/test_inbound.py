"""What PagerDuty and ServiceNow send back: whose signature counts, what it does, and that nothing is done twice."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

from processors.alert_fanout import function_app, inbound
from processors.alert_fanout.acts import Act
from processors.alert_fanout.book_text import from_text, to_text
from processors.alert_fanout.channels.webhook import WebhookChannel
from processors.alert_fanout.incidents import close
from processors.alert_fanout.secrets import SecretMissing
from processors.alert_fanout.settings import City, FanoutSettings
from processors.alert_fanout.state import SqliteTexts, State
from processors.alert_fanout.templates import payload, short_id
from processors.timestamps import format_time
from tests.processors.alert_fanout.city_life import RULES, Lyon

SECRETS = {"pd-lyon": "kept by PagerDuty", "pd-oslo": "another one", "sn": "kept by ServiceNow"}
PAGERDUTY = WebhookChannel(url="https://pd", template="pagerduty", secret="key", back_secret="pd-lyon")
SERVICENOW = WebhookChannel(url="https://sn", template="servicenow", secret="user", back_secret="sn")


class Estate:
    """Lyon, where a device is down, and Oslo, whose PagerDuty is another one; what is sent back, and what was written down."""

    def __init__(self, lyon: Lyon, state: State) -> None:
        self.lyon, self.state = lyon, state
        alert = lyon.alert()
        lyon.happens(alert)
        lyon.after(seconds=3)
        self.incident = lyon.book.incidents[alert.alert_id]
        self.key = payload("pagerduty", lyon.sent[0], "x")["dedup_key"]
        self.write()
        oslo = City("Oslo", "Europe/Oslo", (WebhookChannel(url="https://pd", template="pagerduty", back_secret="pd-oslo"),))
        self.settings = FanoutSettings(RULES, {"lyon": lyon.city, "oslo": oslo})
        self.secrets: Callable[[str], str] = SECRETS.__getitem__

    def write(self) -> None:
        """Make the book of the state Lyon's."""
        known = from_text(to_text(self.lyon.book))
        self.state.change("lyon", lambda book: vars(book).update(vars(known)))

    def send(self, service: str, body: bytes, headers: dict[str, str]) -> inbound.Answer:
        return inbound.answer(service, headers, body, self.state, self.settings, self.secrets, self.lyon.now)

    def pagerduty(
        self, event: str, *, id_: str = "01A", secret: str = "pd-lyon", key: str | None = None, agent: Any = None
    ) -> inbound.Answer:
        data = {"id": "PGR0VU2", "incident_key": key or self.key, "status": "acknowledged"}
        body = json.dumps(
            {"event": {"id": id_, "event_type": event, "agent": agent or {"summary": "Ada"}, "data": data}}
        ).encode()
        signed = hmac.new(SECRETS[secret].encode(), body, hashlib.sha256).hexdigest()
        return self.send("pagerduty", body, {"x-pagerduty-signature": f"v1=0123,v1={signed}"})

    def servicenow(self, *, age: int = 0, id_: str = "em-1-7", **alert: Any) -> inbound.Answer:
        body = json.dumps({"id": id_, "messageKey": self.key, "state": "Open", "acknowledged": True} | alert).encode()
        stamp = str(int(self.lyon.now.timestamp()) - age)
        signed = hmac.new(SECRETS["sn"].encode(), f"{stamp}.".encode() + body, hashlib.sha256).digest()
        headers = {"roompulse-timestamp": stamp, "roompulse-signature": f"v1={base64.b64encode(signed).decode()}"}
        return self.send("servicenow", body, headers)

    @property
    def acts(self) -> list[Act]:
        return list(self.state.acts("lyon").all)

    @property
    def holder(self) -> str | None:
        held = self.state.acts("lyon").acknowledgement(self.incident, self.lyon.now)
        return held.author if held else None


@pytest.fixture
def estate(make_row: Any, tmp_path: Path) -> Iterator[Estate]:
    state = State(SqliteTexts(tmp_path / "state.sqlite"))
    yield Estate(Lyon(make_row, (PAGERDUTY, SERVICENOW)), state)
    state.close()


class TestPagerDuty:
    def test_an_acknowledgement_there_is_one_here(self, estate: Estate) -> None:
        assert estate.pagerduty("incident.acknowledged") == inbound.Answer(200, "Written down.")
        (act,) = estate.acts
        assert (act.kind, act.author, act.way, act.incident) == ("acknowledge", "PagerDuty", "pagerduty", estate.incident.id)
        assert act.until == format_time(estate.lyon.now + timedelta(hours=24))
        assert "Ada" not in str(act), "who acted there stays there"

    def test_a_city_that_can_not_be_read_is_a_matter_of_its_own_services(self, estate: Estate) -> None:
        estate.state._store.save("oslo", "rubbish", None)
        assert estate.pagerduty("incident.acknowledged") == inbound.Answer(200, "Written down.")
        refused = estate.pagerduty("incident.acknowledged", secret="pd-oslo")
        assert refused.status == 503 and "The state of oslo in" in refused.text

    @pytest.mark.parametrize("event", ["incident.unacknowledged", "incident.reopened"])
    def test_it_ends_when_it_ends_there(self, estate: Estate, event: str) -> None:
        estate.pagerduty("incident.acknowledged")
        estate.lyon.now += timedelta(minutes=30)
        assert estate.holder == "PagerDuty"
        assert estate.pagerduty(event, id_="01B").status == 200
        assert estate.holder is None

    def test_what_somebody_has_here_is_not_taken_back_there(self, estate: Estate) -> None:
        estate.lyon.does("acknowledge", estate.incident.id, until=estate.lyon.now + timedelta(hours=8))
        estate.state.add("lyon", estate.lyon.acts.all[0], [estate.incident.id], estate.lyon.now)
        assert "nothing is taken back" in estate.pagerduty("incident.unacknowledged").text
        assert estate.holder == "Ada"

    def test_resolved_there_is_seen_to_and_not_over(self, estate: Estate) -> None:
        assert estate.pagerduty("incident.resolved").status == 200
        assert (estate.holder, estate.acts[0].text[:21]) == ("PagerDuty", "resolved in PagerDuty")
        assert estate.state.book("lyon").incidents[estate.incident.id].open

    def test_the_same_event_again_is_done_once(self, estate: Estate) -> None:
        assert [estate.pagerduty("incident.acknowledged").status for _ in range(3)] == [200, 200, 200]
        assert len(estate.acts) == 1

    @pytest.mark.parametrize("event", ["incident.triggered", "incident.escalated", "incident.annotated", "pagey.ping"])
    def test_what_changes_nothing_here_is_taken_all_the_same(self, estate: Estate, event: str) -> None:
        assert (estate.pagerduty(event).status, estate.acts) == (200, [])

    @pytest.mark.parametrize("event", ["incident.acknowledged", "incident.resolved", "incident.reopened"])
    @pytest.mark.parametrize(
        ("agent", "counts"),
        [
            ({"type": "user_reference", "summary": "Ada"}, True), (None, True), ({"type": None}, True),
            ({"type": "events_api_v2_inbound_integration_reference"}, False), ({"type": "inbound_integration_reference"}, False),
        ],
    )  # fmt: skip
    def test_what_our_own_event_did_there_comes_back_as_nothing(
        self, estate: Estate, event: str, agent: Any, counts: bool
    ) -> None:
        estate.pagerduty("incident.acknowledged", id_="00")
        assert estate.pagerduty(event, agent=agent).text == ("Written down." if counts else "Nothing to do for that.")

    def test_of_an_incident_that_is_over_or_nobodys_it_is_taken_too(self, estate: Estate) -> None:
        assert "No incident of ours" in estate.pagerduty("incident.acknowledged", key="another").text
        close(estate.lyon.book.incidents[estate.incident.id], estate.lyon.now)
        estate.write()
        answer = estate.pagerduty("incident.acknowledged")
        assert (answer.status, estate.acts) == (200, []) and "is over since" in answer.text

    def test_the_key_of_a_long_id_and_of_a_later_round_is_known(self, estate: Estate) -> None:
        estate.lyon.book.incidents[estate.incident.id].deliveries[PAGERDUTY.key].round = 2
        estate.write()
        assert estate.pagerduty("incident.acknowledged", key=short_id(f"{estate.incident.id}|2")).text == "Written down."

    @pytest.mark.parametrize(("later", "acted_in"), [(timedelta(hours=1), "oslo"), (timedelta(hours=-1), "lyon")])
    def test_of_two_that_go_by_one_key_the_newest_is_meant(self, estate: Estate, later: timedelta, acted_in: str) -> None:
        """A device that moves to another city takes its alert along: both books have it."""
        same = from_text(to_text(estate.lyon.book)).incidents[estate.incident.id]
        same.recorded_at = format_time(datetime.fromisoformat(same.recorded_at) + later)
        estate.state.change("oslo", lambda book: book.incidents.update({same.id: same}))
        oslo = replace(estate.settings.cities["oslo"], channels=(PAGERDUTY,))
        estate.settings = replace(estate.settings, cities=estate.settings.cities | {"oslo": oslo})
        assert estate.pagerduty("incident.acknowledged").text == "Written down."
        assert [slug for slug in ("lyon", "oslo") if estate.state.acts(slug).all] == [acted_in]

    def test_one_city_never_acts_on_anothers(self, estate: Estate) -> None:
        assert "No incident of ours" in estate.pagerduty("incident.acknowledged", secret="pd-oslo").text
        assert estate.acts == []

    @pytest.mark.parametrize(
        ("headers", "body"),
        [
            ({}, b"{}"), ({"x-pagerduty-signature": "v1="}, b"{}"), ({"x-pagerduty-signature": "v1=\xe9"}, b"{}"),
            ({"x-pagerduty-signature": "v2=" + "0" * 64}, b"{}"), ({"x-pagerduty-signature": "," * 500}, b"{}"),
        ],
    )  # fmt: skip
    def test_without_a_signature_of_ours_nothing_is_read(self, estate: Estate, headers: dict[str, str], body: bytes) -> None:
        assert estate.send("pagerduty", body, headers).status == 401

    def test_a_body_that_was_changed_is_refused(self, estate: Estate) -> None:
        body = b'{"event": {}}'
        signed = hmac.new(SECRETS["pd-lyon"].encode(), body, hashlib.sha256).hexdigest()
        assert estate.send("pagerduty", body + b" ", {"x-pagerduty-signature": f"v1={signed}"}).status == 401

    @pytest.mark.parametrize(
        "body",
        [
            b"", b"[", b"null", b"[]", b'{"event": []}', b'{"event": {}}', b'{"event": {"event_type": "incident.resolved"}}',
            b'{"event": {"event_type": "incident.resolved", "data": {"incident_key": "k"}}}', b"\xff", b"[" * 60_000,
        ],
    )  # fmt: skip
    def test_what_is_signed_and_makes_no_sense_is_said(self, estate: Estate, body: bytes) -> None:
        signed = hmac.new(SECRETS["pd-lyon"].encode(), body, hashlib.sha256).hexdigest()
        answer = estate.send("pagerduty", body, {"x-pagerduty-signature": f"v1={signed}"})
        assert (answer.status, answer.text) == (400, "That is not what PagerDuty is known to send.")

    def test_more_than_pagerduty_sends_is_not_read(self, estate: Estate) -> None:
        assert estate.send("pagerduty", b" " * 65_537, {}).status == 413

    def test_a_secret_that_can_not_be_read_has_it_sent_again(self, estate: Estate) -> None:
        def gone(name: str) -> str:
            raise SecretMissing(f"the secret {name} has no value")

        estate.secrets = gone
        assert estate.pagerduty("incident.acknowledged").status == 503


class TestServiceNow:
    def test_an_acknowledged_alert_is_acknowledged_here_until_it_no_longer_is(self, estate: Estate) -> None:
        assert estate.servicenow() == inbound.Answer(200, "Written down.")
        assert estate.holder == "ServiceNow"
        estate.lyon.now += timedelta(minutes=1)
        assert estate.servicenow(id_="em-1-8", acknowledged=False).status == 200
        assert estate.holder is None

    def test_closed_there_is_seen_to_and_not_over(self, estate: Estate) -> None:
        assert estate.servicenow(state="Closed", acknowledged=False).status == 200
        assert (estate.holder, estate.acts[0].text[:20]) == ("ServiceNow", "closed in ServiceNow")

    @pytest.mark.parametrize(("age", "status"), [(0, 200), (299, 200), (-299, 200), (301, 401), (-301, 401)])
    def test_an_old_one_may_be_a_copy(self, estate: Estate, age: int, status: int) -> None:
        assert estate.servicenow(age=age).status == status

    @pytest.mark.parametrize(
        "headers",
        [
            {}, {"roompulse-timestamp": "now"}, {"roompulse-timestamp": "9" * 400}, {"roompulse-timestamp": "-1"},
            {"roompulse-timestamp": "NOW", "roompulse-signature": "v1=%%%"}, {"roompulse-timestamp": "²"},
        ],
    )  # fmt: skip
    def test_without_a_signature_of_ours_nothing_is_read(self, estate: Estate, headers: dict[str, str]) -> None:
        now = str(int(estate.lyon.now.timestamp()))
        sent = {name: value.replace("NOW", now) for name, value in headers.items()}
        assert estate.send("servicenow", b"{}", sent).status == 401

    @pytest.mark.parametrize("alert", [{"messageKey": ""}, {"id": None}, {"state": 3}])
    def test_what_is_signed_and_makes_no_sense_is_said(self, estate: Estate, alert: dict[str, Any]) -> None:
        assert estate.servicenow(**alert).status == 400


def test_a_service_that_nobody_expects_is_told_what_is_missing(estate: Estate) -> None:
    estate.settings = FanoutSettings(RULES, {"lyon": City("Lyon", "UTC", (WebhookChannel(url="https://x"),))})
    for service in ("pagerduty", "servicenow", "roompulse", "../incidents"):
        answer = estate.send(service, b"{}", {})
        assert answer.status == 404 and "backSecret" in answer.text


def test_the_function_takes_it_without_a_person(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the worker binds it: route, headers in any case, the body as it came."""
    monkeypatch.setattr(function_app, "_page_state", lambda: (estate.state, estate.settings))
    monkeypatch.setenv("SECRET_PD_LYON", SECRETS["pd-lyon"])
    monkeypatch.setenv("SECRET_PD_OSLO", SECRETS["pd-oslo"])
    data = {"event": {"id": "01C", "event_type": "incident.acknowledged", "data": {"incident_key": estate.key}}}
    body = json.dumps(data).encode()
    signed = hmac.new(SECRETS["pd-lyon"].encode(), body, hashlib.sha256).hexdigest()
    (function,) = [one for one in function_app.app.get_functions() if one.get_function_name() == "hooks"]
    statuses = []
    for given in (f"v1={signed}", "v1=0"):
        headers = {"X-PagerDuty-Signature": given}
        request = func.HttpRequest(
            "POST", "https://func.example/hooks/pagerduty", headers=headers, route_params={"service": "pagerduty"}, body=body
        )
        statuses.append(function.get_user_function()(request).status_code)
    assert statuses == [200, 401]
    assert [act.author for act in estate.acts] == ["PagerDuty"]
    assert function.get_trigger().get_dict_repr()["route"] == "hooks/{service}"


@pytest.mark.parametrize(
    ("known", "said"), [({"key": "0123"}, ["the secret pd-lyon has no value"]), ({"key": "0", "pd-lyon": "x"}, [])]
)
def test_a_missing_secret_of_this_direction_is_said_at_the_start_and_breaks_no_channel(
    caplog: pytest.LogCaptureFixture, known: dict[str, str], said: list[str]
) -> None:
    def secret(name: str) -> str:
        if name not in known:
            raise SecretMissing(f"the secret {name} has no value")
        return known[name]

    PAGERDUTY.open(secret).check()
    assert [vars(record)["ids"]["fault"] for record in caplog.records] == said
