"""A stack with a private network: what is closed, who still gets in, and that nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from itertools import combinations
from typing import Any

import pytest

from infra.azure.network import ADDRESSES, APP_SUBNET_OWNER, ENDPOINTS, SUBNETS
from infra.offline import Recording, Registration
from infra.plan import plan_of
from infra.plan_text import render
from infra.policies.rules import at
from tests.infra.checks import findings
from tests.infra.deployments import city, closed, private, record, recording, stack, with_cities
from tests.infra.recorded import of_type
from tests.support.rules import RULES

STACKS = ("dev", "prod")
CLOSED = ("namespace", "lake-account", "ingest-storage", "fanout-storage", "key-vault", "cluster")
MEMBERS = {
    "namespace": {"privatelink.servicebus.windows.net"},
    "blob": {"privatelink.blob.core.windows.net"},
    "dfs": {"privatelink.dfs.core.windows.net"},
    "vault": {"privatelink.vaultcore.azure.net"},
    "cluster": {
        "privatelink.westeurope.kusto.windows.net",
        "privatelink.blob.core.windows.net",
        "privatelink.queue.core.windows.net",
        "privatelink.table.core.windows.net",
    },
}
"""Microsoft's list of zones by the part of a service (learn.microsoft.com/azure/private-link/private-endpoint-dns)."""


def access(resource: Registration) -> Any:
    return resource.inputs.get("publicNetworkAccess") or at(resource.inputs, "properties.publicNetworkAccess")


@pytest.mark.parametrize("name", STACKS)
def test_nothing_is_wrong_with_a_private_stack(name: str) -> None:
    assert findings(closed(name)) == []


def test_nothing_is_wrong_with_a_private_stack_without_a_live_store() -> None:
    settings = private(stack("dev"))
    assert settings.azure is not None
    assert findings(record(replace(settings, azure=replace(settings.azure, kusto=None)))) == []


@pytest.mark.parametrize("name", STACKS)
def test_by_default_there_is_no_network(name: str) -> None:
    resources = recording(name).resources
    assert not [r.name for r in resources if ":network:" in r.type or ":privatedns:" in r.type or "RuleSet" in r.type]
    assert not [r.name for r in resources if access(r) == "Disabled" or r.inputs.get("virtualNetworkSubnetId")]


def test_it_adds_the_network_and_takes_the_rule_that_can_t_ask_a_private_cluster() -> None:
    def names(recorded: Recording) -> set[str]:
        return {r.urn.rsplit("::", 1)[-1] for r in recorded.resources}

    gone = names(recording("prod")) - names(closed("prod"))
    assert gone == {"city-silent", "silence-identity", "silence-workspace", "silence-live-store", "reader-silence"}
    new = {r.type for r in closed("prod").resources if r.urn not in {old.urn for old in recording("prod").resources}}
    assert all(":network:" in kind or ":privatedns:" in kind or kind.endswith("RuleSet") for kind in new)


@pytest.mark.parametrize("name", CLOSED)
def test_what_holds_data_or_secrets_has_no_public_door(name: str) -> None:
    assert access(closed("prod")[name]) == "Disabled"


class TestEndpoints:
    def endpoints(self) -> list[tuple[Registration, str, str]]:
        """Every endpoint with the service it leads to and the part of it."""
        found = []
        for endpoint in of_type(closed("prod"), "network:PrivateEndpoint"):
            (connection,) = endpoint.inputs["privateLinkServiceConnections"]
            (member,) = connection["groupIds"]
            found.append((endpoint, str(connection["privateLinkServiceId"]), member))
        return found

    def test_every_closed_service_has_one(self) -> None:
        reached = {(service.rsplit("/", 2)[-2], member) for _, service, member in self.endpoints()}
        assert reached == {
            ("eventhub:Namespace", "namespace"),
            ("storage:StorageAccount", "blob"),
            ("storage:StorageAccount", "dfs"),
            ("keyvault:Vault", "vault"),
            ("kusto:Cluster", "cluster"),
        }
        assert len({service for _, service, _ in self.endpoints()}) == len(CLOSED)

    def test_each_has_the_zones_of_its_part_and_each_zone_is_linked_once(self) -> None:
        prod = closed("prod")
        groups = {g.parent: g for g in of_type(prod, "network:PrivateDnsZoneGroup")}
        for endpoint, _, member in self.endpoints():
            configs = groups[endpoint.urn].inputs["privateDnsZoneConfigs"]
            assert {str(config["privateDnsZoneId"]).rsplit("/", 1)[-1] for config in configs} == MEMBERS[member]
        zones = {zone.name for zone in of_type(prod, "privatedns:PrivateZone")}
        assert zones == set().union(*MEMBERS.values())
        assert {link.inputs["privateZoneName"] for link in of_type(prod, "privatedns:VirtualNetworkLink")} == zones

    def test_they_are_in_the_subnet_for_endpoints(self) -> None:
        for endpoint, _, _ in self.endpoints():
            assert str(endpoint.inputs["subnet"]["id"]).endswith(f"/subnets/{ENDPOINTS}")


