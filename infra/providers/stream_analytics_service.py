"""One Stream Analytics job as its service shows it, and the way from any state it may be in to the declared one.

Nothing is remembered between runs: every run reads the job and does what is missing, so a run that was cut off anywhere
(stopped but not written, written but not started, starting) is finished by the next one.

    absent ─────────────────────────────▶ PUT ─▶ start ─▶ running
    running, as declared                                   (nothing to do)
    running, otherwise ─▶ stop ─▶ stopped ─▶ PUT ─▶ start from the last output ─▶ running
    stopped, as declared ─────────────────────────▶ start from the last output ─▶ running
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, TypeVar

import requests

from infra.providers.base import (
    DEPLOYER_LACKS_ROLE,
    OPERATION_PATIENCE_SECONDS,
    POLL_SECONDS,
    AzureClient,
    AzureError,
    Patience,
    error_of,
    log,
)

API_VERSION = "2021-10-01-preview"
"""The oldest API with user-assigned identities and Delta output; the newer generally available ones have neither."""
MADE_BY = "roompulse-provider"
"""A tag on every job of ours: an interrupted creation may be taken up again, a stranger's job may not be overwritten."""
RESUME_FROM = "roompulse-resume-from"
"""A tag holding the last output before the latest PUT, in case the service forgets it while it replaces the job."""
LAST_OUTPUT = "LastOutputEventTime"
RUNNING = frozenset({"Running", "Degraded", "Idle", "Processing"})
AT_REST = frozenset({"Created", "Stopped", "Failed"})
"""States in which a job can be written and started. Every other state (Starting, Stopping, Scaling, ...) passes."""
AUTHORISATION_PATIENCE_SECONDS = 600.0
"""A fresh role assignment has been seen to take up to eight minutes to reach the data services."""
AUTHORISATION_WORDS = re.compile(
    r"unauthori[sz]ed|not authori[sz]ed|forbidden|access (is |was )?denied|does not have (the )?(permission|access)", re.I
)

Result = TypeVar("Result")


class JobProperties(TypedDict):
    """The declared job, one key per property a preview can show; inputs and outputs by name, so that a diff names the one that
    changed."""

    subscriptionId: str
    resourceGroupName: str
    jobName: str
    location: str
    identityId: str
    tags: dict[str, str]
    sku: str
    streamingUnits: int
    query: str
    policies: dict[str, Any]
    inputs: dict[str, Any]
    outputs: dict[str, Any]


def arm_body(properties: JobProperties) -> dict[str, Any]:
    """The body of the PUT: the whole job inline, because Azure takes an incomplete one only to refuse to start it."""
    return {
        "location": properties["location"],
        "tags": properties["tags"],
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {properties["identityId"]: {}}},
        "properties": {
            **properties["policies"],
            "sku": {"name": properties["sku"]},
            "inputs": [{"name": name, "properties": value} for name, value in sorted(properties["inputs"].items())],
            "outputs": [{"name": name, "properties": value} for name, value in sorted(properties["outputs"].items())],
            "transformation": {
                "name": "Transformation",
                "properties": {"streamingUnits": properties["streamingUnits"], "query": properties["query"]},
            },
        },
    }


