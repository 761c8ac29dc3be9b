"""The declared job and the live one: how the first is written to Azure, and how the second is compared with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

RESUME_FROM = "roompulse-resume-from"
"""A tag holding the last output before the latest PUT, in case the service forgets it while it replaces the job."""
RUNNING = frozenset({"Running", "Degraded", "Idle", "Processing"})
AT_REST = frozenset({"Created", "Stopped", "Failed"})
"""States in which a job can be written and started. Every other state (Starting, Stopping, Scaling, ...) passes."""


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
        reported = [
            f"{part.get('name')}: {condition.get('message') or condition.get('code')}"
            for kind in ("inputs", "outputs")
            for part in self._inner.get(kind) or []
            for condition in ((part.get("properties") or {}).get("diagnostics") or {}).get("conditions") or []
        ]
        return " ".join(reported)

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