class TestWhoStillGetsIn:
    """Stream Analytics and Data Explorer run outside any network of ours: they get in as trusted services, with roles."""

    def test_event_hubs_lets_trusted_services_in_and_nobody_else(self) -> None:
        rules = closed("prod")["event-hubs-rules"].inputs
        assert rules["trustedServiceAccessEnabled"] is True and rules["defaultAction"] == "Deny"
        assert not rules.get("ipRules") and not rules.get("virtualNetworkRules")

    def test_the_lake_does_too_and_the_apps_storage_lets_nobody_in(self) -> None:
        bypass = {name: closed("prod")[name].inputs["networkRuleSet"]["bypass"] for name in CLOSED[1:4]}
        assert bypass == {"lake-account": "AzureServices", "ingest-storage": "None", "fanout-storage": "None"}

    def test_a_deployer_outside_is_let_in_where_it_uploads_and_nowhere_else(self) -> None:
        settings = private(stack("prod"))
        assert settings.azure is not None
        prod = record(replace(settings, azure=replace(settings.azure, deploy_from=("203.0.113.7", "198.51.100.0/28"))))
        assert findings(prod) == []
        for name in ("ingest-storage", "fanout-storage", "lake-account"):
            assert prod[name].inputs["publicNetworkAccess"] == "Enabled"
            rules = prod[name].inputs["networkRuleSet"]
            assert rules["defaultAction"] == "Deny"
            assert [rule["iPAddressOrRange"] for rule in rules["ipRules"]] == ["203.0.113.7", "198.51.100.0/28"]
        assert prod["namespace"].inputs["publicNetworkAccess"] == prod["cluster"].inputs["publicNetworkAccess"] == "Disabled"

    def test_the_query_and_the_connections_wait_until_they_are_let_in(self) -> None:
        prod = closed("prod")
        waiting = [prod["query"], *of_type(prod, "kusto:EventHubDataConnection")]
        assert len(waiting) == 5
        assert all(prod["event-hubs-rules"].urn in resource.depends_on for resource in waiting)


class TestApps:
    def test_each_has_a_subnet_of_its_own_that_is_given_to_flex_consumption(self) -> None:
        subnets = {subnet["name"]: subnet for subnet in closed("dev")["virtual-network"].inputs["subnets"]}
        for app in ("ingest", "fanout"):
            assert str(closed("dev")[f"{app}-app"].inputs["virtualNetworkSubnetId"]).endswith(f"/subnets/{app}")
            (delegation,) = subnets[app]["delegations"]
            assert delegation["serviceName"] == APP_SUBNET_OWNER

    @pytest.mark.parametrize(
        ("app", "names"),
        [
            ("ingest-app", {"ingest-storage-names", "event-hubs-names", "vault-names"}),
            ("fanout-app", {"fanout-storage-names", "event-hubs-names"}),
        ],
    )
    def test_they_wait_until_the_names_they_use_lead_somewhere(self, app: str, names: set[str]) -> None:
        waits = {urn.rsplit("::", 1)[-1] for urn in closed("dev")[app].depends_on}
        assert names <= waits


def test_subnets_are_in_the_network_and_apart() -> None:
    subnets = [ip_network(prefix) for prefix in SUBNETS.values()]
    whole = ip_network(ADDRESSES)
    assert all(whole.supernet_of(subnet) for subnet in subnets)  # type: ignore[arg-type]
    assert not any(one.overlaps(other) for one, other in combinations(subnets, 2))


def test_a_city_still_adds_only_its_own() -> None:
    settings = private(stack("dev"))
    after = record(with_cities(settings, [*settings.cities, city("reykjavik")]))
    old, new = ({r.urn: r.inputs for r in recorded.resources} for recorded in (closed("dev"), after))
    added = {urn.rsplit("::", 1)[-1] for urn in new.keys() - old.keys()}
    files = {"ingest-settings-city-reykjavik", "fanout-settings-city-reykjavik"}
    assert added == {"ag-email-reykjavik", "apr-email-reykjavik"} | files
    changed = {urn.rsplit("::", 1)[-1] for urn in old.keys() & new.keys() if old[urn] != new[urn]}
    assert changed == set()


def test_a_preview_shows_the_same_resources() -> None:
    assert {r.urn for r in closed("dev", preview=True).registrations} == {r.urn for r in closed("dev").registrations}


def test_the_plan_tells_what_is_still_open_and_has_words_for_the_network() -> None:
    planned = plan_of(private(stack("prod")), RULES)
    assert [line.split(", ")[0] for line in planned.public if not line.startswith("log")] == [
        "fanout-app: /api/health", "fanout-app: /hooks/control-hub", "fanout-app: /incidents", "ingest-app: /api/health",
    ]  # fmt: skip
    assert [line.split(":")[0] for line in planned.public if line.startswith("log")] == ["log ingestion (room-alerts-endpoint)"]
    assert "virtual network, 7 DNS zones, 7 zone links" in render(planned)
    assert "2 DNS groups, 2 private endpoints" in render(planned)
