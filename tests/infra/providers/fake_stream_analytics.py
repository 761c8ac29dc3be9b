"""Azure Resource Manager as far as Stream Analytics jobs are concerned, with the behaviour Microsoft documents.

Sources: the REST reference of streaming jobs (create or replace, start, stop, delete; long-running operations), the .NET SDK's
recorded tests (422 and its text for LastOutputEventTime before the first output; state Created after the PUT), and the
job-states page.
"""

from __future__ import annotations

import copy
import itertools
import re
from dataclasses import dataclass, field
from typing import Any

from tests.infra.providers.fake_service import TOKEN, Answer, FakeService, Request, arm_error

JOB = re.compile(r".*/providers/Microsoft\.StreamAnalytics/streamingjobs/(?P<job>[^/]+)(?P<action>/start|/stop)?$")
OPERATION = re.compile(r"^/operations/(?P<number>\d+)$")
NO_LAST_OUTPUT = (
    "LastOutputEventTime must be available when OutputStartMode is set to LastOutputEventTime. "
    "Please make sure at least one output event has been processed."
)


@dataclass
class Job:
    """A job in the fake: `looks` is how many more reads it takes until the state it is going to is reached."""

    body: dict[str, Any]
    state: str = "Created"
    going_to: str = ""
    looks: int = 0
    last_output: str | None = None
    created: str = "2026-11-01T08:00:00Z"
    starts: list[dict[str, Any]] = field(default_factory=list)

    def move(self, through: str, to: str) -> None:
        self.state, self.going_to, self.looks = through, to, 2

    def look(self) -> None:
        if self.going_to:
            self.looks -= 1
            if self.looks <= 0:
                self.state, self.going_to = self.going_to, ""


class FakeStreamAnalytics(FakeService):
    """Jobs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[str, Job] = {}
        self.puts: list[dict[str, Any]] = []
        self.forgets_output_at_put = False
        self.refuses_identity = 0
        """How many more PUTs and starts are refused because the identity's roles are too fresh."""
        self.ends_up = "Running"
        """The state a started job comes to."""
        self.provisioning = "Succeeded"
        """How the service says that its own work on a job ended."""
        self._operations: dict[int, int] = {}
        self._numbers = itertools.count(1)

    def handle(self, request: Request) -> Answer:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return arm_error(401, "InvalidAuthenticationToken", "The access token is invalid.")
        if operation := OPERATION.match(request.path):
            return self._operation(int(operation["number"]))
        match = JOB.match(request.path)
        if match is None:
            return arm_error(404, "InvalidResourceType", "The resource type could not be found.")
        if request.query.get("api-version") != "2021-10-01-preview":
            return arm_error(400, "InvalidApiVersionParameter", "The api-version is invalid.")
        job = self.jobs.get(match["job"])
        if request.method == "PUT":
            return self._put(match["job"], job, request)
        if job is None:
            return (
                Answer(204)
                if request.method == "DELETE"
                else arm_error(404, "ResourceNotFound", f"{match['job']} was not found.")
            )
        if request.method == "GET":
            return self._get(match["job"], job, request)
        if request.method == "DELETE":
            if job.state not in {"Created", "Stopped", "Failed"}:
                return arm_error(409, "Conflict", "The job is running: stop it first.")
            del self.jobs[match["job"]]
            return self._accepted()
        return self._start(job, request) if match["action"] == "/start" else self._stop(job)

    def _put(self, name: str, job: Job | None, request: Request) -> Answer:
        body = request.json
        if job is not None and job.state not in {"Created", "Stopped", "Failed"}:
            return legacy_error(409, "Conflict", "The streaming job is in the running state and can't be updated.")
        if self._identity_refused():
            return legacy_error(400, "BadRequest", "The identity is not authorized to access the Event Hub.")
        self.puts.append(body)
        if job is None:
            self.jobs[name] = Job(body)
        else:
            job.body = body
            if self.forgets_output_at_put:
                job.last_output, job.state = None, "Created"
        return self._accepted(201 if job is None else 200, self._shown(name, self.jobs[name], expand=False))

    def _get(self, name: str, job: Job, request: Request) -> Answer:
        job.look()
        return Answer(200, self._shown(name, job, expand="inputs" in request.query.get("$expand", "")))

    def _start(self, job: Job, request: Request) -> Answer:
        if job.state not in {"Created", "Stopped", "Failed"}:
            return legacy_error(409, "Conflict", f"The job is {job.state}.")
        if not job.body["properties"].get("inputs"):
            return legacy_error(422, "UnprocessableEntity", "The job should have at least one input defined.")
        if request.json["outputStartMode"] == "LastOutputEventTime" and job.last_output is None:
            return legacy_error(422, "UnprocessableEntity", NO_LAST_OUTPUT)
        if request.json["outputStartMode"] == "CustomTime" and not request.json.get("outputStartTime"):
            return legacy_error(422, "UnprocessableEntity", "OutputStartTime is missing.")
        if self._identity_refused():
            return arm_error(403, "Forbidden", "Access denied by Event Hubs: Unauthorized access. 'Listen' claim required.")
        job.starts.append(request.json)
        job.move("Starting", self.ends_up)
        return self._accepted()

    def _stop(self, job: Job) -> Answer:
        if job.state not in {"Running", "Degraded"}:
            return legacy_error(409, "Conflict", f"The job is {job.state}.")
        job.move("Stopping", "Stopped")
        return self._accepted()

    def _identity_refused(self) -> bool:
        self.refuses_identity -= 1
        return self.refuses_identity >= 0

    def _accepted(self, status: int = 202, body: Any = None) -> Answer:
        number = next(self._numbers)
        self._operations[number] = 2
        header = "Azure-AsyncOperation" if status in {200, 201} else "Location"
        return Answer(status, body, {header: f"{self.url}/operations/{number}", "Retry-After": "1"})

    def _operation(self, number: int) -> Answer:
        self._operations[number] -= 1
        done = self._operations[number] <= 0
        return Answer(
            200 if done else 202,
            {"status": "Succeeded" if done else "InProgress"},
            {"Location": f"{self.url}/operations/{number}"},
        )

    def _shown(self, name: str, job: Job, *, expand: bool) -> dict[str, Any]:
        """The job as the service shows it: with what it adds by itself, without what it only shows on request."""
        shown = copy.deepcopy(job.body)
        shown["name"], shown["type"] = name, "Microsoft.StreamAnalytics/streamingjobs"
        properties = shown["properties"]
        properties |= {
            "jobState": job.state,
            "provisioningState": self.provisioning,
            "createdDate": job.created,
            "jobId": "a-guid",
            "functions": [],
        }
        if job.last_output:
            properties["lastOutputEventTime"] = job.last_output
        if "transformation" in properties:
            properties["transformation"]["properties"] |= {"etag": "an-etag", "validStreamingUnits": [3, 7, 10]}
        for part in (*properties.get("inputs", []), *properties.get("outputs", [])):
            part["id"] = f"{name}/{part['name']}"
            part["properties"]["etag"] = "an-etag"
            if job.state == "Failed":
                part["properties"]["diagnostics"] = {
                    "conditions": [{"code": "EH-1", "message": f"{part['name']} can't be reached."}]
                }
        if not expand:
            for hidden in ("inputs", "outputs", "transformation", "functions"):
                properties.pop(hidden, None)
        return shown


def legacy_error(status: int, code: str, message: str) -> Answer:
    """An error in the shape Stream Analytics itself gives it: no `error` around it, details as one object."""
    return Answer(
        status,
        {"code": code, "message": message, "details": {"message": message, "requestId": "r-1"}},
        {"x-ms-request-id": "r-1"},
    )
