"""The Stream Analytics job as one resource: one PUT with everything inline, started, and restarted from its last output.

azure-native's own class is at API 2020-03-01 (no user-assigned identity, no Delta output), has no start, and can't update a
running job; docs/decisions/0101-stream-analytics-provider.md says why this exists. How a job gets from any state to the
declared one is in `stream_analytics_service`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import pulumi
from pulumi.dynamic import ConfigureRequest, CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from infra.providers.base import AzureClient, changed_properties, log, log_to_standard_error, replacing
from infra.providers.credentials import access_token
from infra.providers.stream_analytics_model import JobProperties, job_id, normal_region
from infra.providers.stream_analytics_service import JobService

NAMING = ("subscriptionId", "resourceGroupName", "jobName", "location")
"""Properties that make it another job."""
DECLARED = (*NAMING, "identityId", "tags", "sku", "streamingUnits", "query", "policies", "inputs", "outputs")


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
    """Creates, updates, reads and deletes the job. Holds nothing: what is pickled into state is the name of this class."""

    serialize_as_secret_always = False

    def configure(self, req: ConfigureRequest) -> None:
        """Called once in the provider's process."""
        log_to_standard_error()

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Changed properties; with none, what the service says: a job that stopped or was edited is an update.

        So a change that failed half-way and is then taken back still gets the job running again.
        """
        changed = changed_properties(_olds, _news, DECLARED)
        if "location" in changed and normal_region(str(_olds.get("location"))) == normal_region(str(_news["location"])):
            changed.remove("location")  # another spelling of the same region
        replaces = replacing(changed, _news, NAMING)
        return DiffResult(changes=bool(changed) or not self._as_declared(_news), replaces=replaces, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Write and start the job; one that an interrupted run of ours left behind is taken up."""
        declared = declared_of(props)
        service_of(declared).bring_about(declared, creating=True)
        return CreateResult(job_id(declared), {**declared, "running": True})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Stop, write, start from the last output: as much of it as is needed."""
        declared = declared_of(_news)
        service_of(declared).bring_about(declared, creating=False)
        return UpdateResult({**declared, "running": True})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """What the service has, reported in the declared properties: refresh shows what drifted, and only that."""
        declared = declared_of(props)
        job = service_of(declared).read()
        if job is None:
            return ReadResult("", {})
        live = job.properties(declared)
        return ReadResult(id_, {**live, "running": job.running}, live)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Stop the job, then delete it."""
        service_of(declared_of(_props)).delete()

    def _as_declared(self, news: dict[str, Any]) -> bool:
        declared = declared_of(news)
        service = service_of(declared)
        job = service.read()
        if job is not None and job.running and job.properties(declared) == declared:
            return True
        log.info("%s: is %s in Azure, not running as declared", job_id(declared), job.state if job else "absent")
        return False


class StreamAnalyticsJob(Resource, module="roompulse", name="StreamAnalyticsJob"):
    """A running Stream Analytics job. `id` is its ARM id; `running` is true once Azure says that it runs."""

    running: pulumi.Output[bool]

    def __init__(self, resource_name: str, args: StreamAnalyticsJobArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(StreamAnalyticsJobProvider(), resource_name, {**job_inputs(args), "running": None}, opts)


def job_inputs(args: StreamAnalyticsJobArgs) -> dict[str, Any]:
    """The resource's properties: the ARM body laid out so that a preview names the property, input or output that changes."""
    policies = dict(args.body["properties"])
    inputs, outputs = policies.pop("inputs"), policies.pop("outputs")
    transformation, sku = policies.pop("transformation")["properties"], policies.pop("sku")
    return {
        "subscriptionId": args.subscription_id,
        "resourceGroupName": args.resource_group_name,
        "jobName": args.job_name,
        "location": args.location,
        "identityId": args.identity_id,
        "tags": dict(args.tags),
        "sku": sku["name"],
        "streamingUnits": transformation["streamingUnits"],
        "query": transformation["query"],
        "policies": policies,
        "inputs": {part["name"]: part["properties"] for part in inputs},
        "outputs": {part["name"]: part["properties"] for part in outputs},
    }


def declared_of(props: Mapping[str, Any]) -> JobProperties:
    """The declared part of a resource's properties, with whole numbers whole again (the engine carries them as floats)."""
    return cast(JobProperties, {name: whole_numbers(props[name]) for name in DECLARED})


def whole_numbers(value: Any) -> Any:
    """The value with floats that are whole numbers as integers, at any depth."""
    if isinstance(value, Mapping):
        return {name: whole_numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def service_of(declared: JobProperties) -> JobService:
    """The job's service: Azure Resource Manager, or the stand-in ROOMPULSE_ARM_ENDPOINT names."""
    endpoint = os.environ.get("ROOMPULSE_ARM_ENDPOINT", "https://management.azure.com")
    subject = f"Stream Analytics job {declared['jobName']} (resource group {declared['resourceGroupName']})"
    client = AzureClient(subject, endpoint, lambda: access_token("https://management.azure.com/.default"))
    return JobService(client, job_id(declared))
