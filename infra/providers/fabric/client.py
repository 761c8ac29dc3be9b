"""Requests to Fabric: long-running operations to their real end, lists to their last page, and errors that name who can help.

Shapes and codes are those of the published REST specification (github.com/microsoft/fabric-rest-api-specs).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import requests

from infra.providers.base import (
    OPERATION_PATIENCE_SECONDS,
    POLL_SECONDS,
    AzureClient,
    AzureError,
    Patience,
    ProviderError,
    log,
    next_step,
    retry_after,
)
from infra.providers.credentials import access_token

SCOPE = "https://api.fabric.microsoft.com/.default"
MADE_BY = "Deployed by RoomPulse"
"""How the description of everything we make begins. What bears another was made by somebody else, and is not touched."""
NAME_PATIENCE_SECONDS = 900.0
"""How long a name may stay taken after its item is deleted: minutes, as users report."""
CONSISTENCY_PATIENCE_SECONDS = 300.0
"""How long what was just made may stay unknown to the next request: minutes, as users report of Eventhouses."""
NAME_TAKEN = frozenset(
    {
        "ItemDisplayNameAlreadyInUse",
        "WorkspaceNameAlreadyExists",
        "DuplicateConnectionName",
        "PrincipalAlreadyHasWorkspaceRolePermissions",
    }
)
"""Codes of a name that something has, or that something had which was deleted a moment ago."""
NAME_COOLING = frozenset({"ItemDisplayNameNotAvailableYet"})
GONE = frozenset({"ItemNotFound", "EntityNotFound", "WorkspaceNotFound", "FolderNotFound", "RoleNotFound"})
"""What a 404 says of something that is not there. Fabric says 404 of much else, of what lies on a paused capacity for one."""
NOT_KNOWN_YET = frozenset({"ParentEventhouseItemWasNotFound", "EntityNotFound", "ItemNotFound", "WorkspaceNotFound"})
NO_RESULT = GONE | {"OperationHasNoResult", "OperationNotFound"}
UNDER_WAY = frozenset({"NotStarted", "Running"})
"""The states of an operation that is not at its end."""
SETTINGS = "app.fabric.microsoft.com > Settings > Admin portal > Tenant settings > Developer settings"
RENEW = "az login (or renew the credentials of the workflow), then run pulumi up again."
RESUME = "resume the capacity (az fabric capacity resume), then run pulumi up again: nothing in it is lost."
STEPS = {
    "CapacityNotActive": RESUME,
    "CapacityNotInActiveState": RESUME,
    "TokenExpired": RENEW,
    "InvalidToken": RENEW,
    "InsufficientWorkspaceRole": "an admin of the workspace makes the deploying principal a Member, then run pulumi up again.",
    "InsufficientPermissionsOverCapacity": (
        "an administrator of the capacity adds the deploying principal to it (azure.fabricCapacity.admins; for a capacity of "
        "somebody else's, Admin portal > Capacity settings > Contributor permissions), then run pulumi up again."
    ),
    "UnsupportedCapacitySKU": "name a Fabric capacity (F SKU) in azure.fabric.capacity, then run pulumi up again.",
}
"""What to do about some of Fabric's codes."""
FORBIDDEN = (
    f'a Fabric administrator turns on "Service principals can call Fabric public APIs" and "Service principals can create '
    f'workspaces, connections, and deployment pipelines" ({SETTINGS}) for a group the deploying principal is in; '
    "in a workspace that exists, its admin makes the principal a Member. Then run pulumi up again."
)
"""What it mostly means that Fabric doesn't let somebody in: it names neither setting."""
NOT_LET_IN = frozenset(
    {"InsufficientPrivileges", "InsufficientScopes", "Unauthorized", "Forbidden", "PowerBINotAuthorizedException"}
)
"""Codes of that. Other refusals (a protected label, a capacity) name their own reason."""


