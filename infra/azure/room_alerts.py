"""The minutes lane of alert delivery: alert rows in Log Analytics, a log alert per alert rule, e-mail and text messages by city.

The fan-out decides who is notified, by rule, city, severity and hour, and writes a row for every audience to a custom table. Each
alert rule has a log alert, shared by all cities, that looks for its open alerts; what it fires carries a route text, by which an
audience's processing rule recognises its own and adds the action group. So an audience costs an action group and a route, and
no rule changes when a city comes or goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pulumi
from pulumi import Output, ResourceOptions
from pulumi_azure_native import alertsmanagement, monitor, operationalinsights

from activator.rules import Rule
from infra.azure.action_groups import audience_group
from infra.azure.compiled_rules import DIMENSIONS, TABLE, description, open_alerts, properties, route_to, rows_found
from infra.azure.observability import METRICS_PUBLISHER, Observability
from infra.azure.resource_group import ResourceGroup
from infra.azure.roles import Identity
from infra.meters import ByUse, Each, Meter, free
from infra.parts import Kind, Part
from infra.settings.contacts import audiences
from infra.settings.processor_settings import MAILED
from infra.settings.stack import City

STREAM = "Custom-RoomAlerts"
COLUMNS = {
    "TimeGenerated": "datetime",
    "AlertId": "string",
    "RuleId": "string",
    "Severity": "int",
    "State": "string",
    "CityId": "string",
    "Audience": "string",
    "Name": "string",
    "LocationName": "string",
    "Text": "string",
    "Value": "real",
    "Threshold": "real",
    "StartedAt": "datetime",
    "ObservedAt": "datetime",
}
"""What the fan-out writes (processors/alert_fanout/channels/azure_monitor.py); a test holds the two together."""
LOOK_BACK = "P2D"
"""The longest a rule may look back: Azure Monitor, and nothing else, shows an alert that is open for longer as resolved."""
LOG_ALERT = Each(
    "Log alerts",
    Meter("Azure Monitor", "Alerts System Log Monitored at 5 Minute Frequency", "1/Month"),
    1,
    "rules; one that watches more series costs more",
)


class RoomAlerts(Part):
    """Table, ingestion endpoint and a log alert for each of the rules, whose alerts the fan-out writes. The ids are what it needs
    for that.
    """

    title = "Room alerts"
    resources: ClassVar = {
        "operationalinsights:Table": Kind("table", free, named="workspaceName/tableName"),
        "monitor:DataCollectionEndpoint": Kind("ingestion endpoint", free, named="dataCollectionEndpointName", diagnosed=False),
        "monitor:DataCollectionRule": Kind("collection rule", free, named="dataCollectionRuleName", diagnosed=False),
        "monitor:ScheduledQueryRule": Kind("log alert", LOG_ALERT, named="ruleName", diagnosed=False),
    }

    def __init__(self, rules: Sequence[Rule], group: ResourceGroup, observability: Observability) -> None:
        super().__init__("room-alerts")
        self._group, self._observability = group, observability
        table = operationalinsights.Table(
            "room-alerts-table",
            table_name=TABLE,
            workspace_name=observability.workspace_name,
            plan="Analytics",
            retention_in_days=group.azure.logs_keep_days,
            total_retention_in_days=max(group.azure.logs_keep_days, 90),
            schema={
                "name": TABLE,
                # Tables spell the type dateTime, collection rules datetime.
                "columns": [{"name": name, "type": kind.replace("datetime", "dateTime")} for name, kind in COLUMNS.items()],
            },
            **group.within,
            opts=ResourceOptions(parent=self),
        )
        endpoint = monitor.DataCollectionEndpoint(
            "room-alerts-endpoint",
            data_collection_endpoint_name=group.names.plain("dce"),
            network_acls={"public_network_access": "Enabled"},
            **group.placed,
            opts=ResourceOptions(parent=self),
        )
        collection = monitor.DataCollectionRule(
            "room-alerts-collection",
            data_collection_rule_name=group.names.plain("dcr"),
            data_collection_endpoint_id=endpoint.id,
            stream_declarations={STREAM: {"columns": [{"name": name, "type": kind} for name, kind in COLUMNS.items()]}},
            destinations={"log_analytics": [{"name": "workspace", "workspace_resource_id": observability.workspace_id}]},
            data_flows=[
                {
                    "streams": [STREAM],
                    "destinations": ["workspace"],
                    "transform_kql": "source",
                    "output_stream": f"Custom-{TABLE}",
                }
            ],
            **group.placed,
            opts=ResourceOptions(parent=self, depends_on=[table]),
        )
        for rule in rules:
            self._rule(rule, table)
        self._collection_id: Output[str] = collection.id
        self.collection_immutable_id: Output[str] = collection.immutable_id
        self.ingestion_address: Output[str] = endpoint.logs_ingestion.apply(lambda ingestion: ingestion.endpoint)
        self.register_outputs({})

    def let_write(self, identity: Identity) -> None:
        """Let an identity write alerts into the table."""
        identity.may(METRICS_PUBLISHER, "room-alerts", self._collection_id)

    def _rule(self, rule: Rule, table: operationalinsights.Table) -> None:
        """Fires once per open alert and audience, and resolves when the alert does."""
        monitor.ScheduledQueryRule(
            f"rooms-{rule.id}",
            rule_name=self._group.names.plain("sqr", f"rooms-{rule.id}"),
            kind="LogAlert",
            display_name=rule.title,
            description=description(rule),
            severity=rule.severity,
            enabled=True,
            scopes=[self._observability.workspace_id],
            evaluation_frequency="PT5M",
            window_size="PT5M",
            override_query_time_range=LOOK_BACK,
            auto_mitigate=True,
            skip_query_validation=True,
            criteria=rows_found(open_alerts(rule), DIMENSIONS),
            actions={"custom_properties": properties(rule)},
            **self._group.placed,
            opts=ResourceOptions(parent=self, depends_on=[table]),
        )


class CityRoute(Part):
    """Who is notified about one city by e-mail and text message: an action group and a route per audience."""

    title = "City {name}"
    of_city = True
    resources: ClassVar = {
        "monitor:ActionGroup": Kind(
            "action group", free, ByUse("Text messages", "by the message"), named="actionGroupName", diagnosed=False
        ),
        "alertsmanagement:AlertProcessingRuleByName": Kind("alert route", free, named="alertProcessingRuleName", diagnosed=False),
    }

    def __init__(self, city: City, group: ResourceGroup, observability: Observability) -> None:
        super().__init__(city.slug)
        for kind in MAILED:
            for audience in audiences(city.contacts, kind):
                people = audience_group(city, audience, group, self)
                target = f"{city.slug}/{audience.name}"
                add_route(f"apr-{audience.name}", city.slug, target, people, group, observability, self)
        self.register_outputs({})


def add_route(
    kind: str,
    city: str,
    audience: str,
    action_group: monitor.ActionGroup,
    group: ResourceGroup,
    observability: Observability,
    parent: pulumi.Resource,
) -> None:
    """Add an action group to every alert that the fan-out has addressed to an audience.

    `kind` and `city` name the rule; the kind comes first, so that no city's slug makes it another one's name.
    """
    alertsmanagement.AlertProcessingRuleByName(
        f"{kind}-{city}",
        alert_processing_rule_name=group.names.plain(kind, city),
        properties={
            "enabled": True,
            "description": f"Notifies the people of {city} about alerts of its rooms.",
            "scopes": [observability.workspace_id],
            "conditions": [{"field": "AlertContext", "operator": "Contains", "values": [route_to(audience)]}],
            "actions": [alertsmanagement.AddActionGroupsArgs(action_type="AddActionGroups", action_group_ids=[action_group.id])],
        },
        **group.global_,
        opts=ResourceOptions(parent=parent),
    )
