"""Blobs of one container of Azure Storage: read and written on condition of their etag, listed, leased.

What several instances share (state, settings, turns) lives in blobs. An etag names what was read, so a write on condition of it
never overwrites what somebody else wrote in between; a lease lets one instance at a time work, and a write under a lease fails
once the lease is lost. The client (azure-storage-blob) is imported at the first use: it costs 120 ms.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import threading
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

LEASE_SECONDS = 60
"""How long a lease holds without being renewed: the longest a timed lease can be."""
RENEWAL_SECONDS = 20.0
"""How often a kept lease is renewed: two renewals may fail before it is lost."""
RETRIES = 3
BACKOFF_SECONDS, BACKOFF_GROWTH, BACKOFF_JITTER_SECONDS = 1, 2, 1
"""Waits of 1, 3 and 5 s, each give or take 1 s, before a request that was throttled or got no answer is tried again."""
CONNECT_SECONDS = 5
READ_SECONDS = 20

log = logging.getLogger("roompulse.blobs")


class BlobError(Exception):
    """The storage did not do what was asked for. The text names the blob, the reason and the next step."""


class BlobChanged(BlobError):
    """The blob is not what it was when it was read: somebody else wrote it, made it or deleted it. Read it again."""


class LeaseLost(BlobError):
    """A lease that was held has ended: it was not renewed in time, or somebody broke it."""


class Blob(NamedTuple):
    """What a blob holds, and the etag that names this content."""

    content: bytes
    etag: str


class ListedBlob(NamedTuple):
    """A blob of a listing: its name in the container, its etag and its size in bytes."""

    name: str
    etag: str
    size: int


class BlobContainer:
    """A container, named by its URL, such as https://ACCOUNT.blob.core.windows.net/CONTAINER. May be used by several threads."""

    def __init__(self, url: str, environment: Mapping[str, str] | None = None, credential: Any = None, folder: str = "") -> None:
        """`folder`: where all of its blobs are, in it; the container itself without.

        Enter with `credential` if one is given, else with the managed identity AZURE_CLIENT_ID of `environment` (or whatever
        azure-identity finds: `az login` in a shell). A container on this machine (http on loopback) is entered without any.

        Raises BlobError when the URL is none. Nothing is asked of the storage yet.
        """
        fault = fault_of_container_url(url)
        if fault:
            raise BlobError(fault)
        self.url = url.rstrip("/")
        self._folder = f"{folder}/" if folder else ""
        from azure.core.pipeline.transport import RequestsTransport
        from azure.storage.blob import ContainerClient, ExponentialRetry

        from processors.contracts.http_session import Session  # requests takes its time too

        credential = credential or _credential(self.url, environment or {})
        retries = ExponentialRetry(BACKOFF_SECONDS, BACKOFF_GROWTH, RETRIES, random_jitter_range=BACKOFF_JITTER_SECONDS)
        self._client = ContainerClient.from_container_url(
            self.url,
            credential=credential,
            retry_policy=retries,
            transport=RequestsTransport(session=Session(), connection_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def read(self, name: str) -> Blob | None:
        """The blob of this name, None when there is none. Raises BlobError."""
        try:
            with self._faults("read", name):
                download = self._client.get_blob_client(self._folder + name).download_blob()
                return Blob(download.readall(), str(download.properties.etag))
        except _BlobMissing:
            return None

    def etag_of(self, name: str) -> str | None:
        """The etag of a blob without its content, None when there is none. Raises BlobError."""
        try:
            with self._faults("read", name):
                return str(self._client.get_blob_client(self._folder + name).get_blob_properties().etag)
        except _BlobMissing:
            return None

    def write(self, name: str, content: bytes, etag: str | None, lease: Lease | None = None) -> str:
        """Write the blob if it still is what `etag` names (None: if there is none yet), under `lease` if it is leased; gives the
        new etag. Raises BlobChanged, LeaseLost, BlobError.

        An answer can get lost after the storage has written. The client then tries again and finds a blob that has changed: what
        it finds is compared with `content`, and if it is that, all is well.
        """
        from azure.core import MatchConditions

        condition: dict[str, Any] = {"overwrite": False}
        if etag is not None:
            condition = {"overwrite": True, "etag": etag, "match_condition": MatchConditions.IfNotModified}
        try:
            with self._faults("write", name):
                client = self._client.get_blob_client(self._folder + name)
                return str(client.upload_blob(content, lease=lease.client if lease else None, **condition)["etag"])
        except BlobChanged:
            found = self.read(name)
            if found is None or found.content != content:
                raise
            return found.etag

    def delete(self, name: str, etag: str | None = None) -> None:
        """Delete the blob, if it still is what `etag` names when one is given; a blob that is gone already is fine.

        Raises BlobChanged, BlobError.
        """
        from azure.core import MatchConditions

        condition: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified} if etag else {}
        with contextlib.suppress(_BlobMissing), self._faults("delete", name):
            self._client.get_blob_client(self._folder + name).delete_blob(**condition)

    def list(self, prefix: str = "") -> list[ListedBlob]:
        """The blobs whose names begin with `prefix`, by name, all pages. Raises BlobError."""
        with self._faults("list", f"{prefix}*"):
            blobs = self._client.list_blobs(name_starts_with=prefix or None)
            return [ListedBlob(str(blob.name), str(blob.etag), int(blob.size or 0)) for blob in blobs]

    def acquire(self, name: str, seconds: int = LEASE_SECONDS) -> Lease | None:
        """A lease on a blob for `seconds` (15 to 60), None when somebody else holds one. Raises BlobError."""
        from azure.storage.blob import BlobLeaseClient

        client = BlobLeaseClient(self._client.get_blob_client(self._folder + name))
        try:
            with self._faults("lease", name):
                client.acquire(lease_duration=seconds)
        except _LeasedByAnother:
            return None
        return Lease(self, name, client)

    @contextlib.contextmanager
    def _faults(self, action: str, name: str) -> Iterator[None]:
        """Turn what the client raises into our errors."""
        from azure.core.exceptions import AzureError, HttpResponseError

        shown = f"{self.url}/{self._folder}{name}"
        try:
            yield
        except HttpResponseError as fault:
            if fault.response is None:  # azure-identity's own: the storage was not asked
                raise BlobError(f"{shown}: can't {action} it: Azure gives no token. {_SIGN_IN}") from fault
            raise _translated(action, shown, fault) from fault
        except (AzureError, OSError) as fault:
            raise BlobError(
                f"{shown}: can't {action} it ({type(fault).__name__}: {_first_line(fault)}). See that this machine reaches the "
                "storage account (firewall, private endpoint, DNS) and that its identity is set (AZURE_CLIENT_ID)."
            ) from fault


class Lease:
    """The right to work on a blob, held until it is released, not renewed in time, or broken by somebody."""

    def __init__(self, container: BlobContainer, name: str, client: Any) -> None:
        self.id = str(client.id)
        self.name = name
        self.client = client
        """The client's own lease, for writes under it."""
        self._container = container
        self._stop = threading.Event()
        self._keeper: threading.Thread | None = None
        self._lost = False

    @property
    def held(self) -> bool:
        """Whether, as far as we know, it still is ours."""
        return not self._lost and not self._stop.is_set()

    def keep(self, every: float = RENEWAL_SECONDS) -> None:
        """Renew it from now on in a thread of its own, until it is released or lost."""
        self._keeper = threading.Thread(target=self._keep, args=(every,), name=f"lease {self.name}", daemon=True)
        self._keeper.start()

    def renew(self) -> None:
        """Hold it for its full time once more. Raises LeaseLost, BlobError."""
        try:
            with self._container._faults("renew the lease of", self.name):
                self.client.renew()
        except (LeaseLost, _LeasedByAnother, _BlobMissing) as fault:
            self._lost = True
            raise LeaseLost(str(fault)) from fault

    def release(self) -> None:
        """Let others have it at once. A lease that is lost already is fine. Raises BlobError."""
        if self._stop.is_set():
            return
        self._stop.set()
        if self._keeper is not None and self._keeper is not threading.current_thread():
            self._keeper.join()
        if self._lost:
            return
        try:
            with self._container._faults("release the lease of", self.name):
                self.client.release()
        except (LeaseLost, _LeasedByAnother, _BlobMissing):
            self._lost = True

    def _keep(self, every: float) -> None:
        while not self._stop.wait(every):
            try:
                self.renew()
            except LeaseLost as fault:
                log.warning("lease lost", extra={"ids": {"blob": self.name, "fault": str(fault)}})
                return
            except BlobError as fault:
                log.warning("lease not renewed; trying again", extra={"ids": {"blob": self.name, "fault": str(fault)}})


class _LeasedByAnother(BlobError):
    """Somebody else holds a lease on the blob."""


class _BlobMissing(BlobError):
    """There is no blob of this name."""


_SIGN_IN = "In a shell sign in (az login); a function app needs the managed identity that AZURE_CLIENT_ID names."
_NEXT_STEPS = {
    403: "Give this identity the role Storage Blob Data Contributor on the container, and wait some minutes for it to hold.",
    401: "Give this identity the role Storage Blob Data Contributor on the container, and see that AZURE_CLIENT_ID names it.",
    404: "Deploy it (pulumi up), or correct the URL: https://ACCOUNT.blob.core.windows.net/CONTAINER.",
    503: "The account is throttled or down; what could not be done now is done by the next try.",
}
_LEASED = frozenset({"LeaseAlreadyPresent", "LeaseIsBreakingAndCannotBeAcquired"})
_LOST = frozenset(
    {
        "LeaseIdMismatchWithBlobOperation",
        "LeaseIdMismatchWithLeaseOperation",
        "LeaseIdMissing",
        "LeaseIsBrokenAndCannotBeRenewed",
        "LeaseIsBreakingAndCannotBeChanged",
        "LeaseLost",
        "LeaseNotPresentWithBlobOperation",
        "LeaseNotPresentWithLeaseOperation",
    }
)
_CHANGED = frozenset({"BlobAlreadyExists", "ConditionNotMet", "TargetConditionNotMet", "UnauthorizedBlobOverwrite"})


def fault_of_container_url(url: str) -> str | None:
    """What is wrong with a container's URL, None when it is one: https, or http on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    proper = parts.scheme == "https" or (parts.scheme == "http" and _is_this_machine(parts.hostname or ""))
    if proper and parts.hostname and parts.path.strip("/") and not parts.query:
        return None
    return f"{parts._replace(query='').geturl()!r} is not a URL of a container: https://ACCOUNT.blob.core.windows.net/CONTAINER."


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _credential(url: str, environment: Mapping[str, str]) -> Any:
    """Entra, by azure-identity; none for a stand-in on this machine, which could not check one."""
    if urlsplit(url).scheme == "http":
        return None
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential(managed_identity_client_id=environment.get("AZURE_CLIENT_ID"))


def _translated(action: str, shown: str, fault: Any) -> BlobError:
    """Our error for an answer of the storage."""
    code, status = _code(fault), fault.status_code or 0
    if code == "BlobNotFound":
        return _BlobMissing(f"{shown} does not exist.")
    if code in _LEASED:
        return _LeasedByAnother(f"{shown} is leased by another instance ({code}).")
    if code in _LOST:
        return LeaseLost(f"{shown}: can't {action} it: the lease is not ours any more ({code}). Another instance goes on.")
    if code in _CHANGED or status == 412:
        return BlobChanged(f"{shown}: can't {action} it: it has changed since it was read ({code or status}). Read it again.")
    next_step = _NEXT_STEPS.get(status, "Look the code up in the storage account's diagnostics.")
    return BlobError(f"{shown}: can't {action} it: {status} {code or _first_line(fault)}. {next_step}")


def _code(fault: Any) -> str:
    """The storage's own code of an error, such as ConditionNotMet; empty when it gave none."""
    code = getattr(fault, "error_code", None)
    return str(getattr(code, "value", code) or "")


def _first_line(fault: BaseException) -> str:
    return (str(fault).splitlines() or [""])[0]
