"""A fact is written once: the schemas, which can import nothing, say the same."""

from __future__ import annotations

import re
from typing import Any

import pytest

from infra.settings.stack import _SCHEMA as STACK
from processors.contracts.facts import RESERVED_SLUGS, SEVERITIES, SEVERITY_NAMES, WEEKDAYS, normalised
from processors.contracts.retry_after import retry_after
from processors.contracts.validation import FANOUT_SETTINGS, INGEST_SETTINGS, is_web_address, schema
from tests.support.shared_data import REPOSITORY


def test_the_schemas_know_the_same_days_and_severities() -> None:
    hours: dict[str, Any] = schema(FANOUT_SETTINGS)["$defs"]["city"]["properties"]["officeHours"]["properties"]
    assert tuple(hours["days"]["items"]["enum"]) == WEEKDAYS
    assert tuple(STACK["$defs"]["city"]["properties"]["officeHours"]["properties"]["days"]["items"]["enum"]) == WEEKDAYS
    assert tuple(STACK["$defs"]["severities"]["items"]["enum"]) == SEVERITIES
    rule = schema(INGEST_SETTINGS)["$defs"]["rule"]["properties"]["severity"]
    of_contacts = schema(FANOUT_SETTINGS)["$defs"]["severities"]["items"]
    assert [(each["minimum"], each["maximum"]) for each in (rule, of_contacts)] == [(min(SEVERITIES), max(SEVERITIES))] * 2


@pytest.mark.parametrize("kind", [INGEST_SETTINGS, FANOUT_SETTINGS])
def test_both_schemas_refuse_the_slugs_that_roompulse_uses_itself(kind: str) -> None:
    assert set(schema(kind)["properties"]["cities"]["propertyNames"]["not"]["enum"]) == set(RESERVED_SLUGS)


def test_names_compare_without_case_width_and_spacing() -> None:
    assert normalised(" La  De\u0301fense ") == normalised("LA D\u00e9FENSE") == "la d\u00e9fense"


@pytest.mark.parametrize(
    ("header", "date", "seconds"),
    [
        ("17", None, 17),
        (" 2.5 ", None, 2.5),
        ("-4", None, -4),
        ("Wed, 01 Jan 2020 12:00:40 GMT", "Wed, 01 Jan 2020 12:00:00 GMT", 40),
        ("Wed, 01 Jan 2020 12:00:40", "Wed, 01 Jan 2020 12:00:00 GMT", 40),
        ("Wed, 01 Jan 2020 12:00:40 GMT", "Wed, 01 Jan 2020 12:01:00 GMT", -20),
        ("rand(30),add(30)", None, None),
        ("nan", None, None),
        ("\u00b2", None, None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_what_retry_after_means(header: str | None, date: str | None, seconds: float | None) -> None:
    assert retry_after(header, date) == seconds


@pytest.mark.parametrize(
    ("text", "usable"),
    [
        ("https://example.com", True),
        ("http://example.com:8080/a?b=c", True),
        ("http://[::1]/x", True),
        ("https://b\u00fccher.example/x", True),
        ("https://some_host.example.com.", True),
        ("https://192.0.2.7/x", True),
        ("http://a..b/x", False),
        ("http://E%3", False),
        ("http://-a.example", False),
        ("http://a b.example", False),
        (f"http://{'a' * 64}.example", False),
        (f"http://{'a.' * 127}example", False),
        ("http://300.1.1.1/", False),
        ("https://a\\b.example/", False),
        ("https://\u200b.example/", False),
        ("ftp://example.com", False),
        ("https://", False),
        ("https://[x]/", False),
        ("https://example.com:70000", False),
        ("https://example.com:http", False),
        ("https://*.example.com", False),
        ("https://.example.com", False),
    ],
)
def test_an_address_is_one_that_a_request_can_be_made_to(text: str, usable: bool) -> None:
    assert is_web_address(text) is usable


def test_severities_are_called_alike_in_messages_on_the_page_and_in_reports() -> None:
    words = (REPOSITORY / "local/dashboard/static/js/words.js").read_text(encoding="utf-8")
    (on_the_page,) = re.findall(r"SEVERITY = \{ (.*) \};", words)
    assert on_the_page == ", ".join(f'{severity}: "{name}"' for severity, name in SEVERITY_NAMES.items())
    functions = (REPOSITORY / "powerbi/kusto/functions.kql").read_text(encoding="utf-8")
    (in_reports,) = re.findall(r"severityName = case\((.*)\)", functions)
    assert re.findall(r"'. (\w+)'", in_reports) == list(SEVERITY_NAMES.values())