@dataclass(frozen=True)
class LiveJob:
    """A job as the service reports it."""

    body: dict[str, Any]

    @property
    def state(self) -> str:
        """Created, Running, Stopped, ...: an open set."""
        return str(self._inner.get("jobState", ""))

    @property
    def running(self) -> bool:
        """Whether it processes events."""
        return self.state in RUNNING

    @property
    def provisioning(self) -> str:
        """Succeeded, Failed, Canceled, or on the way there."""
        return str(self._inner.get("provisioningState", "Succeeded"))

    @property
    def settled(self) -> bool:
        """Whether neither its state nor its provisioning is on the move."""
        return (self.running or self.state in AT_REST) and self.provisioning in {"Succeeded", "Failed", "Canceled"}

    @property
    def tags(self) -> dict[str, str]:
        """Its tags, ours included."""
        return self.body.get("tags") or {}

    @property
    def resume_from(self) -> str | None:
        """The latest moment up to which nothing is lost when output starts there: the last output, else the job's creation."""
        moment = self._inner.get("lastOutputEventTime") or self.tags.get(RESUME_FROM) or self._inner.get("createdDate")
        return str(moment) if moment else None

    @property
    def troubles(self) -> str:
        """What the service says about inputs and outputs that don't work, in one line; empty when nothing."""
        told = [
            f"{part.get('name')}: {condition.get('message') or condition.get('code')}"
            for kind in ("inputs", "outputs")
            for part in self._inner.get(kind) or []
            for condition in ((part.get("properties") or {}).get("diagnostics") or {}).get("conditions") or []
        ]
        return " ".join(told)

    def properties(self, declared: JobProperties) -> dict[str, Any]:
        """The live job in the shape of the declared one: declared values where the two agree, the live ones where they differ.

        What the service adds by itself (defaults, read-only fields, tags of policies) is not ours and left out; an input or
        output nobody declared is a difference.
        """
        inner, transformation = self._inner, (self._inner.get("transformation") or {}).get("properties") or {}
        live: dict[str, Any] = {
            "location": self.body.get("location", ""),
            "identityId": ", ".join((self.body.get("identity") or {}).get("userAssignedIdentities") or {}),
            "tags": self.tags,
            "sku": (inner.get("sku") or self.body.get("sku") or {}).get("name"),
            "streamingUnits": transformation.get("streamingUnits"),
            "query": transformation.get("query"),
            "policies": inner,
        }
        observed: dict[str, Any] = {**declared}
        for name, value in live.items():
            observed[name] = observed_value(observed[name], value)
        if normal_region(declared["location"]) == normal_region(str(live["location"])):
            observed["location"] = declared["location"]
        if declared["identityId"].lower() == str(live["identityId"]).lower():
            observed["identityId"] = declared["identityId"]
        for kind, wanted in (("inputs", declared["inputs"]), ("outputs", declared["outputs"])):
            present = {part["name"]: part.get("properties") or {} for part in inner.get(kind) or []}
            observed[kind] = {name: observed_value(wanted.get(name, value), value) for name, value in present.items()}
        return observed

    @property
    def _inner(self) -> dict[str, Any]:
        return self.body.get("properties") or {}


def observed_value(declared: Any, live: Any) -> Any:
    """`declared` where `live` says the same; of an object only the keys that were declared."""
    if isinstance(declared, Mapping):
        return (
            {name: observed_value(value, live.get(name)) for name, value in declared.items()}
            if isinstance(live, Mapping)
            else live
        )
    if isinstance(declared, list) and isinstance(live, list) and len(declared) == len(live):
        return [observed_value(wanted, value) for wanted, value in zip(declared, live, strict=True)]
    if isinstance(declared, str) and isinstance(live, str) and normal_text(declared) == normal_text(live):
        return declared
    return live


def normal_text(text: str) -> str:
    """Text without the line ends and trailing spaces a service may change in a query."""
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()


def normal_region(name: str) -> str:
    """`West Europe` and `westeurope` are the same region."""
    return name.replace(" ", "").lower()


def job_id(properties: Mapping[str, Any]) -> str:
    """The ARM id of the declared job."""
    return (
        f"/subscriptions/{properties['subscriptionId']}/resourceGroups/{properties['resourceGroupName']}"
        f"/providers/Microsoft.StreamAnalytics/streamingjobs/{properties['jobName']}"
    )


