"""The stream query: the deployed asa-queries/roompulse project as a running Stream Analytics job with its own identity."""

from __future__ import annotations

from pathlib import Path

import pulumi
from pulumi import Output, ResourceOptions

from infra.azure.event_hubs import EventHubs
from infra.azure.lake import Lake
from infra.azure.observability import Observability
from infra.azure.resource_group import ResourceGroup
from infra.azure.roles import Identity
from infra.providers.stream_analytics_job import StreamAnalyticsJob, StreamAnalyticsJobArgs
from infra.stream_analytics_project import Binding, BlobBinding, EventHubBinding, job_body

PROJECT = Path(__file__).resolve().parents[2] / "asa-queries" / "roompulse"


class StreamJob(pulumi.ComponentResource):
    """The job, allowed to read hub `observations` and to write hubs `processed` and `alerts` and the lake's container."""

    def __init__(self, group: ResourceGroup, observability: Observability, hubs: EventHubs, lake: Lake) -> None:
        super().__init__("roompulse:azure:StreamJob", "stream-job")
        identity = Identity("streamjob", group, self)
        identity.may("Azure Event Hubs Data Receiver", "observations", hubs.hubs["observations"])
        identity.may("Azure Event Hubs Data Sender", "processed", hubs.hubs["processed"])
        identity.may("Azure Event Hubs Data Sender", "alerts", hubs.hubs["alerts"])
        identity.may("Storage Blob Data Contributor", "lake", lake.container_id)
        namespace = EventHubBinding(hubs.namespace)
        bindings: dict[str, Binding] = {
            "observations": namespace,
            "processed": namespace,
            "cityminute": namespace,
            "alerts": namespace,
            "lake": BlobBinding(lake.account),
        }
        job = StreamAnalyticsJob(
            "query",
            StreamAnalyticsJobArgs(
                subscription_id=group.subscription_id,
                resource_group_name=group.name,
                job_name=group.names.plain("asa"),
                location=group.azure.location,
                identity_id=identity.id,
                body=job_body(PROJECT, bindings, group.azure.streaming_units),
                tags=group.tags,
            ),
            ResourceOptions(parent=self, depends_on=[*identity.roles, *hubs.ready]),
        )
        observability.diagnose("stream-job", job.id, job)
        self.id: Output[str] = job.id
        self.running: pulumi.Resource = job
        self.register_outputs({})
