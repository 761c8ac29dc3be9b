"""The channels, each against a service over HTTP: what it gets, and what becomes of every answer it can give."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from processors.alert_fanout import http_call
from processors.alert_fanout.alerts import Alert, alerts_in
from processors.alert_fanout.channel_kind import Channel
from processors.alert_fanout.channels.teams import TeamsChannel, adaptive_card
from processors.alert_fanout.channels.webex import WebexChannel, WebexMessages, text_of
from processors.alert_fanout.channels.webhook import Webhook, WebhookChannel
from processors.alert_fanout.delivery import DeliveryError
from processors.alert_fanout.notice import Line, Notice
from processors.alert_fanout.posting import Poster
from processors.alert_fanout.secrets import SecretMissing, secret_from
from tests.processors.alert_fanout.conftest import Answer, Receiver
from tests.support.fake_vault import fake_vault

LINES = (
    Line("A site is unreachable."),
    Line("location Lyon Part-Dieu", "What"),
    Line("Lyon", "Where"),
    Line("Room Bar 1 and 499 more", "Affected"),
)


NO_SECRETS: dict[str, str] = {}
MakeNotice = Callable[..., Notice]


@pytest.fixture
def make_notice(make_outage: Callable[..., dict[str, Any]], make_body: Callable[..., bytes]) -> MakeNotice:
    def made(action: str = "open", ref: str | None = None, **fields: Any) -> Notice:
        lead, end = alerts_in(make_body(make_outage(**fields), make_outage("resolved", **fields)))
        assert isinstance(lead, Alert) and isinstance(end, Alert)
        return Notice(
            action=action,
            key=f"site-outage|location-1|{action}",
            incident="site-outage|location-1",
            title="Site outage: Lyon Part-Dieu, Lyon",
            lines=LINES,
            lead=lead,
            end=end if action == "close" else None,
            city="Lyon",
            runbook="docs/runbooks/site-outage.md",
            devices=tuple(f"Room Bar {number}" for number in range(500)),
            held_back=0,
            ref=ref,
        )

    return made


@pytest.fixture
def webex(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> WebexMessages:
    monkeypatch.setenv("WEBEX_MESSAGES_API", receiver.url)
    return WebexMessages(WebexChannel(to="ROOM", secret="bot"), {"bot": "bot-token"}.__getitem__)


class TestWebex:
    def test_a_beginning_is_a_message_an_update_an_edit_and_the_end_a_reply(
        self, webex: WebexMessages, receiver: Receiver, answer: type[Answer], make_notice: MakeNotice
    ) -> None:
        receiver.always = answer(body={"id": "MESSAGE", "roomId": "ROOM"})
        ref = webex.send(make_notice())
        assert ref == "MESSAGE|ROOM"
        assert webex.send(make_notice("update", ref)) is None
        assert webex.send(make_notice("close", ref)) is None
        opened, updated, closed = receiver.requests
        assert (opened.method, opened.path.rsplit("/", 1)[1], opened.json["roomId"]) == ("POST", "messages", "ROOM")
        assert opened.headers["Authorization"] == "Bearer bot-token"
        assert (updated.method, updated.path.rsplit("/", 1)[1], updated.json["roomId"]) == ("PUT", "MESSAGE", "ROOM")
        assert (closed.method, closed.json["parentId"]) == ("POST", "MESSAGE")

    def test_a_person_is_notified_by_address(
        self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, make_notice: MakeNotice
    ) -> None:
        monkeypatch.setenv("WEBEX_MESSAGES_API", receiver.url)
        WebexMessages(WebexChannel(to="av@example.com", secret="bot"), {"bot": "t"}.__getitem__).send(make_notice())
        assert receiver.requests[0].json["toPersonEmail"] == "av@example.com"

    def test_it_is_plain_text_a_line_each(self, webex: WebexMessages, receiver: Receiver, make_notice: MakeNotice) -> None:
        webex.send(make_notice())
        assert receiver.requests[0].json == {
            "roomId": "ROOM",
            "text": "🔴 Site outage: Lyon Part-Dieu, Lyon\n\nA site is unreachable.\nWhat: location Lyon Part-Dieu\nWhere: Lyon\n"
            "Affected: Room Bar 1 and 499 more",
        }

    def test_its_mark_says_how_bad_it_is_and_an_edit_keeps_it(self, make_notice: MakeNotice) -> None:
        marks = [text_of(make_notice("open", severity=severity))[0] for severity in (1, 2, 3, 4)]
        assert marks == ["🔴", "🟠", "🟡", "🔵"]
        assert text_of(make_notice("update", severity=1))[0] == "🔴"
        assert text_of(make_notice(entityId="drill-1"))[0] == "🧪"

    def test_what_is_over_is_distinguished_from_what_became_part_of_something_else(self, make_notice: MakeNotice) -> None:
        assert text_of(make_notice("close"))[0] == "✅"
        assert text_of(replace(make_notice("merge"), merged_into="site-outage|location-1"))[0] == "↪"

    def test_a_message_is_cut_to_what_webex_takes(
        self, webex: WebexMessages, receiver: Receiver, make_notice: MakeNotice
    ) -> None:
        webex.send(replace(make_notice(), lines=(Line("é" * 9000),)))
        assert 7300 < len(receiver.requests[0].json["text"].encode()) <= 7439


class TestTeams:
    def workflow(self, receiver: Receiver) -> Poster:
        return TeamsChannel(url_secret="teams-lyon").open({"teams-lyon": receiver.url}.__getitem__)

    def test_a_card_in_the_shape_a_workflow_takes(
        self, receiver: Receiver, answer: type[Answer], make_notice: MakeNotice
    ) -> None:
        receiver.always = answer(202)
        self.workflow(receiver).send(make_notice())
        (request,) = receiver.requests
        (attachment,) = request.json["attachments"]
        card = attachment["content"]
        assert (request.json["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
        assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
        assert len(request.body) < 28_000

    def test_colour_says_how_bad_it_is_and_that_it_is_a_drill(self, receiver: Receiver, make_notice: MakeNotice) -> None:
        notices = [*(make_notice(severity=severity) for severity in (1, 2, 3, 4)), make_notice("close")]
        notices += [make_notice(entityId="drill-1"), replace(make_notice("merge"), merged_into="site-outage|location-1")]
        styles = [adaptive_card(notice)["body"][0]["style"] for notice in notices]
        assert styles == ["attention", "warning", "emphasis", "default", "good", "accent", "emphasis"]

    def test_its_address_is_in_no_error(self, receiver: Receiver, make_notice: MakeNotice) -> None:
        receiver.always = 400
        with pytest.raises(DeliveryError) as caught:
            self.workflow(receiver).send(make_notice())
        assert "secret-token" not in str(caught.value) and "teams-lyon" in str(caught.value)


class TestWebhook:
    def test_a_signature_can_be_verified_from_the_documented_parts(self, receiver: Receiver, make_notice: MakeNotice) -> None:
        Webhook(WebhookChannel(url=receiver.url, secret="key"), {"key": "signing-key"}.__getitem__).send(make_notice())
        (request,) = receiver.requests
        signed = request.headers["RoomPulse-Timestamp"].encode() + b"." + request.body
        wanted = hmac.new(b"signing-key", signed, hashlib.sha256).hexdigest()
        assert request.headers["RoomPulse-Signature"] == f"v1={wanted}"

    def test_without_a_secret_it_is_not_signed(self, receiver: Receiver, make_notice: MakeNotice) -> None:
        Webhook(WebhookChannel(url=receiver.url), NO_SECRETS.__getitem__).send(make_notice())
        assert "RoomPulse-Signature" not in receiver.requests[0].headers

    def test_an_address_may_be_a_secret(self, receiver: Receiver, make_notice: MakeNotice) -> None:
        Webhook(WebhookChannel(url_secret="hook"), {"hook": receiver.url}.__getitem__).send(make_notice())
        assert len(receiver.requests) == 1


class TestPagerDuty:
    def hook(self, receiver: Receiver) -> Webhook:
        channel = WebhookChannel(url=receiver.url, template="pagerduty", secret="key")
        return Webhook(channel, {"key": "routing-key"}.__getitem__)

    def test_events_api_v2(self, receiver: Receiver, make_notice: MakeNotice) -> None:
        self.hook(receiver).send(make_notice())
        event = receiver.requests[0].json
        assert {name: event[name] for name in ("routing_key", "event_action", "dedup_key")} == {
            "routing_key": "routing-key",
            "event_action": "trigger",
            "dedup_key": "site-outage|location-1",
        }
        assert event["payload"].items() >= {"severity": "critical", "source": "Lyon Part-Dieu", "class": "site-outage"}.items()

    @pytest.mark.parametrize("action", ["close", "merge"])
    def test_an_end_resolves_the_same_key(self, receiver: Receiver, make_notice: MakeNotice, action: str) -> None:
        self.hook(receiver).send(make_notice(action))
        assert receiver.requests[0].json == {
            "routing_key": "routing-key",
            "event_action": "resolve",
            "dedup_key": "site-outage|location-1",
        }

    def test_a_long_key_is_cut_to_what_it_takes_and_stays_the_same(self, receiver: Receiver, make_notice: MakeNotice) -> None:
        for action in ("open", "close"):
            self.hook(receiver).send(replace(make_notice(action), incident="x" * 400))
        opened, closed = (request.json["dedup_key"] for request in receiver.requests)
        assert opened == closed and len(opened) <= 255


class TestServiceNow:
    def test_an_event_of_event_management_with_basic_authorization(self, receiver: Receiver, make_notice: MakeNotice) -> None:
        channel = WebhookChannel(url=receiver.url, template="servicenow", secret="user")
        Webhook(channel, {"user": "roompulse:password"}.__getitem__).send(make_notice())
        (request,) = receiver.requests
        (event,) = request.json["records"]
        assert request.path.endswith("/api/global/em/jsonv2")
        assert base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")) == b"roompulse:password"
        wanted = {"source": "RoomPulse", "severity": "1", "message_key": "site-outage|location-1", "resolution_state": "New"}
        assert event.items() >= wanted.items()

    def test_the_end_clears_it(self, receiver: Receiver, make_notice: MakeNotice) -> None:
        channel = WebhookChannel(url=receiver.url, template="servicenow", secret="user")
        Webhook(channel, {"user": "a:b"}.__getitem__).send(make_notice("close"))
        (event,) = receiver.requests[0].json["records"]
        assert (event["severity"], event["resolution_state"], event["message_key"]) == ("0", "Closing", "site-outage|location-1")


class TestAnswers:
    @pytest.fixture(params=["webex", "teams", "webhook", "pagerduty", "servicenow"])
    def channel(self, request: pytest.FixtureRequest, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Channel:
        monkeypatch.setenv("WEBEX_MESSAGES_API", receiver.url)
        secrets = {"address": receiver.url, "key": "a:b"}.__getitem__
        if request.param == "webex":
            return WebexMessages(WebexChannel(to="ROOM", secret="key"), secrets)
        if request.param == "teams":
            return TeamsChannel(url_secret="address").open(secrets)
        template = request.param.replace("webhook", "roompulse")
        return Webhook(WebhookChannel(url=receiver.url, template=template, secret="key"), secrets)

    @pytest.mark.parametrize(
        ("status", "refused"), [(400, True), (404, True), (410, True), (429, False), (500, False), (503, False)]
    )
    def test_a_refusal_is_distinguished_from_what_time_fixes(
        self, channel: Channel, receiver: Receiver, make_notice: MakeNotice, status: int, refused: bool
    ) -> None:
        receiver.always = status
        with pytest.raises(DeliveryError, match=str(status)) as caught:
            channel.send(make_notice())
        assert caught.value.refused is refused

    def test_it_waits_as_long_as_it_is_asked_to(
        self, channel: Channel, receiver: Receiver, answer: type[Answer], make_notice: MakeNotice
    ) -> None:
        in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
        asked = {"7": (7, 7), in_a_minute: (50, 61), "86400": (900, 900), "soon": None}
        for header, within in asked.items():
            receiver.always = answer(429, {"Retry-After": header})
            with pytest.raises(DeliveryError) as caught:
                channel.send(make_notice())
            pause = caught.value.pause
            assert pause is None if within is None else pause is not None and within[0] <= pause <= within[1]

    def test_silence_is_no_answer(
        self, channel: Channel, receiver: Receiver, answer: type[Answer], monkeypatch: pytest.MonkeyPatch, make_notice: MakeNotice
    ) -> None:
        monkeypatch.setattr(http_call, "ANSWER_SECONDS", 0.2)
        receiver.always = answer(silent=True)
        with pytest.raises(DeliveryError, match="was not reached") as caught:
            channel.send(make_notice())
        assert not caught.value.refused and "secret-token" not in str(caught.value)

    def test_a_redirect_is_not_followed(
        self, channel: Channel, receiver: Receiver, answer: type[Answer], make_notice: MakeNotice
    ) -> None:
        """It would carry the secret to wherever it points."""
        receiver.always = answer(302, {"Location": "http://127.0.0.1:1/a-secret"})
        with pytest.raises(DeliveryError, match=r"302\. Not the service but something on the way to it leads to 127\.0\.0\.1, "):
            channel.send(make_notice())


class TestSecrets:
    def test_from_a_variable_or_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "teams-lyon").write_text("from the file\n")
        environment = {"SECRETS_FOLDER": str(tmp_path), "SECRET_WEBEX_BOT": "from the variable"}
        value = secret_from(environment)
        assert (value("webex-bot"), value("teams-lyon")) == ("from the variable", "from the file")

    def test_or_from_the_vault_which_is_asked_anew_each_time(self) -> None:
        with fake_vault() as vault:
            vault.secrets["teams-lyon"] = ["not set"]
            value = secret_from({"SECRETS_VAULT_URI": vault.uri})
            with pytest.raises(SecretMissing, match="az keyvault secret set"):
                value("teams-lyon")
            vault.secrets["teams-lyon"].append("the address\n")
            assert value("teams-lyon") == "the address"
            vault.refuse = {"GET": 403}
            with pytest.raises(SecretMissing, match=r"GET got 403\. The fan-out's identity needs the role"):
                value("teams-lyon")

    def test_a_vault_that_is_not_there_is_named_and_gives_nothing_away(self) -> None:
        with pytest.raises(SecretMissing, match=r"secret teams-lyon of http://127\.0\.0\.1:9 can't be reached"):
            secret_from({"SECRETS_VAULT_URI": "http://127.0.0.1:9"})("teams-lyon")

    @pytest.mark.parametrize("unset", ["", "not set"])
    def test_one_without_a_value_says_where_to_put_it(self, unset: str) -> None:
        with pytest.raises(SecretMissing, match="az keyvault secret set"):
            secret_from({"SECRET_TEAMS_LYON": unset})("teams-lyon")


def test_no_template_mentions_a_field_there_is_not(receiver: Receiver, make_notice: MakeNotice) -> None:
    for template in ("roompulse", "pagerduty", "servicenow"):
        for action in ("open", "update", "merge", "close"):
            channel = WebhookChannel(url=receiver.url, template=template, secret="key")
            Webhook(channel, {"key": "k"}.__getitem__).send(make_notice(action))
    assert not any(re.search(r"\{[a-zA-Z]+\}", text) for request in receiver.requests for text in _texts(request.json))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    else:
        yield str(value)
