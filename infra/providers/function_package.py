"""The code of a function app on Flex Consumption as a resource: published, and proven to answer with its own content hash.

azure-native publishes no code; docs/decisions/0102-function-package.md says why it is done this way. "Published" is not taken
from the answer to the upload (Flex says 200 for deployments that fail later) but from the deployment's record and from the
running app.
"""

from __future__ import annotations

import json
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import pulumi
import requests
from pulumi.dynamic import ConfigureRequest, CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from infra.providers.base import (
    AzureClient,
    AzureError,
    Patience,
    changed_properties,
    log,
    log_to_standard_error,
    replacing,
)
from infra.providers.credentials import access_token
from processors.contracts.http_session import as_asked

REPOSITORY = Path(__file__).resolve().parents[2]
CONTENT_FILE = "content.json"
FRESH = frozenset({403, 404, 409, 429, 503})
"""Answers to an upload that pass by themselves: roles and host names not known everywhere yet, a deployment under way,
throttling."""
FRESH_WORDS = re.compile(r"BlobUploadFailed|forbidden|\b403\b|not authori[sz]ed", re.I)
"""What a deployment says that failed because the app's identity could not write its storage container yet."""
PUBLISH_PATIENCE_SECONDS = 900.0
DEPLOYMENT_PATIENCE_SECONDS = 600.0
HEALTH_PATIENCE_SECONDS = 300.0
POLL_SECONDS = 5.0
LATEST = "latest"
"""Kudu's name for the newest deployment, whatever its id."""
NOT_FOUND = 404
SUCCESS, FAILED, CANCELLED, CONFLICT, PARTIAL = 4, 3, -1, 5, 6
"""Kudu's deployment states that are final; 0, 1 and 2 are pending, building and deploying."""


class FunctionApp:
    """One app: where its package is uploaded and where it answers."""

    def __init__(self, name: str) -> None:
        self.name = name
        deployment = os.environ.get("ROOMPULSE_SCM_ENDPOINT", "https://{app}.scm.azurewebsites.net").format(app=name)
        self._public = os.environ.get("ROOMPULSE_APP_ENDPOINT", "https://{app}.azurewebsites.net").format(app=name)
        self._client = AzureClient(
            f"function app {name}", deployment, lambda: access_token("https://management.azure.com/.default")
        )

    def running_content(self) -> str:
        """The content hash the app answers with; empty when it doesn't (not published, not reachable, not healthy)."""
        return self._health()[0]

    def publish(self, package: Path, sha256: str) -> None:
        """Bring the app to run this content. Does nothing when it already does: an interrupted run may have got that far."""
        if self.running_content() == sha256:
            return
        data = self._read_package(package, sha256)
        patience = Patience(PUBLISH_PATIENCE_SECONDS)
        while (passing := self._upload(data)) is not None:
            if not patience.wait(10.0):
                raise passing
            log.info("function app %s: not accepted yet (%s), trying again", self.name, passing.code)
        self._wait_for(sha256)

    def _read_package(self, package: Path, sha256: str) -> bytes:
        if not package.is_file():
            raise self._client.error(f"package {package.name} is missing", "run pulumi up again: the program builds it")
        with zipfile.ZipFile(package) as archive:
            content = json.loads(archive.read(CONTENT_FILE))["sha256"]
        if content != sha256:
            raise self._client.error(
                f"package {package.name} holds other content ({content[:12]}) than declared ({sha256[:12]})",
                "delete it and run pulumi up again",
            )
        return package.read_bytes()

    def _upload(self, data: bytes) -> AzureError | None:
        """Upload once and follow the deployment. Returns the error when it is one that passes; raises it when it isn't."""
        log.info("function app %s: publishing %.1f MB", self.name, len(data) / 1e6)
        before = self._deployment(LATEST).get("id")
        response = self._client.send(
            "POST", "/api/publish?type=zip&RemoteBuild=false", data=data, headers={"Content-Type": "application/zip"}
        )
        if response.status_code not in {200, 202}:
            failure = self._client.failure(response, "publishing the package")
            if response.status_code in FRESH or FRESH_WORDS.search(failure.message):
                return failure
            raise failure
        return self._outcome(response.text.strip().strip('"') or LATEST, before)

    def _outcome(self, deployment: str, before: object) -> AzureError | None:
        """Follow a deployment to its end.

        One that Flex Consumption does not list under its id is the latest, once that is another than `before` the upload: so it
        reports those that could not write their storage.
        """
        patience = Patience(DEPLOYMENT_PATIENCE_SECONDS)
        while True:
            record, listed = self._deployment(deployment), deployment
            if not record and (latest := self._deployment(LATEST)).get("id") != before:
                record, listed = latest, LATEST
            status = record.get("status")
            if status == SUCCESS:
                return None
            if status in {FAILED, CANCELLED, CONFLICT, PARTIAL}:
                return self._judge(listed, int(status), str(record.get("status_text") or ""))
            if not patience.wait(POLL_SECONDS):
                nowhere = "is listed nowhere, neither under its id nor as the latest"
                state = f"is still going on (state {status})" if record else nowhere
                raise self._client.error(
                    f"deployment {deployment} {state}",
                    "look at it in the portal's deployment centre, then run pulumi up again",
                )

    def _deployment(self, deployment: str) -> dict[str, Any]:
        """The record of a deployment; empty while it is not listed."""
        response = self._client.send("GET", f"/api/deployments/{deployment}")
        if response.status_code == NOT_FOUND:
            return {}
        if response.status_code not in {200, 202}:
            raise self._client.failure(response, "reading the deployment")
        return dict(self._client.json(response, "reading the deployment"))

    def _judge(self, deployment: str, status: int, text: str) -> AzureError:
        """The error of a deployment that ended badly: returned when it passes by itself, raised when it doesn't."""
        reported = " ".join(part for part in (text, self._deployment_log(deployment)) if part) or "no reason given"
        names = {FAILED: "failed", CANCELLED: "was cancelled", CONFLICT: "met another one", PARTIAL: "succeeded only in part"}
        error = AzureError(
            f"function app {self.name}: deployment {deployment} {names[status]}: {reported} "
            "Next: fix what it names and run pulumi up again; the app goes on with the code it had.",
            status=200,
            code=f"deployment {names[status]}",
            message=reported,
        )
        if status in {CANCELLED, CONFLICT} or FRESH_WORDS.search(reported):
            return error
        raise error

    def _deployment_log(self, deployment: str) -> str:
        response = self._client.send("GET", f"/api/deployments/{deployment}/log")
        if response.status_code != 200:
            return ""
        return " ".join(str(entry.get("message", "")) for entry in self._client.json(response, "reading its log"))[-1500:]

    def _wait_for(self, sha256: str) -> None:
        patience = Patience(HEALTH_PATIENCE_SECONDS)
        content, reported = self._health()
        while content != sha256:
            if not patience.wait(POLL_SECONDS):
                raise self._client.error(
                    f"published, but {self._public}/api/health answers {reported}",
                    "see in Application Insights why it doesn't start, or go back to the last good commit; then pulumi up again",
                )
            content, reported = self._health()

    def _health(self) -> tuple[str, str]:
        """The content hash the app answers with, if any, and what it answered in words."""
        try:
            response = requests.get(f"{self._public}/api/health", auth=as_asked, timeout=(5, 15))
            content = response.json()["sha256"] if response.status_code == 200 else ""
        except (requests.ConnectionError, requests.Timeout) as fault:
            return "", f"nothing ({type(fault).__name__})"
        except (ValueError, KeyError, TypeError):
            return "", "something that is not its content hash"
        return str(content), f"content {content[:12]}" if content else f"HTTP {response.status_code}"


