"""The way of a Stream Analytics job from any state it may be in to the declared one, running.

Nothing is remembered between runs: every run reads the job and does what is missing, so a run that was cut off anywhere
(stopped but not written, written but not started, starting) is finished by the next one.

    absent ─────────────────────────────▶ PUT ─▶ start ─▶ running
    running, as declared                                   (nothing to do)
    running, otherwise ─▶ stop ─▶ stopped ─▶ PUT ─▶ start from the last output ─▶ running
    stopped, as declared ─────────────────────────▶ start from the last output ─▶ running
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeVar

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
from infra.providers.stream_analytics_model import RESUME_FROM, JobProperties, LiveJob, arm_body

API_VERSION = "2021-10-01-preview"
"""Has user-assigned identities and Delta output; the generally available 2020-03-01 has neither."""
MADE_BY = "roompulse-provider"
"""A tag on every job of ours: an interrupted creation may be taken up again, a stranger's job may not be overwritten."""
LAST_OUTPUT = "LastOutputEventTime"
AUTHORISATION_PATIENCE_SECONDS = 600.0
"""A fresh role assignment has been seen to take up to eight minutes to reach the data services."""
AUTHORISATION_WORDS = re.compile(
    r"unauthori[sz]ed|not authori[sz]ed|forbidden|access (is |was )?denied|does not have (the )?(permission|access)", re.I
)

Result = TypeVar("Result")


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
        if job is None or job.provisioning != "Succeeded" or job.properties(declared) != declared:
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
        """Follow a start or stop until the job is where it should be. After a conflict, one is under way: the state shows."""
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
            f"{self._client.subject}: {what}: {troubles} Next: fix what it names and run pulumi up again: it goes on from here."
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
