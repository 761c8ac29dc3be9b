"""Contacts and office hours: plain text is everything at every hour, a mapping says less; a secret is named, never shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from activator.declarations import DeclarationError
from infra.settings.contacts import Contact, action_group_faults, audiences, secret_names, unheard_hours
from infra.settings.processor_settings import deployed_fanout_settings
from infra.settings.stack import City, load_stack
from processors.alert_fanout.channel_kinds import CONTACT_KINDS
from processors.alert_fanout.settings import fanout_settings_of
from processors.contracts.facts import OfficeHours
from tests.support.rules import RULES
from tests.support.shared_data import REPOSITORY

AZURE = {"location": "westeurope", "organisation": "contoso", "operations": {"email": ["platform@example.com"]}}
SECRET_ADDRESS = "https://prod-01.westeurope.logic.azure.com/workflows/abc?sig=hunter2"
ROUTING_KEY = "e93facc04764012d7bfb002500d5d1a6"


def loaded(folder: Path, azure: dict[str, Any] | None = None, **city: Any) -> City:
    lyon = {"name": "Lyon", "timeZone": "Europe/Paris", "webexLocations": ["Lyon"], **city}
    config = {"roompulse:cities": {"lyon": lyon}} | ({"roompulse:azure": azure} if azure else {})
    path = folder / "Pulumi.test.yaml"
    path.write_text(yaml.safe_dump({"config": config}), encoding="utf-8")
    return load_stack(path, RULES).cities[0]


def faults_of(folder: Path, azure: dict[str, Any] | None = None, **city: Any) -> dict[str, str]:
    with pytest.raises(DeclarationError) as caught:
        loaded(folder, azure, **city)
    return {fault.path: fault.message for fault in caught.value.faults}


def test_plain_text_means_every_severity_at_every_hour(tmp_path: Path) -> None:
    city = loaded(tmp_path, contacts={"email": ["av@example.com"], "sms": ["+33155550101"], "teams": ["teams-lyon"]})
    assert city.contacts == (
        Contact("email", "av@example.com"),
        Contact("sms", "+33155550101"),
        Contact("teams", None, address_secret="teams-lyon"),
    )
    assert all(contact.terms == "" for contact in city.contacts)


def test_a_mapping_says_for_what_and_when(tmp_path: Path) -> None:
    city = loaded(tmp_path, contacts={"sms": [{"to": "+33155550101", "severities": [2, 1], "when": "off-hours"}]})
    (contact,) = city.contacts
    assert (contact.severities, contact.when) == ((1, 2), "off-hours")
    assert contact.terms == "severity 1, 2 outside office hours"


def test_every_kind_names_what_it_needs(tmp_path: Path) -> None:
    contacts = {
        "webex": ["av@example.com", {"to": "Y2lzY29zcGFyazovL3VzL1JPT00v", "bot": "our-bot"}],
        "webhook": [
            {"to": "https://hooks.example.com/in", "secret": "signing-key"},
            {"addressSecret": "hook-address"},
            {"template": "pagerduty", "secret": "pagerduty-lyon", "severities": [1]},
            {"to": "https://example.service-now.com", "template": "servicenow", "secret": "servicenow-user"},
        ],
    }
    city = loaded(tmp_path, contacts=contacts)
    wanted = ("hook-address", "our-bot", "pagerduty-lyon", "servicenow-user", "signing-key", "webex-bot")
    assert secret_names(city.contacts) == wanted
    assert [contact.label for contact in city.contacts] == [
        "hooks.example.com",
        "webhook hook-address",
        "events.pagerduty.com",
        "example.service-now.com",
        "av@example.com",
        "Webex room …JPT00v",
    ]


def test_office_hours_are_monday_to_friday_eight_to_six_unless_a_city_says_otherwise(tmp_path: Path) -> None:
    contacts = {"email": ["av@example.com"]}
    assert loaded(tmp_path, contacts=contacts).office_hours == OfficeHours(("mon", "tue", "wed", "thu", "fri"), "08:00", "18:00")
    own = loaded(tmp_path, contacts=contacts, officeHours={"days": ["thu", "sun"], "from": "09:30"}).office_hours
    assert own == OfficeHours(("thu", "sun"), "09:30", "18:00")


BROKEN: list[tuple[dict[str, Any], str, str]] = [
    ({"contacts": {"sms": [{"to": 33155550101}]}}, "cities/lyon/contacts/sms/0/to", 'quote it ("+33155550101")'),
    ({"contacts": {"sms": [{"severities": [1]}]}}, "cities/lyon/contacts/sms/0/to", "is missing: a telephone number"),
    ({"contacts": {"sms": [{"to": "+33155550101", "severity": 1}]}}, "cities/lyon/contacts/sms/0/severity", "severities"),
    ({"contacts": {"email": [{"to": "av@example.com", "severities": [0]}]}},
     "cities/lyon/contacts/email/0/severities/0", "0 is none of 1, 2, 3, 4"),
    ({"contacts": {"email": [{"to": "av@example.com", "when": "night"}]}},
     "cities/lyon/contacts/email/0/when", "none of always, office-hours, off-hours"),
    ({"contacts": {"webex": ["av lyon"]}}, "cities/lyon/contacts/webex/0", "a person's e-mail address"),
    ({"contacts": {"webhook": [{"template": "roompulse"}]}}, "cities/lyon/contacts/webhook/0/to", "is missing"),
    ({"contacts": {"webhook": [{"to": "https://a.example.com", "addressSecret": "a"}]}},
     "cities/lyon/contacts/webhook/0", "two addresses"),
    ({"contacts": {"webhook": [{"to": "http://a..b/x"}]}}, "cities/lyon/contacts/webhook/0/to", "not an address that a request"),
    ({"contacts": {"webhook": ["http://E%3"]}}, "cities/lyon/contacts/webhook/0", "not an address that a request"),
    ({"contacts": {"webhook": [{"template": "pagerduty"}]}}, "cities/lyon/contacts/webhook/0/secret", "routing key"),
    ({"contacts": {"webhook": [{"to": "https://a.example.com", "template": "servicenow"}]}},
     "cities/lyon/contacts/webhook/0/secret", "user:password"),
    ({"contacts": {"sms": [{"to": "+33155550101", "after": "90s"}]}}, "cities/lyon/contacts/sms/0/after", "15m or 4h"),
    ({"contacts": {"sms": [{"to": "+33155550101", "after": "25h"}]}}, "cities/lyon/contacts/sms/0/after", "between 1m and 24h"),
    ({"contacts": {"webex": [{"to": "av@example.com", "repeat": "5m"}]}},
     "cities/lyon/contacts/webex/0/repeat", "between 10m and 168h"),
    ({"contacts": {"webex": [{"to": "av@example.com", "rules": ["device-ofline"]}]}},
     "cities/lyon/contacts/webex/0/rules/0", "Did you mean device-offline?"),
    ({"contacts": {"webex": [{"to": "av@example.com", "rules": []}]}}, "cities/lyon/contacts/webex/0/rules", "is empty"),
    ({"contacts": {"email": [{"to": "av@example.com", "repeat": "1h"}]}},
     "cities/lyon/contacts/email/0", "is sent here once"),
    ({"contacts": {"sms": [{"to": "+33155550101", "when": "daily"}]}}, "cities/lyon/contacts/sms/0", "is sent here once"),
    ({"contacts": {"webhook": [{"template": "pagerduty", "secret": "key", "repeat": "1h"}]}},
     "cities/lyon/contacts/webhook/0", "is sent here once"),
    ({"contacts": {"webex": [{"to": "av@example.com", "when": "daily", "after": "1h"}]}},
     "cities/lyon/contacts/webex/0", "is notified once a day"),
    ({"quietHours": {"from": "22:00"}}, "cities/lyon/quietHours/to", "is missing"),
    ({"quietHours": {"from": "22:00", "to": "22:00"}}, "cities/lyon/quietHours", "begin when they end"),
    ({"quietHours": {"from": "22:00", "to": "7:00"}}, "cities/lyon/quietHours/to", "HH:MM"),
    ({"officeHours": {"from": "18:00", "to": "08:00"}}, "cities/lyon/officeHours", "closes (08:00) before it opens"),
    ({"officeHours": {"from": "8:00"}}, "cities/lyon/officeHours/from", "HH:MM"),
    ({"officeHours": {"days": []}}, "cities/lyon/officeHours/days", "is empty"),
    ({"officeHours": {"days": ["Monday"]}}, "cities/lyon/officeHours/days/0", "none of mon"),
]  # fmt: skip


@pytest.mark.parametrize(("city", "path", "message"), BROKEN, ids=[case[1] + ": " + case[2] for case in BROKEN])
def test_a_fault_says_what_to_write_instead(tmp_path: Path, city: dict[str, Any], path: str, message: str) -> None:
    assert message in faults_of(tmp_path, **{"contacts": {"email": ["av@example.com"]}, **city})[path]


@pytest.mark.parametrize(
    "contacts",
    [
        {"teams": [SECRET_ADDRESS]},
        {"teams": SECRET_ADDRESS},
        {"teams": [{"addressSecret": SECRET_ADDRESS}]},
        {"webex": [{"to": "av@example.com", "bot": SECRET_ADDRESS}]},
        {"webhook": [SECRET_ADDRESS + " "]},
        {"webhook": [{"template": "pagerduty", "secret": ROUTING_KEY}]},
    ],
)
def test_a_secret_that_was_written_down_is_refused_and_not_repeated(tmp_path: Path, contacts: dict[str, Any]) -> None:
    told = str(faults_of(tmp_path, contacts=contacts))
    assert "hunter2" not in told and ROUTING_KEY not in told


class TestSeverityOneIsHeardAtEveryHour:
    @pytest.mark.parametrize(
        ("contacts", "gap"),
        [
            ({"email": [{"to": "a@example.com", "severities": [2, 3, 4]}]}, "severity 1 whom"),
            ({"email": [{"to": "a@example.com", "when": "office-hours"}]}, "severity 1 outside office hours"),
            ({"sms": [{"to": "+33155550101", "when": "off-hours"}]}, "severity 1 in office hours"),
            ({"webhook": ["https://example.com/hook"]}, "severity 1 whom"),
            ({"sms": [{"to": "+33155550101", "after": "15m"}]}, "severity 1 whom"),
            ({"teams": [{"addressSecret": "t", "when": "daily"}]}, "severity 1 whom"),
            ({"teams": [{"addressSecret": "t", "rules": ["device-offline"]}]}, "severity 1 whom"),
        ],
    )
    def test_a_deployed_city_with_a_gap_is_refused(self, tmp_path: Path, contacts: dict[str, Any], gap: str) -> None:
        assert gap in faults_of(tmp_path, AZURE, contacts=contacts)["cities/lyon/contacts"]

    @pytest.mark.parametrize(
        "contacts",
        [
            {"sms": [{"to": "+33155550101", "when": "off-hours"}], "email": [{"to": "a@example.com", "when": "office-hours"}]},
            {"teams": ["teams-lyon"]},
            {"webhook": [{"template": "pagerduty", "secret": "pagerduty-lyon", "severities": [1]}]},
        ],
    )
    def test_a_deployed_city_without_one_is_fine(self, tmp_path: Path, contacts: dict[str, Any]) -> None:
        assert unheard_hours(loaded(tmp_path, AZURE, contacts=contacts).contacts, 1) is None

    def test_a_city_that_only_runs_locally_may_have_gaps(self, tmp_path: Path) -> None:
        contacts = {"email": [{"to": "a@example.com", "when": "office-hours"}]}
        assert unheard_hours(loaded(tmp_path, contacts=contacts).contacts, 1) == "off-hours"


def test_contacts_with_the_same_terms_are_one_audience(tmp_path: Path) -> None:
    urgent = {"severities": [1], "when": "off-hours"}
    numbers = ["+33155550101", {"to": "+33155550102", **urgent}, {"to": "+33155550103", **urgent}]
    found = audiences(loaded(tmp_path, contacts={"sms": numbers}).contacts, "sms")
    assert [(audience.name, audience.addresses) for audience in found] == [
        ("sms", ("+33155550101",)),
        ("sms-1_off-hours", ("+33155550102", "+33155550103")),
    ]


def test_terms_that_differ_make_another_audience(tmp_path: Path) -> None:
    numbers = [
        {"to": "+33155550101", "after": "15m"},
        {"to": "+33155550102", "after": "2h", "severities": [1]},
        {"to": "+33155550103", "rules": ["device-offline"]},
    ]
    found = [audience.name for audience in audiences(loaded(tmp_path, contacts={"sms": numbers}).contacts, "sms")]
    assert found[:2] == ["sms_after-15m", "sms-1_after-2h"]
    assert found[2].startswith("sms_only-")


def test_what_a_contact_waits_for_is_said_in_words(tmp_path: Path) -> None:
    webex = [
        {"to": "a@example.com", "severities": [1, 2], "when": "off-hours", "after": "15m", "repeat": "4h"},
        {"to": "b@example.com", "rules": ["site-outage", "device-offline"]},
        {"to": "c@example.com", "severities": [4], "when": "daily"},
    ]
    assert [one.terms for one in loaded(tmp_path, contacts={"webex": webex}).contacts] == [
        "severity 1, 2 outside office hours, after 15m without acknowledgement, again every 4h",
        "only device-offline, site-outage",
        "severity 4 in a daily digest",
    ]


@pytest.mark.parametrize(
    ("one", "other", "twice"),
    [
        ({"rules": ["device-offline"]}, {}, True),
        ({"rules": ["device-offline"]}, {"rules": ["site-outage"]}, False),
        ({"rules": ["device-offline"]}, {"rules": ["site-outage", "device-offline"]}, True),
        ({"after": "15m"}, {}, True),
        ({"when": "daily", "severities": [4]}, {"severities": [1, 2, 3]}, False),
    ],
)
def test_nobody_is_notified_of_one_alert_twice(tmp_path: Path, one: Any, other: Any, twice: bool) -> None:
    webex = [{"to": "a@example.com", **terms} for terms in (one, other)]
    if twice:
        assert "is notified already by webex/0" in faults_of(tmp_path, contacts={"webex": webex})["cities/lyon/contacts/webex/1"]
    else:
        assert len(loaded(tmp_path, contacts={"webex": webex}).contacts) == 2


@pytest.mark.parametrize("kind", CONTACT_KINDS)
@pytest.mark.parametrize("written", ["av-lyon@example.com", {"to": "a"}, 7, True])
def test_a_kind_without_a_list_is_one_fault_and_not_one_for_each_letter(tmp_path: Path, kind: str, written: Any) -> None:
    faults = faults_of(tmp_path, contacts={"email": ["av@example.com"], kind: written})
    assert list(faults) == [f"cities/lyon/contacts/{kind}"] and "list is wanted" in faults[f"cities/lyon/contacts/{kind}"]


def test_terms_reach_the_fan_out_as_they_were_written(tmp_path: Path) -> None:
    terms = {"severities": [1, 2], "when": "off-hours", "rules": ["device-offline"], "after": "15m", "repeat": "4h"}
    lyon = {
        "name": "Lyon",
        "timeZone": "Europe/Paris",
        "webexLocations": ["Lyon"],
        "quietHours": {"from": "22:00", "to": "07:00"},
        "controlHubSecret": "control-hub",
    }
    path = tmp_path / "Pulumi.test.yaml"
    cities = {"lyon": {**lyon, "contacts": {"webex": [{"to": "a@example.com", **terms}]}}}
    path.write_text(yaml.safe_dump({"config": {"roompulse:cities": cities}}), encoding="utf-8")
    settings = fanout_settings_of(deployed_fanout_settings(load_stack(path, RULES), RULES))
    (channel,) = settings.cities["lyon"].channels
    assert channel.terms == ((1, 2), "off-hours", ("device-offline",), 900, 14_400)
    assert settings.cities["lyon"].quiet == ("22:00", "07:00")
    assert settings.cities["lyon"].control_hub_secret == "control-hub"


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_our_own_stacks_hear_severity_one_at_every_hour(name: str) -> None:
    for city in load_stack(REPOSITORY / f"Pulumi.{name}.yaml", RULES).cities:
        assert unheard_hours(city.contacts, 1) is None


@pytest.mark.parametrize(
    "contacts", [{"sms": ["+"]}, {"email": [{"to": "a@b.example", "severities": [["x"]]}]}, {"sms": [7]}, {"sms": {}}]
)
def test_what_a_schema_refuses_makes_no_other_check_stumble(contacts: object) -> None:
    assert action_group_faults("contacts", contacts) == []
