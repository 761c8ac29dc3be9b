"""Route fabric: entry stream, query, live store and history inside Fabric, in place of Event Hubs and what follows it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar

import pulumi
from pulumi import Output, ResourceOptions

from infra.azure.roles import Identity
from infra.fabric.eventhouse import DATABASE, eventhouse_script
from infra.fabric.eventstream import FANOUT, SOURCE, STEPS, eventstream, incident_stream
from infra.fabric.workspace import FabricWorkspace
from infra.meters import free
from infra.parts import Kind, Part
from infra.providers.fabric.eventstream_endpoint import EventstreamEndpoint
from infra.providers.fabric.item import FabricItem as Deployed
from infra.providers.fabric.kql_script import KqlScript
from infra.settings.fabric import EVENTHOUSES, FabricSettings
from powerbi.items import FabricItem, Reference

EVENTHOUSE = EVENTHOUSES["fabric"]
LAKEHOUSE = "roompulse"
RULES = "roompulse-alerts"
SHOWN = ("Alerts", "CityMinute", "IncidentSteps")
"""The tables that the lakehouse shows besides its own: OneLake has them as Delta (infra/fabric/eventhouse.py)."""


class FabricLiveStore(Part):
    """An eventhouse, its database, and the tables, views and policies in it. `uri` is where it is queried."""

    title = "Fabric live store"

    def __init__(self, workspace: FabricWorkspace, settings: FabricSettings) -> None:
        super().__init__("fabric-live-store")
        eventhouse = workspace.add(FabricItem("Eventhouse", EVENTHOUSE, {"EventhouseProperties.json": "{}"}), self)
        properties = {
            "databaseType": "ReadWrite",
            "parentEventhouseItemId": Reference("Eventhouse", EVENTHOUSE, "id").placeholder,
            "oneLakeCachingPeriod": f"P{settings.hot_days}D",
            "oneLakeStandardStoragePeriod": f"P{settings.keep_days}D",
        }
        item = FabricItem("KQLDatabase", DATABASE, {"DatabaseProperties.json": json.dumps(properties, indent=2)})
        database = workspace.add(item, self)
        workspace.queried_at(DATABASE, eventhouse.queryServiceUri)
        self.schema: pulumi.Resource = KqlScript(
            "kql-schema",
            query_service_uri=eventhouse.queryServiceUri,
            database=DATABASE,
            script=eventhouse_script(),
            opts=ResourceOptions(parent=database, protect=False),
        )
        self.uri: Output[str] = eventhouse.queryServiceUri
        self.database_id: Output[str] = database.id
        self.register_outputs({})

    def add_views(self, views: Mapping[str, str], cities: Mapping[str, pulumi.Resource]) -> None:
        """The stored view of each city beside the schema's, by slug, made by a command that may run again."""
        for slug, command in views.items():
            KqlScript(
                f"view-{slug}",
                query_service_uri=self.uri,
                database=DATABASE,
                script=command,
                opts=ResourceOptions(parent=cities[slug], depends_on=[self.schema], protect=False),
            )


class FabricStream(Part):
    """The eventstream with its two endpoints, the lakehouse it writes history to, and rules that may listen to its alerts."""

    title = "Fabric eventstreams"
    resources: ClassVar = {"EventstreamEndpoint": Kind("endpoint", free)}

    def __init__(
        self,
        workspace: FabricWorkspace,
        settings: FabricSettings,
        database_id: pulumi.Input[str],
        waits_for: Sequence[pulumi.Resource],
    ) -> None:
        """`waits_for` are the tables: a destination without its table fails. `database_id` is the database they are in."""
        super().__init__("fabric-stream")
        self._workspace = workspace
        lakehouse = workspace.add(FabricItem("Lakehouse", LAKEHOUSE, {}), self)
        for table in SHOWN:
            target = {"oneLake": {"workspaceId": workspace.id, "itemId": database_id, "path": f"Tables/{table}"}}
            workspace.show_table(lakehouse, table, target, depends_on=waits_for)
        rules = None
        if "activator" in settings.content:
            workspace.add(FabricItem("Reflex", RULES, {"ReflexEntities.json": "[]"}), self)
            rules = Reference("Reflex", RULES, "id")
        database = Reference("KQLDatabase", DATABASE, "id")
        item, steps = eventstream(database, Reference("Lakehouse", LAKEHOUSE, "id"), rules), incident_stream(database)
        stream, incidents = (workspace.add(one, self, depends_on=waits_for) for one in (item, steps))

        def endpoint(of: FabricItem, at: Deployed, side: str, node: str) -> EventstreamEndpoint:
            return EventstreamEndpoint(
                f"{node}-endpoint",
                workspace_id=workspace.id,
                eventstream_id=at.id,
                side=side,
                node=node,
                definition_hash=of.content_hash,
                opts=ResourceOptions(parent=at),
            )

        self._entry = endpoint(item, stream, "sources", SOURCE)
        self._alerts = endpoint(item, stream, "destinations", FANOUT)
        self._steps = endpoint(steps, incidents, "sources", STEPS)
        self.host: Output[str] = self._entry.fullyQualifiedNamespace
        self.register_outputs({})

    def let_send(self, identity: Identity) -> dict[str, Output[str] | str]:
        """Let an identity send to the entry, and the settings its program finds it by. Fabric has no narrower role than this."""
        self._let_in(identity)
        return {
            "EVENTSTREAM__fullyQualifiedNamespace": self._entry.fullyQualifiedNamespace,
            "EVENTSTREAM__eventHubName": self._entry.eventHubName,
            "EVENTSTREAM__clientId": identity.client_id,
        }

    def let_hear_alerts(self, identity: Identity) -> dict[str, Output[str] | str]:
        """Let an identity read the alerts and send what becomes of them, and the settings its program finds both by."""
        self._let_in(identity)
        return {
            "EVENT_HUBS__fullyQualifiedNamespace": self._alerts.fullyQualifiedNamespace,
            "EVENT_HUBS__credential": "managedidentity",
            "EVENT_HUBS__clientId": identity.client_id,
            "ALERTS_HUB": self._alerts.eventHubName,
            "ALERTS_GROUP": self._alerts.consumerGroupName,
            "INCIDENTS_NAMESPACE": self._steps.fullyQualifiedNamespace,
            "INCIDENTS_HUB": self._steps.eventHubName,
        }

    def _let_in(self, identity: Identity) -> None:
        role = self._workspace.allow(identity.purpose, identity.principal_id, "ServicePrincipal", "Contributor")
        identity.roles.append(role)
