"""Control Hub's alerts as a second witness: whose signature counts, what an incident shows, and what only they have seen."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors import clock
from processors.alert_fanout import inbound
from processors.alert_fanout.acts import Act
from processors.alert_fanout.alerts import TEXT_LIMIT
from processors.alert_fanout.book_text import from_text, to_text
from processors.alert_fanout.control_hub import BELIEVED, GRACE, UNMATCHED, bare_id, is_signed, witnessed
from processors.alert_fanout.fan_out import FanOut
from processors.alert_fanout.incidents import Incident, close
from processors.alert_fanout.notice import Notice
from processors.alert_fanout.secrets import SecretMissing
from processors.alert_fanout.settings import City, FanoutSettings, RuleMeaning
from processors.alert_fanout.state import SqliteTexts, State, StateError
from processors.contracts.facts import ANY_OTHER_CITY
from processors.timestamps import format_time
from tests.processors.alert_fanout.city_life import RULES, WEBEX, Lyon
from tests.support.rules import RULES as DECLARED

SECRETS = {"hub": "kept by Control Hub", "hub-oslo": "another one"}
MEANINGS = RULES | {UNMATCHED: RuleMeaning("Control Hub sees more.", "docs/runbooks/control-hub-unmatched.md")}
ISSUES = "Issues detected and resolved events"


def webex_id(uuid: str, region: str = "us") -> str:
    return base64.urlsafe_b64encode(f"ciscospark://{region}/DEVICE/{uuid}".encode()).decode().rstrip("=")


DEVICE = webex_id("6f2a")


def alert_of(device: str | None = DEVICE, id_: str = "n-1", **data: Any) -> dict[str, Any]:
    """A webhook's body, in the shape that Cisco's article on device alerts gives."""
    about = {"RULE_NAME": "All devices", "ORGANIZATION_NAME": "Acme", "deviceId": device, "deviceName": "Bar"}
    more = {"notificationAttributes": about if device else None, "type": "Devices", "subType": "Offline and online events"}
    known = {"summary": "Bar is offline", "severity": "HIGH", "notificationId": id_, "ruleId": "r-1"}
    return {"resource": "controlHubAlerts", "event": "created", "ownedBy": "org", "data": more | known | data}


def issues(detected: Any, resolved: Any = ()) -> dict[str, Any]:
    both = {"detected": detected, "resolved": list(resolved)}
    return {"notificationAttributes": {"deviceId": DEVICE, "issues": both}}


class Notified:
    """A channel that keeps what it is sent."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def check(self) -> None:
        """See Channel.check."""

    def send(self, notice: Notice) -> str:
        """See Channel.send."""
        self.notices.append(notice)
        return "message"

    def close(self) -> None:
        """See Channel.close."""


class Estate:
    """Lyon, where the device is down, and Oslo, whose organisation has another secret."""

    def __init__(self, lyon: Lyon, path: Path) -> None:
        self.lyon, self.path = lyon, path
        self.state = State(SqliteTexts(path))
        lyon.happens(lyon.alert(entityId=webex_id("6f2a", "eu"), entity="device"))
        lyon.after(seconds=3)
        (self.incident,) = lyon.book.incidents.values()
        self.write()
        cities = {"lyon": City("Lyon", "Europe/Paris", (), control_hub_secret="hub")}
        cities["oslo"] = City("Oslo", "Europe/Oslo", (), control_hub_secret="hub-oslo")
        cities[ANY_OTHER_CITY] = City("Unassigned", "UTC", (WEBEX,))
        self.settings = FanoutSettings(MEANINGS, cities)
        self.channel = Notified()

    def tends(self, **later: float) -> list[str]:
        """The fan-out looks after so much time; the titles of what people of operations are sent then."""
        self.lyon.now += timedelta(**later)
        clock.use(lambda: self.lyon.now)
        fan_out = FanOut(self.settings, State(SqliteTexts(self.path)), channels={WEBEX.key: self.channel})
        before = len(self.channel.notices)
        try:
            for _ in range(2):
                fan_out.tend()
        finally:
            fan_out.close()
            clock.use(None)
        return [notice.title for notice in self.channel.notices[before:]]

    @property
    def questions(self) -> list[Incident]:
        return [*self.state.book(ANY_OTHER_CITY).incidents.values()]

    def goes_down(self, device: str) -> Incident:
        """Polling sees it too."""
        self.lyon.happens(self.lyon.alert(number=2, entityId=device, entity="device"))
        self.write()
        return next(one for one in self.lyon.book.incidents.values() if one.lead.entity_id == device)

    def write(self) -> None:
        known = from_text(to_text(self.lyon.book))
        self.state.change("lyon", lambda book: vars(book).update(vars(known)))

    def hears(self, document: Any, secret: str = "hub", signature: str | None = None) -> inbound.Answer:
        body = json.dumps(document).encode()
        signed = hmac.new(SECRETS[secret].encode(), body, hashlib.sha1).hexdigest() if signature is None else signature
        headers = {"x-spark-signature": signed}
        return inbound.answer("control-hub", headers, body, self.state, self.settings, SECRETS.__getitem__, self.lyon.now)

    @property
    def acts(self) -> list[Act]:
        return [*self.state.acts("lyon").all, *self.state.acts(ANY_OTHER_CITY).all]


