"""Every message of every rule, state and severity, against what its receiver says that it takes.

Cards: Microsoft's `adaptivecards`. Webex: the requests of wxc-sdk, an independent client. Slack: the blocks of its SDK.
PagerDuty and ServiceNow: schemas of ours with the facts of their documentation (schemas/).
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from slack_sdk.models.blocks import Block

from processors.alert_fanout.channels.slack import message as slack_message
from processors.alert_fanout.channels.teams import TeamsChannel, adaptive_card
from processors.alert_fanout.channels.webex import WebexChannel, WebexMessages, text_of
from processors.alert_fanout.notice import Notice
from processors.alert_fanout.templates import payload
from tests.processors.alert_fanout.card_judge import MEANT, card_judge
from tests.processors.alert_fanout.messages import RULES, Names, notices

ROUTING_KEY = "0123456789abcdef0123456789abcdef"
LONGEST = [text * 200 for text in ("😀", "${", "{{A", '"', "\\", "é ")]
"""Names that take the most bytes: in UTF-8, as runs of text, as JSON."""


@cache
def every_notice() -> dict[str, Notice]:
    """Each rule in each severity, said in every way."""
    return {
        f"{rule.id}, severity {severity}, {kind}": notice
        for rule in RULES.values()
        for severity in (1, 2, 3, 4)
        for kind, notice in notices(Names(), rule, severity).items()
    }


def validator(name: str) -> Draft202012Validator:
    path = Path(__file__).parent / "schemas" / f"{name}.schema.json"
    return Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))


def without_absent(body: dict[str, Any]) -> dict[str, Any]:
    """A request's body without what is null: wxc-sdk names every field that it knows."""
    return {name: value for name, value in body.items() if value is not None}


def test_microsofts_cards_find_no_fault_in_any_card() -> None:
    messages = every_notice()
    with card_judge() as judge:
        found = judge(list(map(adaptive_card, messages.values())))
    for (where, notice), judged in zip(messages.items(), found, strict=True):
        assert (judged.faults, judged.elements, judged.expanded) == ((), MEANT, False), where
        assert judged.lines == (notice.title, *map(str, notice.lines)), where


def test_what_stands_for_a_card_that_cant_be_shown_has_no_name_in_it() -> None:
    """It may be shown as Markdown, in which a name would have to be escaped."""
    card = adaptive_card(notices(Names("entity", "workspace", "location", "city", "folded"))["open, with others"])
    assert card["fallbackText"] == "RoomPulse: device-offline, fired. This Teams is too old for its card."


@pytest.mark.parametrize("name", LONGEST, ids=lambda name: name[:2])
def test_the_longest_names_stay_within_every_limit(name: str, receiver: Any) -> None:
    url = {"url": receiver.url}.__getitem__
    for notice in notices(Names(*[name] * 5), folded=[f"{number} {name}" for number in range(500)]).values():
        TeamsChannel(url_secret="url").open(url).send(notice)
        assert len(text_of(notice).encode()) <= 7439
        assert text_of(notice).endswith(str(notice.lines[-1])), "nothing is cut off"
        for template, schema in (("pagerduty", "pagerduty-events-v2"), ("servicenow", "servicenow-em-jsonv2")):
            content = payload(template, notice, ROUTING_KEY)
            assert content is None or not list(validator(schema).iter_errors(content))
    assert max(len(request.body) for request in receiver.requests) < 28_000


