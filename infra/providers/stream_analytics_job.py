"""The Stream Analytics job as one resource: one PUT with everything inline, started, and restarted from its last output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi.dynamic import Resource, ResourceProvider


@dataclass(frozen=True)
class StreamAnalyticsJobArgs:
    """What a job is and where it runs.

    `identity_id` is the ARM id of the user-assigned identity the job reads and writes with; its roles must exist before the job
    (`depends_on`), because Azure checks them at the PUT. `body` comes from `infra.stream_analytics_project.job_body`.
    """

    subscription_id: pulumi.Input[str]
    resource_group_name: pulumi.Input[str]
    job_name: pulumi.Input[str]
    location: pulumi.Input[str]
    identity_id: pulumi.Input[str]
    body: Mapping[str, Any]
    tags: Mapping[str, pulumi.Input[str]]


class StreamAnalyticsJobProvider(ResourceProvider):
    """Creates, updates, reads and deletes the job."""

    serialize_as_secret_always = False


class StreamAnalyticsJob(Resource, module="roompulse", name="StreamAnalyticsJob"):
    """A running Stream Analytics job. `id` is its ARM id; `running` is true once Azure says that it runs."""

    running: pulumi.Output[bool]

    def __init__(self, resource_name: str, args: StreamAnalyticsJobArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        raise NotImplementedError