@pytest.fixture
def estate(make_row: Any, tmp_path: Path) -> Iterator[Estate]:
    found = Estate(Lyon(make_row, ()), tmp_path / "state.sqlite")
    yield found
    found.state.close()


def test_the_incident_has_the_second_witness_whatever_region_the_id_names(estate: Estate) -> None:
    assert estate.hears(alert_of()) == inbound.Answer(200, "Written down.")
    (act,) = estate.acts
    assert (act.kind, act.author, act.way) == ("comment", "Control Hub", "control-hub")
    assert (act.incident, act.text) == (estate.incident.id, "Control Hub reports: Bar is offline")
    assert estate.state.acts("lyon").acknowledgement(estate.incident, estate.lyon.now) is None, "a witness has not got it"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"summary": "Bar is\x00 <b>off</b>\nline"}, "Bar is <b>off</b> line"),
        ({"summary": None}, "an alert without a summary"),
        ({"summary": 7}, "an alert without a summary"),
        (issues(["tls", "sip"], ["ntp"]), "issues detected: tls, sip; issues resolved: ntp; Bar is offline"),
        (issues([], ["ntp"]), "issues resolved: ntp; Bar is offline"),
        (issues([None, 3, ""]), "Bar is offline"),
        (issues("tls"), "Bar is offline"),
        (
            issues([f"i{n}" for n in range(12)]),
            "issues detected: i0, i1, i2, i3, i4, i5, i6, i7, i8, i9 and 2 more; Bar is offline",
        ),
    ],
)  # fmt: skip
def test_what_it_says_is_text(estate: Estate, data: dict[str, Any], text: str) -> None:
    assert estate.hears(alert_of(**data)).status == 200
    assert estate.acts[0].text == f"Control Hub reports: {text}"


def test_a_long_summary_is_cut(estate: Estate) -> None:
    estate.hears(alert_of(summary="x" * 5000))
    assert len(estate.acts[0].text) <= TEXT_LIMIT


def test_an_alert_that_comes_again_is_written_once(estate: Estate) -> None:
    for id_ in ("n-1", "n-1", "n-2", "n-1"):
        assert estate.hears(alert_of(id_=id_)).status == 200
    assert [act.id for act in estate.acts] == ["control-hub-n-1", "control-hub-n-2"]


def test_that_it_is_back_is_a_comment_on_what_has_ended(estate: Estate) -> None:
    close(estate.lyon.book.incidents[estate.incident.id], estate.lyon.now)
    estate.write()
    assert estate.hears(alert_of(summary="Bar is online")) == inbound.Answer(200, "Written down.")
    assert [(act.incident, act.text) for act in estate.acts] == [(estate.incident.id, "Control Hub reports: Bar is online")]
    assert estate.questions == []


