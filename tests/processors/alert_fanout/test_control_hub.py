"""Control Hub's alerts as a second witness: whose signature counts, what an incident shows, and what only they have seen."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.alert_fanout import inbound
from processors.alert_fanout.acts import Act
from processors.alert_fanout.alerts import TEXT_LIMIT
from processors.alert_fanout.book_text import from_text, to_text
from processors.alert_fanout.control_hub import bare_id, is_signed, witnessed
from processors.alert_fanout.incidents import close
from processors.alert_fanout.secrets import SecretMissing
from processors.alert_fanout.settings import City, FanoutSettings
from processors.alert_fanout.state import SqliteTexts, State
from tests.processors.alert_fanout.city_life import RULES, Lyon

SECRETS = {"hub": "kept by Control Hub", "hub-oslo": "another one"}


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


class Estate:
    """Lyon, where the device is down, and Oslo, whose organisation has another secret."""

    def __init__(self, lyon: Lyon, state: State) -> None:
        self.lyon, self.state = lyon, state
        lyon.happens(lyon.alert(entityId=webex_id("6f2a", "eu"), entity="device"))
        lyon.after(seconds=3)
        (self.incident,) = lyon.book.incidents.values()
        self.write()
        cities = {"lyon": City("Lyon", "Europe/Paris", (), control_hub_secret="hub")}
        cities["oslo"] = City("Oslo", "Europe/Oslo", (), control_hub_secret="hub-oslo")
        self.settings = FanoutSettings(RULES, cities)

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
        return list(self.state.acts("lyon").all)


@pytest.fixture
def estate(make_row: Any, tmp_path: Path) -> Iterator[Estate]:
    state = State(SqliteTexts(tmp_path / "state.sqlite"))
    yield Estate(Lyon(make_row, ()), state)
    state.close()


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


@pytest.mark.parametrize("over", [False, True])
def test_what_polling_does_not_see_is_said_and_not_swallowed(
    estate: Estate, caplog: pytest.LogCaptureFixture, over: bool
) -> None:
    if over:
        close(estate.lyon.book.incidents[estate.incident.id], estate.lyon.now)
        estate.write()
    other = DEVICE if over else webex_id("other")
    with caplog.at_level(logging.WARNING):
        answer = estate.hears(alert_of(other))
    assert (answer.status, estate.acts) == (200, []) and "polling has not seen it" in answer.text
    (record,) = caplog.records
    assert record.__dict__["ids"] == {"device": other, "alert": "n-1", "said": "Control Hub reports: Bar is offline"}


def test_an_alert_about_no_device_changes_nothing(estate: Estate) -> None:
    assert (estate.hears(alert_of(None)).text, estate.acts) == ("Nothing to do for that.", [])


def test_an_organisation_speaks_of_its_own_cities_alone(estate: Estate) -> None:
    assert estate.hears(alert_of(), secret="hub-oslo").status == 200
    assert estate.acts == []


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
    estate.settings = FanoutSettings(RULES, {"lyon": City("Lyon", "Europe/Paris", ())})
    answer = estate.hears(alert_of())
    assert answer.status == 404 and "controlHubSecret of a city" in answer.text


def test_a_secret_that_cannot_be_read_means_that_it_is_sent_again(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbound, "text", lambda secrets, name: (_ for _ in ()).throw(SecretMissing(name)))
    assert estate.hears(alert_of()).status == 503


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