class JobService:
    """What can be done with one job."""

    def __init__(self, client: AzureClient, identifier: str) -> None:
        self._client = client
        self._path = identifier
        self._version = f"?api-version={API_VERSION}"

    def read(self) -> LiveJob | None:
        """The job with its inputs, outputs and query; None when there is none."""
        response = self._client.send("GET", f"{self._path}{self._version}&$expand=inputs,outputs,transformation")
        if response.status_code == 404:
            return None
        self._client.expect(response, "reading the job", 200)
        return LiveJob(self._client.json(response, "reading the job"))

    def bring_about(self, declared: JobProperties, *, creating: bool) -> None:
        """Make the job what is declared, and running. `creating` refuses a job that exists and isn't ours."""
        job = self._settled()
        if creating and job is not None and MADE_BY not in job.tags:
            raise self._client.error(
                "a job of this name exists and was not made by RoomPulse",
                "delete it (az stream-analytics job delete) or choose another name",
            )
        if job is None or job.properties(declared) != declared:
            if job is not None and job.running:
                self._stop()
                job = self._settled()
            job = self._when_authorised("writing the job", lambda: self._put(declared, job))
        if not job.running:
            self._when_authorised("starting the job", lambda: self._start())

    def delete(self) -> None:
        """Stop the job and delete it; a job that is gone already is fine."""
        job = self._settled()
        if job is None:
            return
        if job.running:
            self._stop()
            self._settled()
        log.info("%s: deleting", self._client.subject)
        response = self._client.send("DELETE", self._path + self._version)
        if response.status_code != 404:
            self._client.finish(response, "deleting the job")

    def _settled(self) -> LiveJob | None:
        """The job once nothing is on the move (another run's start or stop is waited out)."""
        patience = Patience(OPERATION_PATIENCE_SECONDS)
        job = self.read()
        while job is not None and not job.settled:
            if not patience.wait(POLL_SECONDS):
                raise self._client.error(
                    f"the job is still {job.state} after a long wait", "look at the job in the portal, then run pulumi up again"
                )
            job = self.read()
        return job

    def _present(self, doing: str) -> LiveJob:
        job = self._settled()
        if job is None:
            raise self._client.error(
                f"the job vanished ({doing})", "find out who deleted it (activity log), then run pulumi up again"
            )
        return job

    def _put(self, declared: JobProperties, before: LiveJob | None) -> LiveJob:
        log.info("%s: writing", self._client.subject)
        body = arm_body(declared)
        body["tags"] = {**body["tags"], MADE_BY: "StreamAnalyticsJob"}
        if before is not None and before.resume_from:
            body["tags"][RESUME_FROM] = before.resume_from
        self._client.finish(self._client.send("PUT", self._path + self._version, json=body), "writing the job")
        job = self._present("writing the job")
        if job.provisioning != "Succeeded":
            raise self._did_not(f"the job was written, but its provisioning {job.provisioning.lower()}", job)
        return job

    def _stop(self) -> None:
        log.info("%s: stopping", self._client.subject)
        self._follow(self._client.send("POST", f"{self._path}/stop{self._version}"), "stopping the job", running=False)

    def _start(self) -> None:
        for start in start_modes(self._present("starting the job")):
            output_from = start.get("outputStartTime", start["outputStartMode"])
            log.info("%s: starting, output from %s", self._client.subject, output_from)
            response = self._client.send("POST", f"{self._path}/start{self._version}", json=start)
            if output_from == LAST_OUTPUT and refuses_last_output(response.status_code, *error_of(response)):
                continue  # no output yet: the next mode loses nothing either
            return self._follow(response, "starting the job", running=True)

    def _follow(self, response: requests.Response, doing: str, *, running: bool) -> None:
        """Follow a start or stop until the job is where it should be. After a conflict, one is under way: the state tells."""
        conflict = response.status_code == 409
        if not conflict:
            self._client.finish(response, doing)
        job = self._present(doing)
        if job.running is not running:
            raise self._client.failure(response, doing) if conflict else self._did_not(f"{doing} led to {job.state}", job)

    def _did_not(self, what: str, job: LiveJob) -> AzureError:
        """The error of an operation Azure called a success although the job is not where it should be."""
        troubles = job.troubles or "the service gives no reason; the job's diagnostic log has it"
        text = (
            f"{self._client.subject}: {what}: {troubles} Next: mend what it names and run pulumi up again: it goes on from here."
        )
        return AzureError(text, status=200, code=job.state, message=troubles)

    def _when_authorised(self, doing: str, action: Callable[[], Result]) -> Result:
        """Do `action`; while it fails because a fresh role of the job's identity isn't known everywhere yet, do it again."""
        patience, pause = Patience(AUTHORISATION_PATIENCE_SECONDS), 10.0
        while True:
            try:
                return action()
            except AzureError as fault:
                if not lacks_fresh_role(fault) or not patience.wait(pause):
                    raise
                log.info("%s: %s has to wait for a role assignment to take effect (%s)", self._client.subject, doing, fault.code)


def start_modes(job: LiveJob) -> Iterator[dict[str, str]]:
    """How to start the job, best first: from its last output; before any output, from the last known or its creation.

    Azure refuses LastOutputEventTime until one output exists (HTTP 422). Starting "now" instead would lose what arrived since.
    """
    if job.state != "Created":
        yield {"outputStartMode": LAST_OUTPUT}
    if job.resume_from:
        yield {"outputStartMode": "CustomTime", "outputStartTime": job.resume_from}
    else:
        yield {"outputStartMode": "JobStartTime"}


def refuses_last_output(status: int, code: str, message: str) -> bool:
    """Whether an answer to a start says that there is no last output to start from."""
    return status in {400, 422} and LAST_OUTPUT in f"{code} {message}"


def lacks_fresh_role(fault: AzureError) -> bool:
    """Whether the job's identity was refused; when it is the deploying principal, waiting doesn't help."""
    by_identity = fault.code not in DEPLOYER_LACKS_ROLE and fault.status in {200, 400, 401, 403, 422}
    return by_identity and bool(AUTHORISATION_WORDS.search(fault.message))
