"""An alert in plain words."""

from __future__ import annotations

import json

import pytest

from processors.alert_fanout.alerts import Alert, Rejected, alerts_in
from processors.alert_fanout.render import rendered
from processors.alert_fanout.settings import City, FanoutSettings, RuleMeaning

SETTINGS = FanoutSettings(
    rules={"device-offline": RuleMeaning("A room device has lost its connection.", "docs/runbooks/device-offline.md")},
    cities={
        "lyon": City("Lyon", "Europe/Paris", ()),
        "toronto": City("Toronto", "America/Toronto", ()),
        "*": City("Unassigned", "UTC", ()),
    },
)


def alert(row) -> Alert:
    (read,) = alerts_in(json.dumps(row).encode())
    assert isinstance(read, Alert)
    return read


def test_a_fired_alert_says_what_where_since_when_how_much_and_what_to_do(make_row) -> None:
    message = rendered(alert(make_row()), SETTINGS)
    assert message.title == "Device offline: Room Bar 1, Lyon"
    assert message.text.splitlines() == [
        "A room device has lost its connection.",
        "What: device Room Bar 1",
        "Where: Room 1, Lyon Part-Dieu, Lyon",
        "Severity: 2 (1 is worst)",
        "Since: Tue 24 Nov 2026 10:30 (Europe/Paris), 5 min when it fired",
        "Measured: offline (1 = yes) 1, threshold 1",
        "Runbook: docs/runbooks/device-offline.md",
    ]


def test_a_resolved_alert_says_how_long_it_lasted_in_local_time(make_row) -> None:
    message = rendered(alert(make_row(state="resolved", cityId="toronto")), SETTINGS)
    assert message.title == "Resolved: device offline, Room Bar 1, Toronto"
    assert "Lasted: 1 h 15 min, from Tue 24 Nov 2026 04:30 to Tue 24 Nov 2026 05:45 (America/Toronto)" in message.text


def test_an_unknown_city_is_rendered_with_the_default_and_an_unknown_rule_by_its_id(make_row) -> None:
    message = rendered(alert(make_row(cityId="atlantis", ruleId="new-rule")), SETTINGS)
    assert message.title == "New rule: Room Bar 1, Unassigned"
    assert "(UTC)" in message.text
    assert "new-rule" in message.text.splitlines()[0]


def test_what_is_not_known_is_not_said(make_row) -> None:
    message = rendered(alert(make_row(name=None, locationName=None, workspaceName=None)), SETTINGS)
    assert "Where: Lyon\n" in message.text
    assert "device device-1" in message.text
    assert "None" not in message.text


def test_news_of_a_beginning_after_its_end_says_so_first(make_row) -> None:
    assert "already over" in rendered(alert(make_row()), SETTINGS, already_resolved=True).text.splitlines()[0]


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(0, "less than a minute"), (59, "59 min"), (60, "1 h"), (61, "1 h 1 min"), (1500, "1 d 1 h"), (2880, "2 d")],
)
def test_durations_in_words(make_row, minutes, words) -> None:
    hours, rest = divmod(9 * 60 + 30 + minutes, 60)
    observed = f"2026-11-{24 + hours // 24}T{hours % 24:02}:{rest:02}:00Z"
    assert f"Lasted: {words}, " in rendered(alert(make_row(state="resolved", observedAt=observed)), SETTINGS).text


class TestReadingRows:
    def test_a_body_may_hold_several_lines(self, make_row, make_body) -> None:
        read = list(alerts_in(make_body(make_row(1), make_row(2)) + b"\r\n\n"))
        assert [one.entity_id for one in read] == ["device-1", "device-2"]

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
    def test_rubbish_is_rejected_with_a_reason(self, line) -> None:
        (bad,) = alerts_in(line)
        assert isinstance(bad, Rejected)
        assert bad.reason

    @pytest.mark.parametrize(
        "fields",
        [{"severity": 0}, {"state": "open"}, {"value": "1"}, {"startedAt": "yesterday"}, {"cityId": None}, {"name": "\ud800"}],
    )
    def test_a_row_that_breaks_the_contract_is_rejected(self, make_row, fields) -> None:
        (bad,) = alerts_in(json.dumps(make_row(**fields)).encode())
        assert isinstance(bad, Rejected)
