"""A stack file is written by hand: a good one becomes settings, a bad one a list of all its faults."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from activator.declarations import DeclarationError
from infra.settings.processor_settings import fanout_settings, ingest_settings
from infra.settings.stack import SECRETS, StackSettings, load_stack
from processors.contracts.facts import normalised
from tests.support.rules import RULES
from tests.support.shared_data import REPOSITORY


def city(**changes: Any) -> dict[str, Any]:
    return {
        "name": "Lyon",
        "timeZone": "Europe/Paris",
        "webexLocations": ["Lyon Part-Dieu"],
        "contacts": {"email": ["av@example.com"]},
        **changes,
    }


def stack_file(folder: Path, text: str | None = None, **config: Any) -> Path:
    path = folder / "Pulumi.test.yaml"
    document = {"config": {f"roompulse:{key}": value for key, value in config.items()}}
    path.write_text(text if text is not None else yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    return path


def faults_of(path: Path) -> dict[str, str]:
    with pytest.raises(DeclarationError) as caught:
        load_stack(path, RULES)
    assert path.name in str(caught.value)
    return {fault.path: fault.message for fault in caught.value.faults}


@pytest.fixture(scope="module")
def dev() -> StackSettings:
    return load_stack(REPOSITORY / "Pulumi.dev.yaml", RULES)


def test_the_dev_stack_watches_three_cities_in_three_time_zones(dev: StackSettings) -> None:
    assert len({city.time_zone for city in dev.cities}) >= 3


def test_defaults_are_filled_in(tmp_path: Path) -> None:
    poll = load_stack(stack_file(tmp_path, cities={"lyon": city()}), RULES).poll
    assert (poll.seconds, poll.snapshot_minutes) == (60, 15)


def test_keys_of_other_packages_are_left_alone(tmp_path: Path) -> None:
    path = stack_file(tmp_path, cities={"lyon": city()})
    path.write_text(path.read_text() + "  azure-native:location: westeurope\n", encoding="utf-8")
    assert load_stack(path, RULES).stack == "test"


BROKEN_CITIES: list[tuple[dict[str, Any], str, str]] = [
    ({"lyon": city(timeZone="Europe/Lyn")}, "cities/lyon/timeZone", "not an IANA time zone"),
    ({"lyon": city(contacts={"sms": [4790909090]})}, "cities/lyon/contacts/sms/0", 'quote it ("+4790909090")'),
    ({"lyon": city(contacts={"sms": ["90909090"]})}, "cities/lyon/contacts/sms/0", "+country"),
    ({"lyon": city(contacts={"email": ["av-lyon"]})}, "cities/lyon/contacts/email/0", "e-mail address"),
    ({"lyon": city(contacts={})}, "cities/lyon/contacts", "who is notified".capitalize()),
    ({"lyon": city(webexLocations=[])}, "cities/lyon/webexLocations", "is empty"),
    ({"lyon": city(), "paris": city(webexLocations=["lyon  PART-dieu"])},
     "cities/paris/webexLocations/0", "already in city lyon"),
    ({"lyon": city(webexLocations=["A", "a "])}, "cities/lyon/webexLocations/1", "already in city lyon"),
    ({"Lyon": city()}, "cities/Lyon", "lower-case letters"),
    ({"a-city-with-a-very-long-slug": city()}, "cities/a-city-with-a-very-long-slug", "2 to 24"),
    ({}, "cities", "is empty"),
    ({"lyon": "yes"}, "cities/lyon", "a mapping is wanted"),
    ({"lyon": city(webexLocation=["x"])}, "cities/lyon/webexLocation", "Did you mean webexLocations?"),
    ({"lyon": city(alerts={"device-ofline": {"mute": True, "because": "works", "until": "2026-12-01"}})},
     "cities/lyon/alerts/device-ofline", "Did you mean device-offline?"),
    ({"lyon": city(alerts={"device-offline": {"threshold": 2, "because": "x", "until": "2027-01-01"}})},
     "cities/lyon/alerts/device-offline/threshold", "2 is never reached: offline is 0 to 1"),
    ({"lyon": city(alerts={"site-outage": {"threshold": 0, "because": "x", "until": "2027-01-01"}})},
     "cities/lyon/alerts/site-outage/threshold", "0 always holds"),
    ({"lyon": city(alerts={"site-outage": {"forMinutes": 9000, "because": "x", "until": "2027-01-01"}})},
     "cities/lyon/alerts/site-outage/forMinutes", "longer than the query remembers: 7200 at most"),
    ({"lyon": city(alerts={"site-outage": {"mute": True, "because": "x"}})},
     "cities/lyon/alerts/site-outage/until", "is missing"),
    ({"lyon": city(alerts={"pipeline-stale": {"mute": True, "because": "x", "until": "2027-01-01"}})},
     "cities/lyon/alerts/pipeline-stale", "which no city can change"),
    ({"lyon": city(alerts={"device-offline": {"because": "works", "until": "2026-12-01"}})},
     "cities/lyon/alerts/device-offline", "changes nothing"),
    ({"lyon": city(alerts={"device-offline": {"mute": True, "until": "2026-12-01"}})},
     "cities/lyon/alerts/device-offline/because", "is missing"),
    ({"lyon": city(alerts={"device-offline": {"mute": True, "because": "works", "until": "2026-02-31"}})},
     "cities/lyon/alerts/device-offline/until", "not a day of the calendar"),
    ({"lyon": city(alerts={"room-too-warm": {"threshold": -1, "because": "works", "until": "2026-12-01"}})},
     "cities/lyon/alerts/room-too-warm/threshold", "below 0"),
    ({"lyon": city(timeZone="localtime")}, "cities/lyon/timeZone", '"localtime" is not an IANA time zone'),
    ({"lyon": city(timeZone="Factory")}, "cities/lyon/timeZone", '"Factory" is not an IANA time zone'),
    ({"lyon": city(contacts={"email": [{"to": "a@example.com", "rules": [["room-too-warm"]]}]})},
     "cities/lyon/contacts/email/0/rules/0", "is a list; text is wanted"),
    ({"lyon": city(contacts={"email": [{"to": "a@example.com", "rules": [{}]}]})},
     "cities/lyon/contacts/email/0/rules/0", "is a mapping; text is wanted"),
    ({"lyon": city(contacts={"webhook": ["https://av:hunter2@hooks.example.com/x"]})},
     "cities/lyon/contacts/webhook/0", "holds a sign-in: get a new password"),
    ({"lyon": city(controlHubSecret="webex-token-set")}, "cities/lyon/controlHubSecret", "none of the ingest's"),
    ({"lyon": city(controlHubSecret="webex-integration-token-set")}, "cities/lyon/controlHubSecret", "none of the ingest's"),
    ({"lyon": city(organisation="fabrikam", contacts={"email": ["a@example.com"], "teams": ["webex-client-secret-fabrikam"]})},
     "cities/lyon/contacts/teams/0", "none of the ingest's"),
]  # fmt: skip


@pytest.mark.parametrize(("cities", "path", "message"), BROKEN_CITIES, ids=[case[1] + ": " + case[2] for case in BROKEN_CITIES])
def test_a_broken_city_is_explained(tmp_path: Path, cities: dict[str, Any], path: str, message: str) -> None:
    assert message in faults_of(stack_file(tmp_path, cities=cities))[path]


def azure(**changes: Any) -> dict[str, Any]:
    return {
        "location": "westeurope",
        "organisation": "contoso",
        "operations": {"email": ["platform@example.com"]},
        **changes,
    }


BROKEN_DEPLOYMENTS: list[tuple[dict[str, Any], str, str]] = [
    ({"azure": azure(location="West Europe")}, "azure/location", "such as westeurope"),
    ({"azure": {"location": "westeurope", "organisation": "contoso"}}, "azure/operations", "is missing"),
    ({"azure": azure(operations={"email": []})}, "azure/operations/email", "is empty"),
    ({"azure": azure(organisation="Contoso-Ltd")}, "azure/organisation", "2 to 8 lower-case letters and digits"),
    ({"azure": azure(organisation="windows")}, "azure/organisation", 'make names with "windows", which Azure refuses'),
    ({"azure": azure(network={"deployFrom": ["20.1.2.3/31"]})}, "azure/network/deployFrom/0", "or a range up to /30"),
    ({"azure": azure(path="fabric")}, "azure/path", "is not a setting here"),
    ({"azure": azure(zone=True)}, "azure/zone", "Did you mean zones?"),
    ({"azure": azure(zones="yes")}, "azure/zones", "true or false is wanted"),
    ({"azure": azure(eventHubs={"partitions": 64})}, "azure/eventHubs/partitions", "above 32"),
    ({"azure": azure(eventHubs={"retentionHours": 720})}, "azure/eventHubs/retentionHours", "above 168"),
    ({"azure": azure(eventHubs={"throughputUnits": 5, "maximumThroughputUnits": 2})},
     "azure/eventHubs/maximumThroughputUnits", "raise it to 5"),
    ({"azure": azure(streamAnalytics={"streamingUnits": 6})}, "azure/streamAnalytics/streamingUnits", "is a third of a V2 unit"),
    ({"azure": azure(kusto={"sku": "Standard_E2ads_v5"})}, "azure/kusto/enabled", "is missing"),
    ({"azure": azure(kusto={"enabled": True, "instances": 3})}, "azure/kusto/instances", "has one instance"),
    ({"azure": azure(kusto={"enabled": True, "sku": "Standard_E2ads_v5", "instances": 1})},
     "azure/kusto/instances", "starts at 2 instances"),
    ({"azure": azure(kusto={"enabled": True}, zones=True)}, "azure/kusto/sku", "can't span zones"),
    ({"azure": azure(kusto={"enabled": True, "hotDays": 90, "keepDays": 30})}, "azure/kusto/hotDays", "can't be in the cache"),
    ({"azure": azure(kusto={"enabled": True, "readers": ["av-team"]})}, "azure/kusto/readers/0", "object id of an Entra group"),
    ({"azure": azure(lake={"deleteAfterDays": 400})}, "azure/lake/deleteAfterDays", "is not a setting here"),
    ({"azure": azure(network={"private": "yes"})}, "azure/network/private", "true or false is wanted"),
    ({"azure": azure(network={"privat": True})}, "azure/network/privat", "Did you mean private?"),
    ({"azure": azure(fabricCapacity={"sku": "F3", "admins": ["a@example.com"]})}, "azure/fabricCapacity/sku", "F2"),
    ({"azure": azure(fabricCapacity={"sku": "F2", "admins": []})}, "azure/fabricCapacity/admins", "is empty"),
    ({"azure": azure(fabricCapacity={"sku": "F2", "admins": ["av-team"]})},
     "azure/fabricCapacity/admins/0", "a service principal's object id"),
    ({"azure": azure(logs={"keepDays": 7})}, "azure/logs/keepDays", "below 30"),
    ({"azure": azure(), "cities": {"unassigned": city()}}, "cities/unassigned", "take another slug"),
    ({"cities": {"lyon": city(devices=0)}}, "cities/lyon/devices", "below 1"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "path", "message"), BROKEN_DEPLOYMENTS, ids=[case[1] + ": " + case[2] for case in BROKEN_DEPLOYMENTS]
)
def test_a_broken_deployment_is_explained(tmp_path: Path, config: dict[str, Any], path: str, message: str) -> None:
    assert message in faults_of(stack_file(tmp_path, **{"cities": {"lyon": city()}, **config}))[path]


@pytest.mark.parametrize("written", [
    "av@example.com,", "av@example.com;", "<av@example.com>", "mailto:av@example.com", "av@example..com", "av@example.com.",
    "av@.example.com", "av@-example.com", "av@example", "av@\u0435xample.com", "av@ex\u00e4mple.com", '"av"@example.com',
])  # fmt: skip
def test_what_is_not_one_address_is_refused_wherever_one_is_wanted(tmp_path: Path, written: str) -> None:
    people = {"email": [written, {"to": written}], "webex": [written, {"to": written}]}
    named = {"operations": {"email": [written]}, "fabricCapacity": {"sku": "F2", "admins": [written]}}
    found = faults_of(stack_file(tmp_path, azure=azure(**named), cities={"lyon": city(contacts=people, readers=[written])}))
    assert {path for path, said in found.items() if "has the wrong form" in said} == {
        "azure/operations/email/0", "azure/fabricCapacity/admins/0", "cities/lyon/readers/0", "cities/lyon/contacts/email/0",
        "cities/lyon/contacts/email/1/to", "cities/lyon/contacts/webex/0", "cities/lyon/contacts/webex/1/to",
    }  # fmt: skip


@pytest.mark.parametrize("written", ["a@b.c", "J\u00fcrgen.O'Neil+av@mail-2.example.co.uk", "x_y.de#EXT#@contoso.onmicrosoft.com",
                                     "av@xn--exmple-cua.xn--p1ai"])  # fmt: skip
def test_addresses_as_people_have_them_are_taken(tmp_path: Path, written: str) -> None:
    stack = load_stack(stack_file(tmp_path, cities={"lyon": city(contacts={"email": [written]}, readers=[written])}), RULES)
    assert [contact.to for contact in stack.cities[0].contacts] == [written]


def test_a_whole_number_may_be_written_with_a_point(tmp_path: Path) -> None:
    """Otherwise 1.0 passes the schema as 1, and no check that asks for an int sees it."""
    machines = {"enabled": True, "sku": "Standard_E2ads_v5", "instances": 1.0}
    found = faults_of(stack_file(tmp_path, cities={"lyon": city()}, azure=azure(kusto=machines)))
    assert found == {"azure/kusto/instances": "Standard_E2ads_v5 starts at 2 instances: or take Dev(No SLA)_Standard_E2a_v4."}
    hot = {"lyon": city(devices=300.0, alerts={"room-too-warm": {"threshold": 28.5, "because": "works", "until": "2027-01-01"}})}
    lyon = load_stack(stack_file(tmp_path, cities=hot), RULES).cities[0]
    assert (repr(lyon.devices), lyon.overrides[0].threshold) == ("300", 28.5)


def test_what_a_stack_may_have_besides_is_off_unless_asked_for(tmp_path: Path) -> None:
    besides = {"network": {"private": True}, "fabricCapacity": {"sku": "F2", "admins": ["a@example.com"]}}
    plain, rich = (
        load_stack(stack_file(tmp_path, cities={"lyon": city()}, azure=azure(**more)), RULES).azure for more in ({}, besides)
    )
    assert plain and not plain.private_network and plain.fabric_capacity is None
    assert rich and rich.private_network and rich.fabric_capacity and rich.fabric_capacity.admins == ("a@example.com",)


def test_a_stack_whose_name_is_too_long_for_resource_names_can_t_be_deployed(tmp_path: Path) -> None:
    path = stack_file(tmp_path, cities={"lyon": city()}, azure=azure())
    assert "2 to 8" in faults_of(path.rename(tmp_path / "Pulumi.pre-production.yaml"))["azure"]


@pytest.mark.parametrize("value", ["hunter2", {"client_id": "c", "refresh_token": "hunter2"}, ["hunter2"], 12345])
@pytest.mark.parametrize("key", SECRETS)
def test_a_secret_in_plain_is_refused_and_not_repeated(tmp_path: Path, key: str, value: Any) -> None:
    faults = faults_of(stack_file(tmp_path, cities={"lyon": city()}, **{key: value}))
    assert "is in plain" in faults[key] and "hunter2" not in str(faults) and "12345" not in str(faults)


def test_encrypted_secrets_are_accepted(tmp_path: Path) -> None:
    config: dict[str, Any] = {key: {"secure": "v1:abc"} for key in SECRETS}
    path = stack_file(tmp_path, cities={"lyon": city()}, **config)
    assert load_stack(path, RULES).azure is None


def test_prod_differs_from_dev_where_it_should() -> None:
    prod, dev = (load_stack(REPOSITORY / f"Pulumi.{name}.yaml", RULES).azure for name in ("prod", "dev"))
    assert prod is not None and dev is not None
    assert (prod.zones, prod.protect, dev.zones, dev.protect) == (True, True, False, False)
    assert prod.event_hubs.retention_hours > dev.event_hubs.retention_hours


def test_all_faults_are_listed_at_once(tmp_path: Path) -> None:
    cities = {"lyon": city(timeZone="Mars/Base"), "oslo": city(name=3, webexLocations=["Oslo"])}
    faults = faults_of(stack_file(tmp_path, cities=cities, poll={"seconds": 7}, pol=1))
    assert set(faults) == {"cities/lyon/timeZone", "cities/oslo/name", "poll/seconds", "pol"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("config: [\n", "not valid YAML"),
        ("", "config"),
        ("config:\n  roompulse:cities: {}\n  roompulse:cities: {}\n", "given twice"),
    ],
)
def test_a_file_that_is_no_stack_is_explained(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        load_stack(stack_file(tmp_path, text), RULES)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"Pulumi\.none\.yaml is missing"):
        load_stack(tmp_path / "Pulumi.none.yaml", RULES)


def test_text_is_compared_without_regard_to_case_composition_and_white_space() -> None:
    assert normalised(" La  De\u0301fense ") == normalised("la d\u00e9fense")


class TestProcessorSettings:
    def test_a_city_s_override_reaches_its_ingest_and_no_other(self, dev: StackSettings) -> None:
        cities = ingest_settings(dev, RULES, today="2026-11-24")["cities"]
        thresholds = {slug: next(r["threshold"] for r in c["rules"] if r["id"] == "room-too-warm") for slug, c in cities.items()}
        assert thresholds == {"lyon": 28, "toronto": 29, "singapore": 28}

    def test_it_ends_with_its_last_day(self, dev: StackSettings) -> None:
        toronto = ingest_settings(dev, RULES, today="2027-04-01")["cities"]["toronto"]
        assert next(rule["threshold"] for rule in toronto["rules"] if rule["id"] == "room-too-warm") == 28

    def test_every_rule_reaches_every_city(self, dev: StackSettings) -> None:
        for settings in ingest_settings(dev, RULES, today="2026-11-24")["cities"].values():
            assert {rule["id"] for rule in settings["rules"]} == {rule.id for rule in RULES if not rule.by_platform}

    def test_alerts_without_a_city_still_have_a_channel(self, dev: StackSettings) -> None:
        assert fanout_settings(dev, RULES, inbox="inbox.sqlite")["cities"]["*"]["channels"]


def test_the_local_pipeline_needs_no_pulumi() -> None:
    """`make run` does not install it, and it would cost memory."""
    script = "import sys, local.run, infra.settings.sizing; print([name for name in sys.modules if name.startswith('pulumi')])"
    result = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
