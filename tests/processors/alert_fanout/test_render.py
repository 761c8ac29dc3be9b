"""An alert in plain words."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from processors.alert_fanout.alerts import Alert, Rejected, alerts_in
from processors.alert_fanout.channels.slack import message as slack_message
from processors.alert_fanout.channels.teams import adaptive_card
from processors.alert_fanout.incidents import Book, take
from processors.alert_fanout.notice import Notice
from processors.alert_fanout.render import notice
from processors.alert_fanout.settings import City, FanoutSettings, RuleMeaning
from processors.alert_fanout.steps import Step
from processors.alert_fanout.templates import payload
from processors.contracts.issues import ISSUES, OF_CODE, Issue

SETTINGS = FanoutSettings(
    rules={"device-offline": RuleMeaning("A room device has lost its connection.", "docs/runbooks/device-offline.md")},
    cities={
        "lyon": City("Lyon", "Europe/Paris", ()),
        "toronto": City("Toronto", "America/Toronto", ()),
        "*": City("Unassigned", "UTC", ()),
    },
)


def alert(row: dict[str, Any]) -> Alert:
    (read,) = alerts_in(json.dumps(row).encode())
    assert isinstance(read, Alert)
    return read


def rendered(alert: Alert) -> Notice:
    """What is sent about an alert; for an end, what is sent after its beginning was."""
    book, city = Book(), SETTINGS.cities[SETTINGS.slug_of(alert.city_id)]
    started = replace(alert, state="fired", value=1.0)
    take(book, [alert] if alert.state == "fired" else [started, alert], city, SETTINGS.rules, datetime.now(UTC))
    return notice(book, Step(alert.alert_id, "inbox", "open" if alert.state == "fired" else "close"), SETTINGS, city)


def test_a_fired_alert_says_what_where_since_when_how_much_and_what_to_do(make_row: Callable[..., dict[str, Any]]) -> None:
    message = rendered(alert(make_row()))
    assert message.title == "Device offline: Room Bar 1, Lyon"
    assert message.text.splitlines() == [
        "A room device has lost its connection.",
        "What: device Room Bar 1",
        "Where: Room 1, Lyon Part-Dieu, Lyon",
        "Since: Tue 24 Nov 2026 10:30 (Europe/Paris), 5 min before this alert",
        "Severity: Major (2 of 4, 1 is worst)",
        "Runbook: docs/runbooks/device-offline.md",
    ]


def test_a_resolved_alert_says_how_long_it_lasted_in_local_time(make_row: Callable[..., dict[str, Any]]) -> None:
    message = rendered(alert(make_row(state="resolved", cityId="toronto")))
    assert message.title == "Resolved: device offline, Room Bar 1, Toronto"
    assert "Lasted: 1 h 15 min, from Tue 24 Nov 2026 04:30 to Tue 24 Nov 2026 05:45 (America/Toronto)" in message.text


def test_the_name_of_a_city_is_not_said_twice(make_row: Callable[..., dict[str, Any]]) -> None:
    of_a_city = {"ruleId": "city-silent", "entity": "city", "entityId": "lyon", "name": "Lyon"}
    assert rendered(alert(make_row(**of_a_city))).title == "City silent: Lyon"
    assert rendered(alert(make_row(state="resolved", **of_a_city))).title == "Resolved: city silent, Lyon"


@pytest.mark.parametrize(
    ("entity", "called"), [("device", "device"), ("workspace", "room"), ("location", "site"), ("city", "city")]
)
def test_what_it_is_about_has_the_word_that_people_use(make_row: Callable[..., dict[str, Any]], entity: str, called: str) -> None:
    assert f"What: {called} Room Bar 1" in rendered(alert(make_row(entity=entity))).text.splitlines()


def test_an_unknown_city_is_rendered_with_the_default_and_an_unknown_rule_by_its_id(
    make_row: Callable[..., dict[str, Any]],
) -> None:
    message = rendered(alert(make_row(cityId="atlantis", ruleId="new-rule")))
    assert message.title == "New rule: Room Bar 1, Unassigned"
    assert "(UTC)" in message.text
    assert "new-rule" in message.text.splitlines()[0]


def test_what_is_not_known_is_not_said(make_row: Callable[..., dict[str, Any]]) -> None:
    message = rendered(alert(make_row(name=None, locationName=None, workspaceName=None)))
    assert "Where: Lyon\n" in message.text
    assert "device device-1" in message.text
    assert "None" not in message.text


@pytest.mark.parametrize(
    ("signal", "value", "threshold", "words"),
    [
        ("offlineRatio", 1.0, 0.5, "100 % of devices down, threshold 50 %"),
        ("occupancy", 1.125, 1.0, "112.5 % of its seats taken, threshold 100 %"),
        ("temperature", 29.5, 28.0, "temperature 29.5 °C, threshold 28 °C"),
        ("callLoss", 8.0, 5.0, "8 % of packets lost, threshold 5 %"),
        ("drops", 4.0, 4.0, "went down 4 times in an hour, threshold 4 times"),
        ("criticalIssues", 1.0, 1.0, "1 critical issue, threshold 1"),
        ("somethingNew", 2.5, 2.0, "somethingNew 2.5, threshold 2"),
    ],
)
def test_what_was_measured_is_said_in_a_sentence(
    make_row: Callable[..., dict[str, Any]], signal: str, value: float, threshold: float, words: str
) -> None:
    message = rendered(alert(make_row(signal=signal, value=value, threshold=threshold)))
    assert f"Measured: {words}" in message.text.splitlines()


def test_a_signal_that_is_yes_or_no_is_said_by_the_meaning_alone(make_row: Callable[..., dict[str, Any]]) -> None:
    assert "Measured" not in rendered(alert(make_row())).text


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(0, "less than a minute"), (59, "59 min"), (60, "1 h"), (61, "1 h 1 min"), (1500, "1 d 1 h"), (2880, "2 d")],
)
def test_durations_in_words(make_row: Callable[..., dict[str, Any]], minutes: int, words: str) -> None:
    hours, rest = divmod(9 * 60 + 30 + minutes, 60)
    observed = f"2026-11-{24 + hours // 24}T{hours % 24:02}:{rest:02}:00Z"
    assert f"Lasted: {words}, " in rendered(alert(make_row(state="resolved", observedAt=observed))).text


class TestReadingRows:
    def test_a_body_may_hold_several_lines(
        self, make_row: Callable[..., dict[str, Any]], make_body: Callable[..., bytes]
    ) -> None:
        read = list(alerts_in(make_body(make_row(1), make_row(2)) + b"\r\n\n"))
        assert [one.entity_id for one in read if isinstance(one, Alert)] == ["device-1", "device-2"]

    @pytest.mark.parametrize(
        "line",
        [
            b"<html>",
            b"\xff\xfe",
            b"[]",
            b"null",
            b"{}",
            b"[" * 100_000,
            b'{"alertId": "\\ud800"}',
        ],
    )
    def test_rubbish_is_rejected_with_a_reason(self, line: bytes) -> None:
        (bad,) = alerts_in(line)
        assert isinstance(bad, Rejected)
        assert bad.reason

    @pytest.mark.parametrize(
        "fields",
        [
            *({"severity": 0}, {"state": "open"}, {"value": "1"}, {"startedAt": "yesterday"}, {"cityId": 7}, {"name": "\ud800"}),
            *({"value": float("nan")}, {"threshold": float("-inf")}, {"details": {"room": {"issues": [float("inf")]}}}),
        ],
    )
    def test_a_row_that_breaks_the_contract_is_rejected(
        self, make_row: Callable[..., dict[str, Any]], fields: dict[str, Any]
    ) -> None:
        (bad,) = alerts_in(json.dumps(make_row(**fields)).encode())
        assert isinstance(bad, Rejected)


class TestWhatIsFoldedIn:
    def test_names_are_few_and_the_rest_is_counted(
        self, make_row: Callable[..., dict[str, Any]], make_outage: Callable[..., dict[str, Any]]
    ) -> None:
        rules = {"device-offline": RuleMeaning("Lost.", "docs/runbooks/device-offline.md", ("site-outage",))}
        settings = replace(SETTINGS, rules=rules)
        book, city = Book(), settings.cities["lyon"]
        take(book, [alert(make_outage()), *(alert(make_row(n)) for n in range(20))], city, rules, datetime.now(UTC))
        (id_,) = book.incidents
        message = notice(book, Step(id_, "inbox", "open"), settings, city)
        assert message.title == "Site outage: Lyon Part-Dieu (98 % of devices down), Lyon"
        assert "Affected: 20 devices: Room Bar 0, Room Bar 1, " in message.text and "Room Bar 7 and 12 more" in message.text


class TestWhatIsBroken:
    def room(
        self, make_row: Callable[..., dict[str, Any]], text: str | None, signal: str = "criticalIssues", **row: object
    ) -> list[str]:
        return rendered(alert(make_row(signal=signal, text=text, **row))).text.splitlines()

    @pytest.mark.parametrize("issue", [issue for issue in ISSUES if issue.grade == "critical"], ids=lambda issue: issue.code)
    def test_the_next_step_comes_first_and_the_fault_has_a_name(
        self, make_row: Callable[..., dict[str, Any]], issue: Issue
    ) -> None:
        lines = self.room(make_row, issue.code, product="Cisco Room Bar Pro")
        assert lines[0] == f"Do: {issue.step}"
        assert f"Fault: {issue.name}" in lines
        assert "What: device Room Bar 1 (Cisco Room Bar Pro)" in lines

    def test_the_worst_issue_says_what_to_do_first(self, make_row: Callable[..., dict[str, Any]]) -> None:
        lines = self.room(make_row, "hdmicecmodenosound, ntpstatus, touchpanelconnection", signal="issues")
        assert lines[:2] == [f"Do: {OF_CODE['touchpanelconnection'].step}", f"Do: {OF_CODE['ntpstatus'].step}"]
        assert "Fault: HDMI-CEC may mute the sound, clock not in sync, touch panel lost" in lines

    def test_a_code_that_nobody_knows_is_text_as_webex_gives_it(self, make_row: Callable[..., dict[str, Any]]) -> None:
        lines = self.room(make_row, "brandnew\n[x](https://evil), missingdisplay")
        assert "Fault: brandnew [x](https://evil), display missing" in lines

    @pytest.mark.parametrize(
        ("signal", "text"), [("offline", "planned maintenance"), ("temperature", "x"), ("criticalIssues", None)]
    )
    def test_what_names_no_issue_has_none(self, make_row: Callable[..., dict[str, Any]], signal: str, text: str | None) -> None:
        lines = self.room(make_row, text, signal=signal)
        assert lines[0] == "A room device has lost its connection." and not [line for line in lines if line.startswith("Fault")]


def test_every_issue_of_consequence_has_a_step_and_every_one_a_name() -> None:
    assert [issue.code for issue in ISSUES if not issue.name or (issue.grade != "info" and not issue.step)] == []
    assert len(OF_CODE) == len(ISSUES)


@pytest.mark.parametrize("runbook", ["docs/runbooks/x.md", "https://wiki.example.com/runbooks/x.md"])
def test_a_runbook_with_an_address_is_a_link_that_opens(make_row: Callable[..., dict[str, Any]], runbook: str) -> None:
    message = replace(rendered(alert(make_row())), runbook=runbook)
    links = [runbook] if runbook.startswith("https") else []
    assert [action["url"] for action in adaptive_card(message).get("actions", [])] == links
    rich = [block for block in slack_message(message)["blocks"] if block["type"] == "rich_text"]
    assert [block["elements"][0]["elements"][0]["url"] for block in rich] == links
    assert [link["href"] for link in payload("pagerduty", message, "key").get("links", [])] == links
