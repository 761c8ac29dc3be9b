"""The stream query as a running Stream Analytics job with its own identity: asa-queries/roompulse, and after it the statements of
asa-queries/history, which keep in the lake what other routes keep elsewhere.
"""

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

PROJECTS = Path(__file__).resolve().parents[2] / "asa-queries"
PROJECT, HISTORY = PROJECTS / "roompulse", PROJECTS / "history"


def _streaming_units(_name: str, properties: Mapping[str, Any]) -> Iterator[Purchase]:
    units = properties["streamingUnits"]
    meter = Meter("Stream Analytics", "Standard V2 Streaming Unit/Job", "1 Hour")
    yield Purchase("Stream Analytics", meter, units / 10 * HOURS, f"{units} of 10 of a V2 unit x {HOURS} h")


class StreamJob(Part):
    """The job, allowed to read hubs `observations` and `incidents` and to write hubs `processed` and `alerts` and the lake."""

    title = "Stream Analytics"
    resources: ClassVar = {"StreamAnalyticsJob": Kind("job", _streaming_units)}

    def __init__(self, group: ResourceGroup, observability: Observability, hubs: EventHubs, lake: Lake) -> None:
        super().__init__("stream-job")
        identity = Identity("streamjob", group, self)
        hubs.let_receive(identity, "observations", "incidents")
        hubs.let_write(identity, "processed", "alerts")
        lake.let_write(identity)
        namespace, container = EventHubBinding(hubs.namespace), BlobBinding(lake.account)
        bindings: dict[str, Binding] = {
            **dict.fromkeys(("observations", "incidents", "processed", "cityminute", "alerts"), namespace),
            **dict.fromkeys(("lake", "lakealerts", "lakecityminute", "lakesteps"), container),
        }
        job = StreamAnalyticsJob(
            "query",
            StreamAnalyticsJobArgs(
                subscription_id=group.subscription_id,
                resource_group_name=group.name,
                job_name=group.names.plain("asa"),
                location=group.azure.location,
                identity_id=identity.id,
                body=job_body(PROJECT, bindings, group.azure.streaming_units, beside=HISTORY),
                tags=group.tags,
            ),
            ResourceOptions(parent=self, depends_on=[*identity.roles, *hubs.ready, *lake.tables.values()]),
        )
        observability.diagnose("stream-job", job.id, job)
        self.id: Output[str] = job.id
        self.running: pulumi.Resource = job
        self.register_outputs({})
