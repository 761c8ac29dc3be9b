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
from infra.azure.event_hubs import EventHubs
from infra.azure.fabric_capacity import FabricCapacity
from infra.azure.function_app import Code, FunctionApp
from infra.azure.lake import Lake
from infra.azure.live_store import LiveStore
from infra.azure.network import Network
from infra.azure.observability import Observability
from infra.azure.pipeline_alerts import PipelineAlerts
from infra.azure.resource_group import ResourceGroup
from infra.azure.roles import Identity
from infra.azure.room_alerts import STREAM, CityRoute, RoomAlerts
from infra.azure.stream_job import StreamJob
from infra.azure.vault import Vault, WebexSecrets
from infra.fabric import stream as inside
from infra.fabric.content import FabricContent, rendered
from infra.fabric.follower import FabricLake, FabricLiveStore
from infra.fabric.workspace import FabricWorkspace
from infra.packaging import REPOSITORY, PackageContent, content_hash
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


@dataclass(frozen=True)
class Hosting:
    """Where function apps are placed, what has to be reachable before they start, and the cities and settings they are told."""

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
    group = ResourceGroup(stack.stack, azure)
    observability = Observability(group)
    network = Network(group) if azure.private_network else None
    vault = Vault(group, observability, network, webex)
    room_alerts = RoomAlerts(rules, group, observability)
    cities = {city.slug: CityRoute(city, group, observability) for city in stack.cities}
    capacity = FabricCapacity(group, azure.fabric_capacity) if azure.fabric_capacity else None
    workspace = FabricWorkspace(group, azure.fabric, capacity) if azure.fabric else None

    def apps(entry: Entry, reachable: Sequence[pulumi.Resource]) -> tuple[FunctionApp, FunctionApp]:
        hosting = Hosting(group, observability, network, [*reachable, *vault.reachable], cities, package_for, settings)
        return _ingest(stack, hosting, entry, vault), _fanout(stack, hosting, entry, vault, room_alerts)

    content = rendered(stack, rules, azure.fabric.content, today) if azure.fabric else None
    fabric = None
    live_store: LiveStore | inside.FabricLiveStore | None
    if azure.route == "fabric":
        assert azure.fabric and workspace and content  # the settings refuse this route without
        live_store = inside.FabricLiveStore(workspace, azure.fabric)
        stream = inside.FabricStream(workspace, azure.fabric, waits_for=[live_store.schema])
        ingest, fanout = apps(stream, [])
        PipelineAlerts(rules, group, observability)
        fabric = FabricContent(group, workspace, content, live_store.uri, waits_for=[live_store.schema])
        pulumi.export("eventstreamNamespace", stream.host)
    else:
        hubs = EventHubs(group, observability, network)
        lake = Lake(group, observability, network)
        ingest, fanout = apps(hubs, hubs.reachable)
        job = StreamJob(group, observability, hubs, lake)
        live_store = LiveStore(group, azure.kusto, observability, network, hubs) if azure.kusto else None
        PipelineAlerts(rules, group, observability, namespace=hubs.namespace_id, job=job.id, live_store=live_store)
        if workspace and content and live_store:
            FabricLake(group, workspace, lake, waits_for=[job.running, ingest.published])
            followed = FabricLiveStore(workspace, live_store)
            fabric = FabricContent(group, workspace, content, followed.uri, waits_for=[followed.database])
        pulumi.export("eventHubsNamespace", hubs.host)
        pulumi.export("lake", lake.address)
    if fabric and live_store:
        for slug, route in cities.items():
            fabric.add_city(slug, route, live_store)

    pulumi.export("portal", Output.concat("https://portal.azure.com/#@", group.tenant_id, "/resource", group.id))
    pulumi.export("resourceGroup", group.name)
    pulumi.export("ingestApp", ingest.name)
    pulumi.export("fanoutApp", fanout.name)
    pulumi.export("vault", vault.name)
    pulumi.export("logs", observability.workspace_name)
    if live_store:
        pulumi.export("liveStore", live_store.uri)
    if capacity:
        pulumi.export("fabricCapacity", capacity.name)
    if workspace:
        pulumi.export("fabricWorkspace", Output.concat("https://app.fabric.microsoft.com/groups/", workspace.id))


def sized(stack: StackSettings) -> AzureSettings:
    """The deployment settings of a stack that carries its cities; raises DeclarationError otherwise."""
    size(stack)
    assert stack.azure is not None  # size refuses a stack without
    return stack.azure


def _ingest(stack: StackSettings, hosting: Hosting, entry: Entry, vault: Vault) -> FunctionApp:
    """Polls Webex; may send to the entry stream, read and renew the one token set, and read the client secret that takes."""
    identity = Identity("ingest", hosting.group, hosting.group)
    entry_settings = entry.let_send(identity)
    identity.may("Key Vault Secrets Officer", "webex-token-set", vault.token_set_id)
    identity.may("Key Vault Secrets User", "webex-client-secret", vault.client_secret_id)
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
    """Tells people; may read the alerts and what contacts keep secret, and write the alert table."""
    identity = Identity("fanout", hosting.group, hosting.group)
    entry_settings = entry.let_hear_alerts(identity)
    identity.may("Monitoring Metrics Publisher", "room-alerts", room_alerts.collection_id)
    for name in secret_names(contact for city in stack.cities for contact in city.contacts):
        identity.may("Key Vault Secrets User", f"secret-{name}", vault.contact_secret(name))
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
    )


def poll_schedule(seconds: int) -> str:
    """An NCRONTAB (seconds first) that fires every `seconds`, a divisor of 60."""
    return "0 * * * * *" if seconds == 60 else f"*/{seconds} * * * * *"


def _code(content: PackageContent, package_for: PackageFor) -> Code:
    return Code(package_for(content).relative_to(REPOSITORY).as_posix(), content_hash(content))