class FabricClient(AzureClient):
    """Requests to Fabric on behalf of one resource (`subject` is how errors and the log call it)."""

    def __init__(self, subject: str) -> None:
        endpoint = os.environ.get("ROOMPULSE_FABRIC_ENDPOINT", "https://api.fabric.microsoft.com")
        super().__init__(subject, endpoint, lambda: access_token(SCOPE))

    def get(self, address: str, doing: str) -> dict[str, Any] | None:
        """What is at an address; None when Fabric says that nothing is. Raises AzureError for any other answer."""
        response = self.send("GET", address)
        if self._says(response, GONE):
            return None
        return dict(self.json(self.expect(response, doing, 200), doing))

    def listed(self, address: str, doing: str) -> Iterator[dict[str, Any]]:
        """Everything in a list, page by page; a page may be empty. Raises ProviderError when a page leads back to itself."""
        following, token = address, None
        while following:
            page = self.json(self.expect(self.send("GET", following), doing, 200), doing)
            yield from page.get("value") or []
            before, token = token, page.get("continuationToken")
            if token and token == before:
                raise self.error(f"{doing}: the list has no end, its last page leads to itself", "run pulumi up again")
            separator = "&" if "?" in address else "?"
            following = address + separator + urlencode({"continuationToken": token}) if token else ""

    def operate(self, method: str, address: str, body: Any, doing: str) -> dict[str, Any]:
        """Do something to its real end and return what came of it: at once, or as a long-running operation (202).

        Raises AzureError when Fabric refuses it, or when the operation it accepted fails; NotFollowed when it accepts it and
        names no operation.
        """
        response = self.expect(self.send(method, address, json=body), doing, 200, 201, 202, 204)
        if response.status_code != requests.codes.accepted:
            return self._content(response, doing)
        operation = _operation_of(response)
        if not operation:
            step = "see in the workspace what became of it, then run pulumi up again"
            raise NotFollowed(f"{self.subject}: {doing} was accepted without saying how to follow it. Next: {step}.")
        return self._followed(f"/v1/operations/{quote(operation)}", response, doing)

    def patiently(self, attempt: Callable[[], dict[str, Any]], passing: Collection[str], seconds: float) -> dict[str, Any]:
        """The result of `attempt`, made again while it fails with one of the codes that pass by themselves."""
        patience = Patience(seconds)
        while True:
            try:
                return attempt()
            except AzureError as fault:
                if fault.code not in passing or not patience.wait(10.0):
                    raise
                log.info("%s: %s, trying again", self.subject, fault.code)

    def made_or_taken_up(
        self,
        make: Callable[[], dict[str, Any]],
        take_up: Callable[[], dict[str, Any] | None],
        passing: Collection[str] = frozenset(),
        seconds: float = CONSISTENCY_PATIENCE_SECONDS,
    ) -> dict[str, Any]:
        """What `make` makes or, where the name is taken, what `take_up` finds; both again while neither gives anything.

        A name stays taken for minutes by what was deleted, and what has it is listed minutes late: only the next attempt shows
        which it is. Raises AzureError when it stays taken, or for any other code than those of `passing`.
        """
        patience = Patience(seconds)
        while True:
            try:
                return make()
            except AzureError as fault:
                if fault.code in NAME_TAKEN and (found := take_up()):
                    return found
                if fault.code not in (*NAME_TAKEN, *passing) or not patience.wait(10.0):
                    raise
                log.info("%s: %s, trying again", self.subject, fault.code)

    def eventually(self, look: Callable[[], dict[str, Any] | None]) -> dict[str, Any] | None:
        """What `look` finds, looking again for as long as a list may lag behind what was just made; None when it never does."""
        patience = Patience(CONSISTENCY_PATIENCE_SECONDS)
        while (found := look()) is None and patience.wait(10.0):
            log.info("%s: not listed yet, looking again", self.subject)
        return found

    def optionally(self, read: Callable[[], str], doing: str) -> str:
        """What a read says that nothing depends on; "" when it fails, which is reported with its cause and stops nothing."""
        try:
            return read()
        except ProviderError as fault:
            log.warning("%s: %s failed, so changes by others are not seen: %s", self.subject, doing, fault)
            return ""

    def remove(self, address: str, doing: str) -> None:
        """Delete what is at an address, to its real end; that nothing is there is fine, if Fabric says so."""
        response = self.send("DELETE", address)
        if self._says(response, GONE):
            return
        operation = _operation_of(self.expect(response, doing, 200, 202, 204))
        if response.status_code == requests.codes.accepted and operation:
            self._followed(f"/v1/operations/{quote(operation)}", response, doing)

    def failure(self, response: requests.Response, doing: str) -> AzureError:
        """The error Fabric answered with, reported with its code, its request id and who can do what about it."""
        code, message = _error_of(response)
        wait = retry_after(response)
        return self.refusal(doing, response.status_code, code, message, response.headers.get("RequestId", ""), wait)

    def refusal(self, doing: str, status: int, code: str, message: str, request: str = "", wait: float = 0.0) -> AzureError:
        """An error of Fabric's from its parts; `wait` are the seconds it asks to wait."""
        step = STEPS.get(code) or (FORBIDDEN if code in NOT_LET_IN else next_step(status, code, wait))
        tracking = f" Request id {request}." if request else ""
        text = f"{self.subject}: {doing} failed: HTTP {status} {code}: {message}{tracking} Next: {step}"
        return AzureError(text, status, code, message)

    def _followed(self, operation: str, accepted: requests.Response, doing: str) -> dict[str, Any]:
        patience, pause = Patience(OPERATION_PATIENCE_SECONDS), retry_after(accepted)
        while patience.wait(pause or POLL_SECONDS):
            response = self.send("GET", operation)
            pause = retry_after(response)
            if self._says(response, NO_RESULT):  # accepted a moment ago, not known everywhere yet
                continue
            state = self.json(self.expect(response, doing, 200, 202), doing)
            state = state if isinstance(state, Mapping) else {}
            status = str(state.get("status") or "Undefined")
            if status == "Succeeded":
                return self._result(operation, doing)
            if status not in UNDER_WAY:
                error = state.get("error")
                error = error if isinstance(error, Mapping) else {"message": error}
                message = " ".join(_messages(error)) or f"Fabric says no more than {status}."
                raise self.refusal(doing, 200, str(error.get("errorCode") or f"Operation{status}"), message)
        raise self.error(f"{doing} is still going on after {OPERATION_PATIENCE_SECONDS / 60:.0f} minutes", "run pulumi up again")

    def _result(self, operation: str, doing: str) -> dict[str, Any]:
        """What came of a finished operation; nothing where Fabric says that it has no result."""
        response = self.send("GET", f"{operation}/result")
        if response.status_code != requests.codes.ok and _error_of(response)[0] in NO_RESULT:
            return {}
        return self._content(self.expect(response, doing, 200), doing)

    def _says(self, response: requests.Response, codes: Collection[str]) -> bool:
        """Whether an answer is a 404 for one of these reasons: the status alone is none."""
        return response.status_code == requests.codes.not_found and _error_of(response)[0] in codes

    def _content(self, response: requests.Response, doing: str) -> dict[str, Any]:
        content = self.json(response, doing) if response.content else {}
        return dict(content) if isinstance(content, Mapping) else {}