class FunctionPackageProvider(ResourceProvider):
    """Publishes a package and waits until the app answers with its hash. Holds nothing."""

    serialize_as_secret_always = False

    def configure(self, req: ConfigureRequest) -> None:
        """Called once in the provider's process."""
        log_to_standard_error()

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Another content, or another app. With neither, what the app answers: a failed publication that was taken back is an
        update."""
        changed = changed_properties(_olds, _news, ("appName", "sha256"))
        changes = bool(changed) or FunctionApp(_news["appName"]).running_content() != _news["sha256"]
        return DiffResult(changes=changes, replaces=replacing(changed, _news, ("appName",)))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Publish, unless the app already runs this content."""
        FunctionApp(props["appName"]).publish(REPOSITORY / props["packagePath"], props["sha256"])
        return CreateResult(props["appName"], dict(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """The same as creating."""
        return UpdateResult(self.create(_news).outs)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The content that runs: empty when the app doesn't answer, which the next update fixes."""
        live = {**props, "sha256": FunctionApp(props["appName"]).running_content()}
        return ReadResult(id_, live, dict(live))

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Nothing to do: the code goes with its app."""


class FunctionPackage(Resource, module="roompulse", name="FunctionPackage"):
    """A published package. `sha256` is the content hash the running app answers with at /api/health."""

    sha256: pulumi.Output[str]

    def __init__(
        self,
        resource_name: str,
        app_name: pulumi.Input[str],
        package_path: str | Path,
        sha256: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Both `package_path` and `sha256` come from `infra.packaging`.

        The package lies within the repository, and state holds its path from there: no path of this machine, no bytes.
        """
        path = (REPOSITORY / package_path).resolve()
        if not path.is_relative_to(REPOSITORY):
            raise ValueError(f"{path} is outside the repository, so no other machine would find it: build packages into output/.")
        relative = path.relative_to(REPOSITORY).as_posix()
        super().__init__(
            FunctionPackageProvider(), resource_name, {"appName": app_name, "packagePath": relative, "sha256": sha256}, opts
        )