def test_what_only_control_hub_has_seen_notifies_whoever_runs_it_after_the_grace_time(
    estate: Estate, caplog: pytest.LogCaptureFixture
) -> None:
    other = webex_id("other")
    with caplog.at_level(logging.WARNING):
        answer = estate.hears(alert_of(other))
    assert (answer.status, estate.acts) == (200, []) and UNMATCHED in answer.text
    assert caplog.records[0].__dict__["ids"] == {"device": other, "alert": "n-1", "said": "Control Hub reports: Bar is offline"}
    assert estate.tends() == [] and estate.tends(seconds=GRACE.total_seconds() - 1) == []
    assert estate.tends(seconds=2) == ["Control hub unmatched: Bar, Unassigned"]
    (notice,) = estate.channel.notices
    assert (notice.lead.rule_id, notice.lead.severity, notice.lead.entity_id) == (UNMATCHED, 2, other)
    assert "Control Hub reports: Bar is offline" in notice.text and "docs/runbooks/control-hub-unmatched.md" in notice.text
    assert estate.tends(hours=1) == [], "once"


def test_the_grace_time_is_the_one_that_the_rule_says() -> None:
    (rule,) = (one for one in DECLARED if one.id == UNMATCHED)
    assert (rule.for_seconds, rule.severity) == (GRACE.total_seconds(), 2)


@pytest.mark.parametrize("waited", [60, 600])
def test_an_incident_of_ours_ends_the_question_and_has_the_word_of_the_second_witness(estate: Estate, waited: float) -> None:
    other = webex_id("other")
    estate.hears(alert_of(other))
    notified = estate.tends(seconds=waited)
    ours = estate.goes_down(other)
    ended = estate.tends(seconds=1)
    assert [bool(one.open) for one in estate.questions] == [False]
    assert [(act.incident, act.text) for act in estate.acts] == [(ours.id, "Control Hub reports: Bar is offline")]
    both = ["Control hub unmatched: Bar, Unassigned"], ["Resolved: control hub unmatched, Bar, Unassigned"]
    assert (notified, ended) == (([], []) if waited < GRACE.total_seconds() else both), "of what came in time nobody hears"


def test_an_outage_that_takes_the_device_in_is_an_incident_of_ours(estate: Estate) -> None:
    other = webex_id("other")
    estate.lyon.happens(estate.lyon.outage())
    estate.write()
    estate.hears(alert_of(other))
    estate.lyon.happens(estate.lyon.alert(number=2, entityId=other, entity="device", locationId="location-1"))
    estate.write()
    estate.tends(seconds=1)
    (act,) = estate.acts
    assert act.incident.startswith("site-outage") and not estate.questions[0].open


def test_after_a_day_nobody_asks_any_more(estate: Estate) -> None:
    estate.hears(alert_of(webex_id("other")))
    estate.tends(seconds=BELIEVED.total_seconds() - 1)
    assert [one.open for one in estate.questions] == [True]
    assert estate.tends(seconds=2) == ["Resolved: control hub unmatched, Bar, Unassigned"]
    assert estate.channel.notices[-1].observed_at == format_time(estate.lyon.now), "it lasted a day"


def test_the_same_alert_again_asks_nothing_new_and_another_one_is_another(estate: Estate) -> None:
    other = webex_id("other")
    estate.hears(alert_of(other))
    estate.tends(minutes=4)
    for id_ in ("n-1", "n-2"):
        assert estate.hears(alert_of(other, id_)).status == 200
    assert len(estate.tends(minutes=2)) == 1, "the first has waited its five minutes, whatever came again"
    assert [one.lead.alert_id for one in estate.questions] == [f"{UNMATCHED}|hub|n-1", f"{UNMATCHED}|hub|n-2"]


def test_what_was_asked_is_safe_before_it_is_answered(estate: Estate) -> None:
    estate.hears(alert_of(webex_id("other")))
    again = State(SqliteTexts(estate.path))
    assert [one.hold_until for one in again.book(ANY_OTHER_CITY).incidents.values()] == [format_time(estate.lyon.now + GRACE)]
    again.close()


