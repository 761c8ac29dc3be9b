"""The deployment of a stack, as a table of contents: read it from the top, then the module a line names.

Pulumi starts this through `__main__.py` of the repository. The same function serves Pulumi, the offline plan and the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pulumi
from pulumi import Output

from activator.rules import Rule
from infra.azure.fabric_capacity import FabricCapacity
from infra.azure.function_app import Code, FunctionApp
from infra.azure.network import Network
from infra.azure.observability import Observability
from infra.azure.pipeline_alerts import PipelineAlerts, Watched
from infra.azure.resource_group import ResourceGroup
from infra.azure.roles import Identity
from infra.azure.room_alerts import STREAM, CityRoute, RoomAlerts
from infra.azure.route import AzureRoute
from infra.azure.vault import Vault, WebexSecrets
from infra.fabric.content import Content, rendered
from infra.fabric.route import FabricRoute
from infra.fabric.workspace import FabricWorkspace
from infra.packaging import REPOSITORY, PackageContent
from infra.settings.contacts import secret_names
from infra.settings.deployment import AzureSettings
from infra.settings.handover import HandedOver, handed_over
from infra.settings.processor_settings import deployed_fanout_settings, ingest_settings
from infra.settings.sizing import size
from infra.settings.stack import StackSettings

TEND_SCHEDULE = "*/10 * * * * *"
"""How often the fan-out looks at what waits. At least a second is billed each time: this costs about 14 $ a month."""
PackageFor = Callable[[PackageContent], Path]
"""Where the package of some content is: built under `pulumi up`, only named in a preview or a plan."""


class Entry(Protocol):
    """Where events come in and alerts come out: Event Hubs, or an eventstream. Both let an identity in and say where they are."""

    def let_send(self, identity: Identity) -> dict[str, Output[str] | str]:
        """Let it send what was observed; gives the app settings that name the place."""

    def let_hear_alerts(self, identity: Identity) -> dict[str, Output[str] | str]:
        """Let it read the alerts; gives the app settings that name the place."""


class Route(Protocol):
    """The way of the data from its entry to where people look. Both routes have the same verbs."""

    @property
    def entry(self) -> Entry:
        """Where the apps send and hear."""

    @property
    def reachable(self) -> Sequence[pulumi.Resource]:
        """What has to exist before an app can use the entry."""

    @property
    def watched(self) -> Watched:
        """What the alerts about the pipeline look at."""

    def show(self, content: Content, cities: Mapping[str, pulumi.Resource], filled: Sequence[pulumi.Resource]) -> None:
        """Show it in Fabric, where the stack has that. `filled` is what brings the first row."""

    def outputs(self) -> Mapping[str, Output[str]]:
        """What people look up about it."""


ROUTES: Mapping[str, Callable[[ResourceGroup, Observability, Network | None, FabricWorkspace | None], Route]] = {
    "azure": AzureRoute,
    "fabric": FabricRoute,
}


@dataclass(frozen=True)
class Hosting:
    """Where function apps are placed, what has to be reachable before they start, and the cities and settings they get."""

    group: ResourceGroup
    observability: Observability
    network: Network | None
    reachable: Sequence[pulumi.Resource]
    cities: Mapping[str, CityRoute]
    package_for: PackageFor
    settings: HandedOver


def deploy(
    stack: StackSettings,
    rules: Sequence[Rule],
    *,
    today: str,
    webex: WebexSecrets,
    package_for: PackageFor,
) -> None:
    """Declare everything of a stack. Raises DeclarationError when its capacity does not carry its cities, when a processor would
    refuse its settings, or when Fabric can't show its cities.
    """
    azure = sized(stack)
    settings = handed_over(stack, ingest_settings(stack, rules, today), deployed_fanout_settings(stack, rules))
    content = rendered(stack, rules, azure.fabric.content if azure.fabric else (), today)

    group = ResourceGroup(stack.stack, azure)
    network = Network(group) if azure.private_network else None
    observability = Observability(group)
    vault = Vault(group, observability, network, webex)
    capacity = FabricCapacity(group, azure.fabric_capacity) if azure.fabric_capacity else None
    workspace = FabricWorkspace(group, azure.fabric, capacity) if azure.fabric else None
    route = ROUTES[azure.route](group, observability, network, workspace)
    room_alerts = RoomAlerts([rule for rule in rules if _has_rows(rule, stack)], group, observability)
    cities = {city.slug: CityRoute(city, group, observability) for city in stack.cities}
    reachable = [*route.reachable, *vault.reachable]
    hosting = Hosting(group, observability, network, reachable, cities, package_for, settings)
    ingest = _ingest(stack, hosting, route.entry, vault)
    fanout = _fanout(stack, hosting, route.entry, vault, room_alerts)
    PipelineAlerts(rules, group, observability, route.watched)
    route.show(content, cities, filled=[ingest.published])

    for name, value in route.outputs().items():
        pulumi.export(name, value)
    pulumi.export("portal", Output.concat("https://portal.azure.com/#@", group.tenant_id, "/resource", group.id))
    pulumi.export("resourceGroup", group.name)
    pulumi.export("ingestApp", ingest.name)
    pulumi.export("fanoutApp", fanout.name)
    pulumi.export("vault", vault.name)
    pulumi.export("logs", observability.workspace_name)
    if capacity:
        pulumi.export("fabricCapacity", capacity.name)
    if workspace:
        pulumi.export("fabricWorkspace", Output.concat("https://app.fabric.microsoft.com/groups/", workspace.id))


def _has_rows(rule: Rule, stack: StackSettings) -> bool:
    """Whether the fan-out writes the alerts of a rule: those of the query, and of Control Hub where a city has it."""
    return not rule.by_platform or (rule.by_fan_out and bool(stack.control_hub_secrets))


def sized(stack: StackSettings) -> AzureSettings:
    """The deployment settings of a stack that carries its cities; raises DeclarationError otherwise."""
    size(stack)
    assert stack.azure is not None  # size refuses a stack without
    return stack.azure


def _ingest(stack: StackSettings, hosting: Hosting, entry: Entry, vault: Vault) -> FunctionApp:
    """Polls Webex; may send to the entry stream, read and renew the one token set, and read the client secret that takes."""
    identity = Identity("ingest", hosting.group, hosting.group)
    entry_settings = entry.let_send(identity)
    vault.let_renew_token(identity)
    for organisation in sorted({city.organisation for city in stack.cities} - {""}):
        vault.let_renew_partner_token(identity, organisation)
    for organisation in sorted({city.organisation for city in stack.cities if city.push}):
        vault.let_listen(identity, organisation)
    return FunctionApp(
        "ingest",
        hosting.group,
        hosting.observability,
        function="poll",
        identity=identity,
        code=_code(PackageContent("ingest"), hosting.package_for),
        pieces=hosting.settings.ingest,
        cities=hosting.cities,
        settings={
            **entry_settings,
            "WEBEX_TOKEN_VAULT_URI": vault.uri,
            "POLL_SCHEDULE": poll_schedule(stack.poll.seconds),
        },
        network=hosting.network,
        waits_for=hosting.reachable,
    )


def _fanout(stack: StackSettings, hosting: Hosting, entry: Entry, vault: Vault, room_alerts: RoomAlerts) -> FunctionApp:
    """Notifies people; may read the alerts and what contacts keep secret, and write the alert table."""
    identity = Identity("fanout", hosting.group, hosting.group)
    entry_settings = entry.let_hear_alerts(identity)
    room_alerts.let_write(identity)
    contacts = [contact for city in stack.cities for contact in city.contacts]
    for name in sorted({*secret_names(contacts), *stack.control_hub_secrets}):
        vault.let_read_contact_secret(identity, name)
    return FunctionApp(
        "fanout",
        hosting.group,
        hosting.observability,
        function="deliver",
        identity=identity,
        code=_code(PackageContent("alert_fanout"), hosting.package_for),
        pieces=hosting.settings.fanout,
        cities=hosting.cities,
        settings={
            **entry_settings,
            "ALERT_LOG_ENDPOINT": room_alerts.ingestion_address,
            "ALERT_LOG_COLLECTION": room_alerts.collection_immutable_id,
            "ALERT_LOG_STREAM": STREAM,
            "ALERT_LOG_CLIENT_ID": identity.client_id,
            "TEND_SCHEDULE": TEND_SCHEDULE,
            "SECRETS_VAULT_URI": vault.uri,
        },
        network=hosting.network,
        waits_for=hosting.reachable,
        sign_in=hosting.group.azure.incident_pages,
    )


def poll_schedule(seconds: int) -> str:
    """An NCRONTAB (seconds first) that fires every `seconds`, a divisor of 60."""
    return "0 * * * * *" if seconds == 60 else f"*/{seconds} * * * * *"


def _code(content: PackageContent, package_for: PackageFor) -> Code:
    return Code(package_for(content).relative_to(REPOSITORY).as_posix(), content.sha256)