def _operation_of(response: requests.Response) -> str:
    """The id of the operation that an answer names; "" when it names none."""
    location = re.search(r"/operations/([^/?]+)", response.headers.get("Location", ""))
    return response.headers.get("x-ms-operation-id") or (location[1] if location else "")


def _error_of(response: requests.Response) -> tuple[str, str]:
    """Fabric's error code and message: `{errorCode, message, moreDetails}`."""
    try:
        body = response.json()
    except ValueError:
        return response.reason or "error", response.text.strip()[:2000]
    if not isinstance(body, dict):
        return response.reason or "error", str(body)[:2000]
    return str(body.get("errorCode") or response.reason or "error"), " ".join(_messages(body))[:2000]


def _messages(error: Mapping[str, Any]) -> Iterator[str]:
    details = error.get("moreDetails") or []
    reported = [error.get("message"), *(detail.get("message") for detail in details if isinstance(detail, Mapping))]
    yield from dict.fromkeys(str(text).strip() for text in reported if text)


def required(found: dict[str, Any] | None, client: FabricClient, what: str) -> dict[str, Any]:
    """What was found, or an error that says it is gone."""
    if found is None:
        raise client.error(f"{what} is not there", "pulumi refresh, then run pulumi up again")
    return found


def first_named(listed: Iterable[dict[str, Any]], name: str) -> dict[str, Any] | None:
    """What has a name in a list: Fabric's names differ by more than case. What other people made may have none."""
    named = [one for one in listed if str(one.get("displayName") or "").casefold() == name.casefold()]
    return min(named, key=lambda one: one["displayName"] != name, default=None)


class NotFollowed(ProviderError):
    """Fabric accepted something without saying how to see what becomes of it."""


class TakenName(ProviderError):
    """A name belongs to something that is not ours."""


def claimed(client: FabricClient, found: Mapping[str, Any], what: str, described: str) -> None:
    """Raises TakenName unless what was found is `described` as ours is, stack and all: an interrupted run left it behind."""
    if found.get("description") != described:
        raise TakenName(
            f"{client.subject}: there is {what} already, made by somebody else. "
            "Next: give yours another name, or delete that one, then run pulumi up again."
        )