def test_not_every_issue_is_an_incident_so_it_is_only_logged(estate: Estate, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        answer = estate.hears(alert_of(webex_id("other"), subType=ISSUES))
    assert (answer.status, estate.questions, len(caplog.records)) == (200, [], 1) and "not every issue" in answer.text


def test_the_name_of_the_device_is_text(estate: Estate) -> None:
    about = {"deviceId": webex_id("other"), "deviceName": "Bar\n\u202egnp.exe"}
    estate.hears(alert_of(notificationAttributes=about))
    estate.hears(alert_of(id_="n-2", notificationAttributes={"deviceId": webex_id("another")}))
    assert [one.lead.name for one in estate.questions] == ["Bar gnp.exe", webex_id("another")]


def test_an_alert_about_no_device_changes_nothing(estate: Estate) -> None:
    assert (estate.hears(alert_of(None)).text, estate.acts) == ("Nothing to do for that.", [])


def test_an_organisation_speaks_of_its_own_cities_alone(estate: Estate) -> None:
    assert estate.hears(alert_of(), secret="hub-oslo").status == 200
    estate.tends(minutes=6)
    assert estate.acts == [] and [one.open for one in estate.questions] == [True]


@pytest.mark.parametrize("signature", ["", "0" * 40, "é", "sha1=0"])
def test_a_bad_signature_is_refused_and_said(estate: Estate, caplog: pytest.LogCaptureFixture, signature: str) -> None:
    with caplog.at_level(logging.WARNING):
        answer = estate.hears(alert_of(), signature=signature)
    assert (answer.status, estate.acts) == (401, []) and "controlHubSecret" in answer.text
    assert caplog.records[0].__dict__["ids"] == {"service": "control-hub", "setting": "controlHubSecret of a city"}


@pytest.mark.parametrize(
    "document", [None, [], 3, {}, {"resource": "messages", "data": {}}, {"resource": "controlHubAlerts"}, alert_of(id_="")]
)
def test_what_is_not_an_alert_of_control_hub_is_refused(estate: Estate, document: Any) -> None:
    assert (estate.hears(document).status, estate.acts) == (400, [])


def test_it_is_off_unless_a_city_names_the_secret(estate: Estate) -> None:
    estate.settings = FanoutSettings(MEANINGS, {"lyon": City("Lyon", "Europe/Paris", ())})
    answer = estate.hears(alert_of())
    assert answer.status == 404 and "controlHubSecret of a city" in answer.text


def test_a_secret_that_cannot_be_read_means_that_it_is_sent_again(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbound, "text", lambda secrets, name: (_ for _ in ()).throw(SecretMissing(name)))
    assert estate.hears(alert_of()).status == 503


@pytest.mark.parametrize(("method", "device"), [("add", DEVICE), ("change", webex_id("other"))])
def test_what_could_not_be_written_down_is_sent_again(
    estate: Estate, monkeypatch: pytest.MonkeyPatch, method: str, device: str
) -> None:
    def full(*_: object) -> None:
        raise StateError("the state can't be written: make room")

    monkeypatch.setattr(estate.state, method, full)
    assert estate.hears(alert_of(device)) == inbound.Answer(503, "the state can't be written: make room")
    monkeypatch.undo()
    assert estate.hears(alert_of(device)).status == 200


def test_the_signature_of_webex_is_the_hex_hmac_sha1_of_the_body() -> None:
    """Case 2 of RFC 2202."""
    assert is_signed("Jefe", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79", b"what do ya want for nothing?")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda one: st.lists(one) | st.dictionaries(st.text(), one)
    )
)
def test_whatever_is_in_an_alert_it_is_read_or_refused(data: Any) -> None:
    for document in (
        data,
        {"resource": "controlHubAlerts", "data": data},
        alert_of(notificationAttributes=data),
        alert_of(**issues(data)),
    ):
        try:
            seen = witnessed(document)
        except ValueError:
            continue
        assert seen is None or (isinstance(seen.text, str) and seen.text)


@given(st.text())
def test_an_id_that_is_not_webexs_is_itself(id_: str) -> None:
    assert bare_id(id_) == id_ or base64.b64decode(id_ + "===", altchars=b"-_").startswith(b"ciscospark://")