class TestWebex:
    def test_it_asks_what_an_independent_client_asks(self, receiver: Any, answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """wxc-sdk, told to send the same plain text, makes the same requests; neither sends Markdown."""
        from wxc_sdk import WebexSimpleApi  # it loads for more than a second, which is this test's business alone
        from wxc_sdk.messages import Message
        from wxc_sdk.rest import RestSession

        monkeypatch.setenv("WEBEX_MESSAGES_API", receiver.url)
        monkeypatch.setattr(RestSession, "BASE", receiver.url)
        receiver.always = answer(200, {"Content-Type": "application/json"}, {"id": "MESSAGE", "roomId": "ROOM"})
        channel = WebexMessages(WebexChannel(to="ROOM", secret="bot"), {"bot": "token"}.__getitem__)
        messages = notices(Names())
        with WebexSimpleApi(tokens="token") as sdk:
            for kind, ref in (("open", None), ("update", "MESSAGE|ROOM"), ("merge", "MESSAGE|ROOM"), ("close", "MESSAGE|ROOM")):
                text = text_of(messages[kind])
                channel.send(replace(messages[kind], ref=ref))
                if kind == "update":
                    sdk.messages.edit(Message(id="MESSAGE", room_id="ROOM", text=text))
                else:
                    parent = "MESSAGE" if ref else None
                    sdk.messages.create(room_id="ROOM", text=text, parent_id=parent)  # type: ignore[arg-type]  # its default is None
        asked = [(request.method, request.path, without_absent(request.json)) for request in receiver.requests]
        ours, theirs = asked[::2], asked[1::2]
        assert [method for method, *_ in ours] == ["POST", "PUT", "POST", "POST"]
        assert ours == theirs


class TestSlack:
    def test_its_sdk_makes_the_same_blocks_and_finds_no_fault_in_them(self) -> None:
        for where, notice in every_notice().items():
            self.judged(notice, where)

    @pytest.mark.parametrize("name", LONGEST, ids=lambda name: name[:2])
    def test_the_longest_names_stay_within_its_limits(self, name: str) -> None:
        for kind, notice in notices(Names(*[name] * 5), folded=[f"{number} {name}" for number in range(500)]).items():
            self.judged(notice, kind)

    def judged(self, notice: Notice, where: str) -> None:
        blocks = slack_message(notice)["blocks"]
        assert [block.to_dict() for block in Block.parse_all(blocks)] == blocks, where


class TestPagerDuty:
    def test_every_event_is_one_its_api_takes(self) -> None:
        schema = validator("pagerduty-events-v2")
        events = {where: payload("pagerduty", notice, ROUTING_KEY) for where, notice in every_notice().items()}
        assert {where: [fault.message for fault in schema.iter_errors(event)] for where, event in events.items() if event} == {
            where: [] for where, event in events.items() if event
        }
        assert max(len(json.dumps(event)) for event in events.values()) < 512_000

    def test_its_severity_and_action_are_ours_in_its_words(self) -> None:
        messages = [payload("pagerduty", notices(Names(), severity=severity)["open"], ROUTING_KEY) for severity in (1, 2, 3, 4)]
        assert [event["payload"]["severity"] for event in messages] == ["critical", "error", "warning", "info"]
        actions = {kind: payload("pagerduty", notice, ROUTING_KEY) for kind, notice in notices(Names()).items()}
        assert {kind for kind, event in actions.items() if event and event["event_action"] == "resolve"} == {
            kind for kind, notice in notices(Names()).items() if notice.state == "resolved"
        }


class TestServiceNow:
    def test_every_event_is_one_event_management_takes(self) -> None:
        schema = validator("servicenow-em-jsonv2")
        for where, notice in every_notice().items():
            events = payload("servicenow", notice, None)
            assert events is None or not [fault.message for fault in schema.iter_errors(events)], where

    def test_what_it_has_no_field_for_is_the_text_of_a_json_object_of_texts(self) -> None:
        (event,) = payload("servicenow", notices(Names(), severity=3)["open, with others"], None)["records"]
        assert json.loads(event["additional_info"]) == {
            "runbook": "docs/runbooks/device-offline.md",
            "folded": "3",
            "severity": "3",
        }

    def test_times_are_in_utc_without_a_zone(self) -> None:
        messages = notices(Names())
        times = [payload("servicenow", messages[kind], None)["records"][0]["time_of_event"] for kind in ("open", "close")]
        assert times == ["2026-11-24 09:35:00", "2026-11-24 10:45:00"]

    def test_an_end_clears_what_its_beginning_raised(self) -> None:
        messages = notices(Names())
        kinds = ("open", "close", "merge")
        raised, cleared, merged = (payload("servicenow", messages[kind], None)["records"][0] for kind in kinds)
        assert (raised["severity"], cleared["severity"], merged["severity"]) == ("2", "0", "0")
        assert raised["message_key"] == cleared["message_key"] == merged["message_key"]


def _with_ref(notice: Notice, ref: str | None) -> Notice:
    from dataclasses import replace

    return replace(notice, ref=ref)
