"""Where the pipeline's own logs and metrics go: one Log Analytics workspace, and Application Insights on it without keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pulumi
from pulumi import Input, Output, ResourceOptions
from pulumi_azure_native import applicationinsights, monitor, operationalinsights

from infra.azure.resource_group import ResourceGroup, unguarded
from infra.azure.roles import Identity, Role
from infra.meters import ByUse, free
from infra.parts import Kind, Part

METRICS_PUBLISHER = Role("Monitoring Metrics Publisher", "3913510d-42f4-4e42-8a64-420c390055eb")
"""Lets in what is sent to Application Insights, and to a data collection rule."""


class Observability(Part):
    """The workspace and Application Insights. `diagnose` sends a service's logs and metrics there."""

    title = "Logs and metrics"
    resources: ClassVar = {
        "operationalinsights:Workspace": Kind(
            "workspace",
            free,
            ByUse("Log Analytics, Application Insights", "by the gigabyte they take in"),
            named="workspaceName",
            diagnosed=False,
        ),
        "applicationinsights:Component": Kind("Application Insights", free, named="resourceName", diagnosed=False),
        "monitor:DiagnosticSetting": Kind("diagnostic setting", free, named="name", diagnosed=False),
    }

    def __init__(self, group: ResourceGroup) -> None:
        super().__init__("observability")
        self._workspace = operationalinsights.Workspace(
            "workspace",
            workspace_name=group.names.plain("log"),
            sku={"name": "PerGB2018"},
            retention_in_days=group.azure.logs_keep_days,
            features={"disable_local_auth": True, "enable_log_access_using_only_resource_permissions": True},
            **group.placed,
            opts=group.guarded(self),
        )
        insights = applicationinsights.Component(
            "insights",
            resource_name_=group.names.plain("appi"),
            kind="web",
            application_type="web",
            workspace_resource_id=self._workspace.id,
            ingestion_mode="LogAnalytics",
            disable_local_auth=True,
            **group.placed,
            opts=ResourceOptions(parent=self),
        )
        self.workspace_id: Output[str] = self._workspace.id
        self.workspace_name: Output[str] = self._workspace.name
        self.insights_id: Output[str] = insights.id
        self.insights_connection: Output[str] = insights.connection_string
        self.register_outputs({})

    def let_report(self, identity: Identity) -> None:
        """Let an identity send its logs and metrics to Application Insights."""
        identity.may(METRICS_PUBLISHER, "insights", self.insights_id)

    def diagnose(
        self,
        name: str,
        resource_id: Input[str],
        parent: pulumi.Resource,
        *,
        logs: bool = True,
        metrics: Sequence[str] = ("AllMetrics",),
    ) -> None:
        """Send all metrics, and unless asked otherwise all logs, of a resource to the workspace.

        `metrics` are its categories, where Azure names them one by one on reading: AllMetrics would differ in every refresh.
        """
        monitor.DiagnosticSetting(
            f"{name}-diagnostics",
            name="to-workspace",
            resource_uri=resource_id,
            workspace_id=self.workspace_id,
            logs=[{"category_group": "allLogs", "enabled": True}] if logs else None,
            metrics=[{"category": category, "enabled": True} for category in metrics],
            opts=unguarded(parent),
        )
