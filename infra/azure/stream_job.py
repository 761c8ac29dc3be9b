"""The stream query: the deployed asa-queries/roompulse project as a running Stream Analytics job with its own identity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pulumi
from pulumi import Output, ResourceOptions

from infra.azure.event_hubs import EventHubs
from infra.azure.lake import Lake
from infra.azure.observability import Observability
from infra.azure.resource_group import ResourceGroup
from infra.azure.roles import Identity
from infra.meters import HOURS, Meter, Purchase
from infra.parts import Kind, Part
from infra.providers.stream_analytics_job import StreamAnalyticsJob, StreamAnalyticsJobArgs
from infra.stream_analytics_project import Binding, BlobBinding, EventHubBinding, job_body

PROJECT = Path(__file__).resolve().parents[2] / "asa-queries" / "roompulse"


def _streaming_units(_name: str, properties: Mapping[str, Any]) -> Iterator[Purchase]:
    units = properties["streamingUnits"]
    meter = Meter("Stream Analytics", "Standard V2 Streaming Unit/Job", "1 Hour")
    yield Purchase("Stream Analytics", meter, units / 10 * HOURS, f"{units} of 10 of a V2 unit x {HOURS} h")


class StreamJob(Part):
    """The job, allowed to read hub `observations` and to write hubs `processed` and `alerts` and the lake's container."""

    title = "Stream Analytics"
    resources: ClassVar = {"StreamAnalyticsJob": Kind("job", _streaming_units)}

    def __init__(self, group: ResourceGroup, observability: Observability, hubs: EventHubs, lake: Lake) -> None:
        super().__init__("stream-job")
        identity = Identity("streamjob", group, self)
        hubs.let_receive(identity, "observations")
        hubs.let_write(identity, "processed", "alerts")
        lake.let_write(identity)
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
