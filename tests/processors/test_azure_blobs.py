"""Blobs through the real azure-storage-blob client, against our fake that follows the documentation and against Azurite."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from azure.core.exceptions import ClientAuthenticationError

from processors import azure_blobs
from processors.azure_blobs import BlobChanged, BlobContainer, BlobError, LeaseLost, fault_of_container_url
from tests.support.azurite import AzuriteBlobs
from tests.support.blobs import AZURITE, Blobs, served
from tests.support.fake_blobs import FakeBlobs


@pytest.fixture
def container(blobs: Blobs) -> Iterator[BlobContainer]:
    container = BlobContainer(blobs.url())
    yield container
    container.close()


def test_what_is_written_is_read_with_the_etag_that_names_it(container: BlobContainer) -> None:
    etag = container.write("a/b.json", b"one", None)
    assert container.read("a/b.json") == (b"one", etag) == (b"one", container.etag_of("a/b.json"))
    again = container.write("a/b.json", b"", etag)
    assert again != etag
    assert container.read("a/b.json") == (b"", again), "an empty blob is a blob"


def test_what_does_not_exist_is_none(container: BlobContainer) -> None:
    assert container.read("nothing") is None
    assert container.etag_of("nothing") is None


def test_a_write_never_overwrites_what_somebody_else_wrote(blobs: Blobs, container: BlobContainer) -> None:
    etag = container.write("blob", b"mine", None)
    theirs = blobs.put("blob", b"theirs")
    with pytest.raises(BlobChanged, match="blob: can't write it: it has changed"):
        container.write("blob", b"mine again", etag)
    with pytest.raises(BlobChanged):
        container.write("blob", b"new", None)
    with pytest.raises(BlobChanged):
        container.delete("blob", etag)
    assert container.read("blob") == (b"theirs", theirs)


@pytest.mark.fake_blobs_only("loses an answer")
def test_a_write_whose_answer_got_lost_counts_as_written(blobs: FakeBlobs, container: BlobContainer) -> None:
    etag = container.write("blob", b"one", None)
    blobs.lose_answer.append("PUT")
    written = container.write("blob", b"two", etag)
    assert container.read("blob") == (b"two", written)
    assert blobs.actions().count("PUT") == 3, "the client tried again"


@pytest.mark.fake_blobs_only("throttles")
def test_throttling_is_waited_out(blobs: FakeBlobs, container: BlobContainer) -> None:
    blobs.throttle += ["PUT", "GET", "list", "lease-acquire"]
    container.write("blob", b"one", None)
    assert container.read("blob") is not None
    assert len(container.list()) == 1
    assert container.acquire("blob") is not None


@pytest.mark.fake_blobs_only("throttles")
def test_throttling_without_end_is_an_error_with_the_next_step(blobs: FakeBlobs, container: BlobContainer) -> None:
    blobs.throttle += ["PUT"] * (azure_blobs.RETRIES + 1)
    with pytest.raises(BlobError, match=r"503 ServerBusy.*throttled or down"):
        container.write("blob", b"one", None)
    assert blobs.names() == []


def test_a_listing_names_blobs_below_a_prefix_over_all_pages(container: BlobContainer) -> None:
    etags = {name: container.write(name, b"x" * size, None) for size, name in enumerate(f"p/{n}" for n in range(8))}
    container.write("q/1", b"", None)
    assert [blob.name for blob in container.list("p/")] == sorted(etags)
    assert {blob.name: blob.etag.strip('"') for blob in container.list("p/")} == {n: e.strip('"') for n, e in etags.items()}
    assert [blob.size for blob in container.list("p/")] == list(range(8))
    container.delete("p/3")
    container.delete("p/3")
    assert len(container.list("p/")) == 7


def test_a_blob_of_many_blocks_is_written_whole_on_condition_and_under_its_lease(blobs: Blobs, container: BlobContainer) -> None:
    """Above 64 MiB the client sends blocks and a list of them, so condition and lease are on other requests than else."""
    big = random.Random(1).randbytes(70 * 2**20)
    etag = container.write("blob", b"small", None)
    lease = container.acquire("blob")
    with pytest.raises(LeaseLost):
        container.write("blob", big, etag)
    with pytest.raises(BlobChanged):
        container.write("blob", big, '"0x8DC000000000000"', lease)
    assert container.read("blob") == (b"small", etag)
    written = container.write("blob", big, etag, lease)
    assert container.read("blob") == (big, written)


def test_one_instance_at_a_time_holds_a_lease(blobs: Blobs, container: BlobContainer) -> None:
    etag = container.write("blob", b"one", None)
    lease = container.acquire("blob")
    assert lease is not None
    held = lease.held
    assert held and container.acquire("blob") is None
    with pytest.raises(LeaseLost):
        container.write("blob", b"without the lease", etag)
    container.write("blob", b"two", etag, lease)
    blobs.pass_time(45)
    lease.renew()
    blobs.pass_time(45)
    assert container.acquire("blob") is None, "a renewed lease holds for its full time once more"
    lease.release()
    lease.release()
    assert not lease.held
    assert container.acquire("blob") is not None


def test_a_lease_that_ended_lets_another_take_over_and_the_first_can_write_no_more(
    blobs: Blobs, container: BlobContainer
) -> None:
    etag = container.write("blob", b"one", None)
    first = container.acquire("blob")
    assert first is not None
    blobs.pass_time(61)
    second = container.acquire("blob")
    assert second is not None
    with pytest.raises(LeaseLost, match="Another instance goes on"):
        container.write("blob", b"late", etag, first)
    with pytest.raises(LeaseLost):
        first.renew()
    assert not first.held
    first.release()
    container.write("blob", b"two", etag, second)


def test_a_lease_that_ended_by_itself_gives_no_right_to_write_and_may_be_renewed_while_nobody_else_wrote(
    blobs: Blobs, container: BlobContainer
) -> None:
    """Of the write the reference says LeaseLost, Azurite LeaseNotPresentWithBlobOperation; either is a lost lease."""
    etag = container.write("blob", b"one", None)
    lease = container.acquire("blob")
    assert lease is not None
    blobs.pass_time(61)
    with pytest.raises(LeaseLost, match="Another instance goes on"):
        container.write("blob", b"two", etag, lease)
    lease.renew()
    etag = container.write("blob", b"two", etag, lease)
    blobs.pass_time(61)
    theirs = blobs.put("blob", b"theirs")
    with pytest.raises(LeaseLost):
        lease.renew()
    with pytest.raises(LeaseLost):
        container.write("blob", b"three", theirs, lease)


def test_a_broken_lease_is_lost(blobs: Blobs, container: BlobContainer) -> None:
    etag = container.write("blob", b"one", None)
    lease = container.acquire("blob")
    assert lease is not None
    blobs.break_lease("blob")
    with pytest.raises(LeaseLost, match="LeaseIsBroken"):
        lease.renew()
    with pytest.raises(LeaseLost):
        container.write("blob", b"two", etag, lease)


def test_a_kept_lease_is_renewed_until_it_is_lost(
    blobs: Blobs, container: BlobContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    container.write("blob", b"one", None)
    lease = container.acquire("blob")
    assert lease is not None
    renewals: list[None] = []
    renew = lease.renew
    monkeypatch.setattr(lease, "renew", lambda: renewals.append(renew()))
    lease.keep(every=0.01)
    for _ in range(3):
        blobs.pass_time(45)

        def renewed_twice(before: int = len(renewals)) -> bool:
            return len(renewals) >= before + 2

        wait_until(renewed_twice)  # the second began after the time had passed
    assert lease.held and blobs.leased("blob")
    blobs.break_lease("blob")
    wait_until(lambda: not lease.held)
    lease.release()


@pytest.mark.fake_blobs_only("refuses for a while")
def test_a_kept_lease_outlives_a_service_that_is_busy_for_a_while(
    blobs: FakeBlobs, container: BlobContainer, caplog: pytest.LogCaptureFixture
) -> None:
    container.write("blob", b"one", None)
    lease = container.acquire("blob")
    assert lease is not None
    blobs.forbidden = True
    lease.keep(every=0.01)
    wait_until(lambda: "lease not renewed; trying again" in caplog.text)
    blobs.forbidden = False
    blobs.requests.clear()
    wait_until(lambda: blobs.actions().count("lease-renew") >= 2)
    assert lease.held
    lease.release()


@pytest.mark.fake_blobs_only("knows roles")
def test_a_role_that_is_missing_is_named_with_the_blob(blobs: FakeBlobs, container: BlobContainer) -> None:
    blobs.forbidden = True
    assert_everything_fails(container, "403 AuthorizationPermissionMismatch.*Blob Data Contributor")


def test_a_container_that_is_missing_is_named_with_the_next_step(blobs: Blobs, container: BlobContainer) -> None:
    blobs.remove_container()
    assert_everything_fails(container, "404 ContainerNotFound.*pulumi up")


def test_who_is_signed_in_nowhere_reads_how_to(container: BlobContainer, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_token(*_: object, **__: object) -> None:
        raise ClientAuthenticationError(
            "DefaultAzureCredential failed to retrieve a token from the included credentials.\nAnd more."
        )

    monkeypatch.setattr(container._client, "list_blobs", no_token)
    with pytest.raises(BlobError, match=r"can't list it: Azure gives no token\. In a shell sign in \(az login\)"):
        container.list()


def assert_everything_fails(container: BlobContainer, words: str) -> None:
    for act in (
        lambda: container.read("blob"),
        lambda: container.etag_of("blob"),
        lambda: container.write("blob", b"", None),
        lambda: container.list(),
        lambda: container.acquire("blob"),
        lambda: container.delete("blob"),
    ):
        with pytest.raises(BlobError, match=rf"(?s){container.url}/.*{words}"):
            act()


@pytest.fixture
def on_azurite() -> Iterator[AzuriteBlobs]:
    with served(AZURITE) as blobs:
        assert isinstance(blobs, AzuriteBlobs)
        yield blobs


def test_an_app_enters_with_its_own_identity_and_a_token_for_storage(on_azurite: AzuriteBlobs) -> None:
    container = BlobContainer(on_azurite.url(), {"AZURE_CLIENT_ID": "client-of-the-app"})
    container.write("blob", b"one", None)
    asked = on_azurite.service.identity.requests[-1].query
    assert (asked["resource"], asked["client_id"]) == ("https://storage.azure.com", "client-of-the-app")
    assert on_azurite.content("blob") == b"one"
    container.close()


def test_a_token_for_another_service_does_not_get_in(on_azurite: AzuriteBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_azurite.service.identity, "audience", "https://vault.azure.net")
    container = BlobContainer(on_azurite.url())
    with pytest.raises(BlobError, match=r"403 AuthenticationFailed.*Storage Blob Data Contributor"):
        container.write("blob", b"one", None)
    assert on_azurite.names() == []
    container.close()


def test_a_service_that_is_not_there_is_an_error_with_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azure_blobs, "RETRIES", 0)
    container = BlobContainer("http://127.0.0.1:1/account/state")
    with pytest.raises(BlobError, match="reaches the storage account"):
        container.read("blob")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "state",
        "https://[/state",
        "https://account.blob.core.windows.net",
        "http://account.blob.core.windows.net/state",
        "https://account.blob.core.windows.net/state?sv=2020&sig=secret",
    ],
)
def test_what_is_no_container_is_refused_and_a_signature_never_shown(url: str) -> None:
    with pytest.raises(BlobError, match="not a URL of a container") as refused:
        BlobContainer(url)
    assert "secret" not in str(refused.value)


def test_a_container_url_is_https_or_on_this_machine() -> None:
    assert fault_of_container_url("https://account.blob.core.windows.net/state") is None
    assert fault_of_container_url("http://127.0.0.1:10000/devstoreaccount1/state") is None


def test_the_module_costs_nothing_until_it_is_used() -> None:
    code = "import sys, processors.azure_blobs; print([name for name in sys.modules if name.startswith('azure.')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until it holds; a test that waits in vain fails."""
    for _ in range(500):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("waited in vain")
