"""A simulated run says whom it does not notify, or that it notifies real people."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cli.run import _say_who_is_notified
from infra.settings.contacts import contacts_of
from local.run import read_declarations


@pytest.mark.parametrize(
    ("contacts", "tell", "said"),
    [
        ({"webex": ["a@example.com", "b@example.com"], "teams": ["t"]}, False, "that are not notified: 2 webex, 1 teams"),
        ({"webex": ["a@example.com"]}, False, "(--notify-real-contacts notifies them)"),
        ({"webex": ["a@example.com"]}, True, "real contacts of stack dev are notified of them: 1 webex."),
        ({"email": ["a@example.com"], "webhook": ["http://127.0.0.1:9/x"]}, False, ""),
    ],
)
def test_it_counts_kinds_and_names_nobody(
    contacts: dict[str, list[str]], tell: bool, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stack, _ = read_declarations("dev")
    _say_who_is_notified(replace(stack, cities=(replace(stack.cities[0], contacts=contacts_of(contacts)),)), tell)
    told = capsys.readouterr().out
    assert said in told and "a@example.com" not in told and bool(told) is bool(said)
