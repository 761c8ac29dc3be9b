"""A small file in Azure Storage as a resource: uploaded with Entra alone, where azure-native's own Blob wants the account's key.

The text itself is an input, so that a preview shows what changes in it; so it must hold no secret. What Azure holds is compared
when Pulumi refreshes: another content, or none, is written again by the next `pulumi up`.
"""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import quote

import pulumi
import requests
from pulumi.dynamic import ConfigureRequest, CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from infra.providers.base import AzureClient, AzureError, Patience, changed_properties, log, log_to_standard_error, replacing
from infra.providers.credentials import access_token
from processors.contracts.facts import STORAGE_SCOPE

API_VERSION = "2023-11-03"
FRESH = frozenset({403, 404, 409})
"""Answers that pass by themselves: a role, a firewall rule or a container not known everywhere yet, a container being made."""
ALREADY_THERE = "BlobAlreadyExists"
FRESH_PATIENCE_SECONDS = 600.0
"""A role assignment takes up to ten minutes to be known to the storage service."""
OK, CREATED, ACCEPTED, FORBIDDEN, NOT_FOUND = 200, 201, 202, 403, 404


class BlobStorage:
    """The blobs of one container, by name."""

    def __init__(self, container_url: str) -> None:
        self._container = container_url.rstrip("/")

    def write(self, name: str, content: str) -> None:
        """Write a blob, whatever was there. Waits for roles and containers that are not known everywhere yet."""
        self._put(name, content, {})

    def write_new(self, name: str, content: str) -> bool:
        """Write a blob where there is none; False where there is one, which stays as it is. Waits as `write` does."""
        return self._put(name, content, {"If-None-Match": "*"})

    def _put(self, name: str, content: str, condition: dict[str, str]) -> bool:
        client = self._client(name)
        headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/json; charset=utf-8", **condition}
        patience = Patience(FRESH_PATIENCE_SECONDS)
        while (response := self._send(client, "PUT", name, content.encode(), headers)).status_code != CREATED:
            failure = _reported(client, response, "writing the blob")
            if condition and failure.code == ALREADY_THERE:
                return False
            if response.status_code not in FRESH or not patience.wait(10.0):
                raise failure
            log.info("%s: not accepted yet (%s), trying again", client.subject, failure.code)
        return True

    def read(self, name: str) -> str | None:
        """The content of a blob; None when it, its container or its account is gone."""
        client = self._client(name)
        response = self._send(client, "GET", name)
        if response.status_code == NOT_FOUND:
            return None
        if response.status_code != OK:
            raise _reported(client, response, "reading the blob")
        return response.content.decode(errors="replace")

    def delete(self, name: str) -> None:
        """Delete a blob; one that is gone already is fine."""
        client = self._client(name)
        response = self._send(client, "DELETE", name)
        if response.status_code not in {ACCEPTED, NOT_FOUND}:
            raise _reported(client, response, "deleting the blob")

    def _client(self, name: str) -> AzureClient:
        return AzureClient(f"blob {self._container}/{name}", self._container, lambda: access_token(STORAGE_SCOPE))

    def _send(
        self, client: AzureClient, method: str, name: str, data: bytes | None = None, headers: dict[str, str] | None = None
    ) -> requests.Response:
        return client.send(method, f"/{quote(name)}", data=data, headers={"x-ms-version": API_VERSION, **(headers or {})})


def _reported(client: AzureClient, response: requests.Response, doing: str) -> AzureError:
    """The error of an answer. The storage service says in a header why, and who may is decided by another role than ARM's."""
    failure = client.failure(response, doing)
    code = response.headers.get("x-ms-error-code") or failure.code
    text = f"{client.subject}: {doing} failed: HTTP {response.status_code} {code}."
    if response.status_code == FORBIDDEN:
        text += (
            " Next: give the deployer the role Storage Blob Data Contributor on the resource group or the subscription, "
            "deploy from inside the network if the stack is private (docs/stages/deploy.md), and run pulumi up again."
        )
    else:
        text += " Next: run pulumi up again: it goes on from where this one stopped."
    return AzureError(text, response.status_code, code, failure.message)


def digest(content: str | None) -> str:
    """SHA-256 (hex) of a content; empty for none."""
    return "" if content is None else hashlib.sha256(content.encode()).hexdigest()


class BlobFileProvider(ResourceProvider):
    """Keeps a blob at a content. Holds nothing."""

    serialize_as_secret_always = False

    def configure(self, req: ConfigureRequest) -> None:
        """Called once in the provider's process."""
        log_to_standard_error()

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Another content is an update; another place is another blob."""
        changed = changed_properties(_olds, _news, ("containerUrl", "blobName", "content"))
        return DiffResult(changes=bool(changed), replaces=replacing(changed, _news, ("containerUrl", "blobName")))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Write the blob."""
        BlobStorage(props["containerUrl"]).write(props["blobName"], props["content"])
        outputs = {**props, "sha256": digest(props["content"])}
        return CreateResult(f"{props['containerUrl'].rstrip('/')}/{props['blobName']}", outputs)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """The same as creating."""
        return UpdateResult(self.create(_news).outs)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """What Azure holds. A blob that is gone is read as an empty one, which the next update writes again."""
        content = BlobStorage(props["containerUrl"]).read(props["blobName"])
        live = {**props, "content": content or "", "sha256": digest(content)}
        return ReadResult(id_, live, dict(live))

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Delete the blob."""
        BlobStorage(_props["containerUrl"]).delete(_props["blobName"])


class BlobFile(Resource, module="roompulse", name="BlobFile"):
    """A blob with a text. `sha256` names the content that was written."""

    sha256: pulumi.Output[str]

    def __init__(
        self,
        resource_name: str,
        container_url: pulumi.Input[str],
        blob_name: str,
        content: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`container_url` is https://ACCOUNT.blob.core.windows.net/CONTAINER; `content` is in previews and in state."""
        inputs = {"containerUrl": container_url, "blobName": blob_name, "content": content, "sha256": None}
        super().__init__(BlobFileProvider(), resource_name, inputs, opts)
