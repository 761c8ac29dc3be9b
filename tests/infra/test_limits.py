"""Azure's limits stand in one place, and what is over one is refused before anything is deployed, with the way out."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from activator.declarations import DeclarationError
from infra.azure import limits
from infra.azure.compiled_rules import description
from infra.azure.limits import REGIONS, SMS_COUNTRIES
from infra.azure.naming import Names
from infra.plan import recorded
from infra.settings.contacts import Contact, country_and_number
from infra.settings.deployment import deployment_faults
from infra.settings.sizing import size
from infra.settings.stack import City, load_stack
from processors.alert_fanout.channels.azure_monitor import AzureMonitorChannel
from processors.alert_fanout.steps import STORM_WINDOW
from tests.infra.deployments import city, stack, with_cities
from tests.support.rules import RULES
from tests.support.shared_data import REPOSITORY


def azure(**more: Any) -> dict[str, Any]:
    return {"location": "westeurope", "organisation": "contoso", "operations": {"email": ["a@example.com"]}, **more}


def city_as_written(**contacts: Any) -> dict[str, Any]:
    return {"name": "Lyon", "timeZone": "Europe/Paris", "webexLocations": ["Lyon"], "contacts": contacts}


def faults(azure: dict[str, Any], contacts: dict[str, Any] | None = None) -> dict[str, str]:
    """Faults by path, of a deployment with one city."""
    people = contacts or {"email": ["av@example.com"]}
    return {fault.path: fault.message for fault in deployment_faults("dev", azure, {"lyon": city_as_written(**people)})}


class TestRegions:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [("westeuorpe", "westeurope"), ("swedencentrall", "swedencentral"), ("eastu", "eastus"), ("uksoth", "uksouth")],
    )
    def test_a_region_with_a_typo_is_told_with_the_one_that_is_meant(self, written: str, meant: str) -> None:
        told = faults(azure(location=written))["azure/location"]
        assert told.startswith(f'"{written}" is not a region of Azure') and f"Did you mean {meant}?" in told

    @pytest.mark.parametrize("location", sorted(REGIONS))
    @pytest.mark.parametrize("zones", [False, True])
    @pytest.mark.parametrize("capacity", [False, True])
    def test_a_region_is_taken_where_it_has_what_the_stack_asks_for(self, location: str, zones: bool, capacity: bool) -> None:
        more = {"fabricCapacity": {"sku": "F2", "admins": ["a@example.com"]}} if capacity else {}
        region = REGIONS[location]
        told = "azure/location" in faults(azure(location=location, zones=zones, **more))
        assert told is not (region.flex and (region.zones or not zones) and (region.fabric or not capacity))

    @pytest.mark.parametrize(
        ("location", "more", "lacking"),
        [
            ("polandcentral", {}, "function apps on Flex Consumption"),
            ("ukwest", {"zones": True}, "availability zones (azure.zones)"),
            ("westcentralus", {"fabricCapacity": {}}, "Fabric capacities (azure.fabricCapacity)"),
        ],
    )
    def test_what_a_region_lacks_is_told_with_where_it_is(self, location: str, more: dict[str, Any], lacking: str) -> None:
        told = faults(azure(location=location, **more))["azure/location"]
        assert told.startswith(f"{location} has no {lacking}") and "infra/azure/limits.py" in told
        offered = told.split(": take ")[1].split(" or another")[0].split(", ")
        assert len(offered) == 3 and all("azure/location" not in faults(azure(location=one, **more)) for one in offered)

    def test_zones_on_flex_are_in_regions_with_both(self) -> None:
        everything = {name for name, region in REGIONS.items() if region.zones and region.flex and region.fabric}
        assert {"westeurope", "swedencentral", "eastus2", "uksouth"} <= everything


NOT_PUBLIC = [
    "10.1.2.3", "192.168.0.0/24", "172.31.255.1", "127.0.0.1", "169.254.1.1", "100.64.0.9", "0.0.0.0/0", "224.0.0.1",
]  # fmt: skip


class TestAddresses:
    @pytest.mark.parametrize("address", NOT_PUBLIC)
    def test_an_address_that_the_internet_does_not_know_is_refused(self, address: str) -> None:
        told = faults(azure(network={"private": True, "deployFrom": ["203.0.113.7", address]}))
        assert "is not known outside your network" in told["azure/network/deployFrom/1"] and len(told) == 1

    @pytest.mark.parametrize("address", ["256.1.1.1", "1.2.3.999/24"])
    def test_an_address_that_is_none_is_refused(self, address: str) -> None:
        told = faults(azure(network={"private": True, "deployFrom": [address]}))
        assert "is not an IPv4 address" in told["azure/network/deployFrom/0"]

    @pytest.mark.parametrize("address", ["203.0.113.7", "8.8.8.0/24", "172.32.0.1", "100.63.0.1", "11.0.0.1/30"])
    def test_a_public_address_is_taken(self, address: str) -> None:
        assert faults(azure(network={"private": True, "deployFrom": [address]})) == {}


REPEATED: list[tuple[dict[str, Any], str]] = [
    ({"email": ["a@example.com", "A@example.com"]}, "email/1"),
    ({"email": ["a@example.com", {"to": "a@example.com", "severities": [1]}]}, "email/1"),
    ({"sms": ["+33155550101", "+33155550102", "+33155550101"], "email": ["a@example.com"]}, "sms/2"),
    ({"email": [{"to": "a@example.com", "when": "off-hours"}, "a@example.com"]}, "email/1"),
    ({"webhook": ["https://example.com/x", "https://example.com/x"], "email": ["a@example.com"]}, "webhook/1"),
    ({"webex": ["a@example.com", "a@example.com"], "email": ["a@example.com"]}, "webex/1"),
    ({"teams": ["teams-lyon", "teams-lyon"], "email": ["a@example.com"]}, "teams/1"),
]


class TestPeople:
    def test_more_telephones_than_azure_tells_together_are_refused(self) -> None:
        numbers = [f"+3315555{number:04d}" for number in range(11)]
        assert faults(azure(), {"sms": numbers[:10], "email": ["a@example.com"]}) == {}
        told = faults(azure(), {"sms": numbers, "email": ["a@example.com"]})["cities/lyon/contacts/sms"]
        assert told.startswith("11 contacts want the same severities at the same hours, and Azure notifies 10 of them together")

    def test_telephones_with_other_hours_are_another_group(self) -> None:
        numbers = [f"+3315555{number:04d}" for number in range(20)]
        written = [{"to": number, "when": "off-hours" if index % 2 else "office-hours"} for index, number in enumerate(numbers)]
        assert faults(azure(), {"sms": written, "email": ["a@example.com"]}) == {}

    @pytest.mark.parametrize(("number", "code"), [("+46701234567", 46), ("+380441234567", 380), ("+3545550100", 354)])
    def test_a_country_without_text_messages_is_refused(self, number: str, code: int) -> None:
        told = faults(azure(), {"sms": ["+33155550101", {"to": number}], "email": ["a@example.com"]})
        assert told == {
            "cities/lyon/contacts/sms/1": f"+{code} is not a country that Azure sends text messages to: notify this person by "
            "email, webex, teams or webhook."
        }

    @pytest.mark.parametrize("code", sorted(SMS_COUNTRIES))
    def test_every_country_of_azure_s_list_is_taken(self, code: int) -> None:
        assert country_and_number(f"+{code}5551234567") == (str(code), "5551234567"), (
            "calling codes are told apart by their digits"
        )
        assert faults(azure(), {"sms": [f"+{code}5551234567"], "email": ["a@example.com"]}) == {}

    @pytest.mark.parametrize(("more", "refused"), [(0, False), (1, True)])
    def test_an_address_that_azure_mails_to_has_64_characters_at_most(self, more: int, refused: bool) -> None:
        address = f"{'a' * (64 - len('@example.com') + more)}@example.com"
        told = faults(azure(operations={"email": ["b@example.com", address]}), {"email": ["a@example.com", {"to": address}]})
        assert set(told) == ({"azure/operations/email/1", "cities/lyon/contacts/email/1"} if refused else set())
        for text in told.values():
            assert text == "has 65 characters, and Azure mails to addresses of 64 at most: take a shorter alias."

    def test_the_fan_out_sends_an_address_no_more_mails_than_azure_passes_on(self) -> None:
        """A beginning and an end are a mail each."""
        in_ten_minutes = AzureMonitorChannel(audience="lyon/email").capabilities.limit
        assert in_ten_minutes is not None
        an_hour = in_ten_minutes * (timedelta(hours=1) // STORM_WINDOW)
        assert 2 * an_hour <= limits.EMAILS_AN_HOUR < 2 * (an_hour + timedelta(hours=1) // STORM_WINDOW)

    def test_an_operator_who_is_there_twice_is_told(self) -> None:
        told = faults(azure(operations={"email": ["a@example.com", "b@example.com", "A@Example.com"]}))
        assert list(told) == ["azure/operations/email/2"]

    @pytest.mark.parametrize(("contacts", "where"), REPEATED, ids=[where for _, where in REPEATED])
    def test_a_contact_that_would_be_told_twice_is_refused(self, tmp_path: Path, contacts: dict[str, Any], where: str) -> None:
        kind = where.split("/")[0]
        told = load_faults(tmp_path, contacts)[f"cities/lyon/contacts/{where}"]
        assert told.startswith(f"is notified already by {kind}/0: take one out")

    @pytest.mark.parametrize(
        "contacts",
        [
            {
                "email": [
                    {"to": "a@example.com", "severities": [1]},
                    {"to": "a@example.com", "severities": [2, 3]},
                    "b@example.com",
                ]
            },
            {"email": [{"to": "a@example.com", "when": "off-hours"}, {"to": "a@example.com", "when": "office-hours"}]},
            {"email": ["a@example.com"], "webex": ["a@example.com"]},
            {
                "email": ["a@example.com"],
                "webhook": [{"template": "pagerduty", "secret": name} for name in ("one", "two")],
            },
        ],
    )
    def test_a_contact_that_is_told_of_different_things_is_taken(self, tmp_path: Path, contacts: dict[str, Any]) -> None:
        assert load_faults(tmp_path, contacts) == {}


def load_faults(folder: Path, contacts: dict[str, Any]) -> dict[str, str]:
    path = folder / "Pulumi.dev.yaml"
    path.write_text(
        yaml.safe_dump({"config": {"roompulse:azure": azure(), "roompulse:cities": {"lyon": city_as_written(**contacts)}}})
    )
    try:
        load_stack(path, RULES)
    except DeclarationError as told:
        return {fault.path: fault.message for fault in told.faults}
    return {}


class TestEstate:
    def cities(self, count: int, **changes: Any) -> list[City]:
        return [replace(city(f"city-{number}"), devices=1, **changes) for number in range(count)]

    def refused(self, name: str, cities: list[City]) -> dict[str, str]:
        try:
            size(with_cities(stack(name), cities))
        except DeclarationError as told:
            return {fault.path: fault.message for fault in told.faults}
        return {}

    def test_five_hundred_cities_are_carried(self) -> None:
        assert self.refused("prod", self.cities(500)) == {}

    def test_as_many_routes_as_azure_has_are_carried_and_one_more_is_not(self) -> None:
        assert self.refused("prod", self.cities(799)) == {}
        told = self.refused("prod", self.cities(800))["cities"]
        assert told.startswith("alert routes: 801 needed, Azure has 800, because 800 audiences of email and sms")
        assert "notify people by webex, teams or webhook" in told, "the way out"

    def test_contacts_that_the_fan_out_tells_itself_need_no_route(self) -> None:
        people = (Contact("webex", "av@example.com", secret="webex-bot"),)
        assert self.refused("prod", self.cities(1200, contacts=people)) == {}

    def test_each_secret_takes_a_role_and_a_subscription_has_so_many(self) -> None:
        def refused(each: int) -> dict[str, str]:
            people = [tuple(Contact("webex", "av@example.com", secret=f"bot-{n}-{i}") for i in range(each)) for n in range(397)]
            return self.refused("prod", [replace(one, contacts=own) for one, own in zip(self.cities(397), people, strict=True)])

        assert refused(9) == refused(10) == {}, "30 and 3,970"
        told = refused(11)["cities"]
        assert told.startswith(
            "role assignments: 4,397 needed, Azure has 4,000, because one for each of 4,367 secrets of contacts"
        )
        assert told.endswith("Let contacts share a secret, or take a second stack in another subscription.")

    @pytest.mark.parametrize("name", ["dev", "prod", "fabric"])
    def test_what_all_cities_share_takes_no_more_roles_than_are_counted(self, name: str) -> None:
        people = (Contact("webex", "av@example.com", secret="bot"),)
        cities = [replace(city("oslo"), contacts=people), replace(city("rome"), contacts=people, organisation="fabrikam")]
        settings = with_cities(stack(name), cities)
        counted = next(need for need in size(settings).needs if need.what == "role assignments")
        deployed = sum(one.type.endswith(":RoleAssignment") for one in recorded(settings, RULES).resources)
        assert counted.needed == 33 and deployed <= counted.needed

    def test_a_workspace_has_no_more_items_than_fabric_takes(self) -> None:
        fabric = stack("fabric")
        assert fabric.azure and fabric.azure.fabric
        assert "azure/fabric/content" not in self.refused("fabric", self.cities(493))
        told = self.refused("fabric", self.cities(494))["azure/fabric/content"]
        assert told.startswith("items in the workspace: 1,001 needed, Azure has 1,000")
        assert "Take activator or reports out" in told

    def test_without_activator_it_takes_twice_as_many(self) -> None:
        fabric = stack("fabric")
        assert fabric.azure and fabric.azure.fabric
        lean = replace(fabric.azure, fabric=replace(fabric.azure.fabric, content=("reports", "dashboard")))
        assert {need.path: need.needed for need in size(replace(fabric, azure=lean, cities=tuple(self.cities(700)))).needs}[
            "azure/fabric/content"
        ] == 713


class TestOnePlace:
    def test_a_rule_whose_meaning_azure_has_no_room_for_is_refused_with_the_way_out(self) -> None:
        rule = replace(RULES[0], meaning="x" * limits.ALERT_DESCRIPTION)
        with pytest.raises(DeclarationError, match=r"characters too long for an alert rule of Azure: shorten it") as told:
            description(rule)
        assert [fault.path for fault in told.value.faults] == [f"{rule.id}.yaml/meaning"]
        room = limits.ALERT_DESCRIPTION - len(description(replace(rule, meaning="")))
        assert len(description(replace(rule, meaning="x" * room))) == limits.ALERT_DESCRIPTION

    def test_the_schema_takes_no_more_than_azure(self) -> None:
        schema = json.loads((REPOSITORY / "infra/settings/stack.schema.json").read_text(encoding="utf-8"))
        hubs = schema["$defs"]["azure"]["properties"]["eventHubs"]["properties"]
        assert {name: inner["maximum"] for name, inner in hubs.items()} == {
            "throughputUnits": limits.MOST_THROUGHPUT_UNITS,
            "maximumThroughputUnits": limits.MOST_THROUGHPUT_UNITS,
            "partitions": limits.MOST_PARTITIONS,
            "retentionHours": limits.MOST_RETENTION_HOURS,
        }

    @given(st.from_regex(r"[a-z][a-z0-9]{1,7}", fullmatch=True), st.from_regex(r"[a-z][a-z0-9]{1,7}", fullmatch=True))
    def test_every_organisation_and_stack_makes_names_that_azure_takes(self, organisation: str, stack_name: str) -> None:
        names = Names(organisation, stack_name)
        assert len(names.short("kv")) <= limits.VAULT_NAME and len(names.compact("adx")) <= limits.CLUSTER_NAME
        assert all(len(names.compact("st", use)) <= limits.STORAGE_ACCOUNT_NAME for use in ("lake", "ingest", "fanout"))

    def test_a_purpose_that_is_too_long_is_told(self) -> None:
        with pytest.raises(DeclarationError, match=r"has 26 characters, and Azure takes 24: shorten its purpose"):
            Names("contoso2", "prodprod").compact("st", "archives")
