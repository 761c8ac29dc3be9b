"""A settings blob through Pulumi's real provider server and real HTTP, against our fake and against Azurite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from pulumi.runtime import rpc

from infra.providers.blob_file import BlobFileProvider, BlobStorage
from tests.infra.providers.fake_service import TOKEN
from tests.infra.providers.provider_server import ProviderServer, error_text
from tests.support.blobs import BACK_ENDS, FAKE, Blobs, served
from tests.support.fake_blobs import FakeBlobs
from tests.support.shared_data import REPOSITORY


@pytest.fixture(scope="module", params=BACK_ENDS)
def back_end(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def server(back_end: str) -> Iterator[ProviderServer]:
    """The provider; to Azurite it goes as azure-native would with a managed identity."""
    own = {} if back_end == FAKE else {"ROOMPULSE_ACCESS_TOKEN": "", "ARM_USE_MSI": "true"}
    with served(back_end) as blobs:
        server = ProviderServer(BlobFileProvider(), REPOSITORY, **own, **blobs.environment)
    yield server
    server.close()


@pytest.fixture
def blobs(back_end: str) -> Iterator[Blobs]:
    with served(back_end) as blobs:
        yield blobs


def inputs(blobs: Blobs, **more: str) -> dict[str, Any]:
    return {"containerUrl": blobs.url(), "blobName": "cities/lyon.json", "content": '{"name": "Lyon"}', "sha256": None, **more}


def test_a_file_is_written_with_entra_alone_and_named_by_its_content(server: ProviderServer, blobs: Blobs) -> None:
    identifier, outputs = server.create(inputs(blobs))
    assert identifier == f"{blobs.url()}/cities/lyon.json"
    assert blobs.content("cities/lyon.json") == b'{"name": "Lyon"}'
    assert len(outputs["sha256"]) == 64


@pytest.mark.fake_blobs_only("shows requests")
def test_nothing_but_entra_is_shown(server: ProviderServer, blobs: FakeBlobs) -> None:
    server.create(inputs(blobs))
    (request,) = blobs.requests
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["x-ms-blob-type"] == "BlockBlob"


def test_another_content_is_an_update_and_nothing_else_is(server: ProviderServer, blobs: Blobs) -> None:
    identifier, outputs = server.create(inputs(blobs))
    assert not server.diff(identifier, outputs, inputs(blobs)).changes
    difference = server.diff(identifier, outputs, inputs(blobs, content="{}"))
    assert difference.changes and difference.replaces == []
    server.update(identifier, outputs, inputs(blobs, content="{}"))
    assert blobs.content("cities/lyon.json") == b"{}"


def test_another_place_is_another_blob_and_an_unknown_place_is_not(server: ProviderServer, blobs: Blobs) -> None:
    identifier, outputs = server.create(inputs(blobs))
    assert server.diff(identifier, outputs, inputs(blobs, blobName="cities/york.json")).replaces == ["blobName"]
    assert server.diff(identifier, outputs, inputs(blobs, containerUrl="https://a/settings")).replaces == ["containerUrl"]
    unknown = server.diff(identifier, outputs, inputs(blobs, containerUrl=rpc.UNKNOWN))
    assert unknown.changes and unknown.replaces == []


@pytest.mark.fake_blobs_only("knows roles")
def test_roles_and_containers_that_are_not_known_yet_are_waited_for(server: ProviderServer, blobs: FakeBlobs) -> None:
    blobs.forbidden = True
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        blobs.forbidden = looks < 4
        blobs.before["PUT"] = look

    blobs.before["PUT"] = look
    server.create(inputs(blobs))
    assert blobs.content("cities/lyon.json") and looks == 4


@pytest.mark.fake_blobs_only("knows roles")
def test_a_role_that_never_comes_says_which_is_missing(server: ProviderServer, blobs: FakeBlobs) -> None:
    blobs.forbidden = True
    with pytest.raises(grpc.RpcError) as caught:
        server.create(inputs(blobs))
    text = error_text(caught.value)
    assert "HTTP 403 AuthorizationPermissionMismatch" in text and "Storage Blob Data Contributor" in text
    assert TOKEN not in text


@pytest.mark.fake_blobs_only("throttles, and loses an answer")
def test_throttling_is_waited_out_and_a_lost_answer_costs_nothing(server: ProviderServer, blobs: FakeBlobs) -> None:
    blobs.throttle += ["PUT", "PUT"]
    blobs.lose_answer.append("PUT")
    server.create(inputs(blobs))
    assert blobs.content("cities/lyon.json") == b'{"name": "Lyon"}'


def test_drift_is_read_and_mended(server: ProviderServer, blobs: Blobs) -> None:
    identifier, outputs = server.create(inputs(blobs))
    blobs.put("cities/lyon.json", b"by hand")
    _, live = server.read(identifier, outputs)
    assert live["content"] == "by hand"
    assert server.diff(identifier, live, inputs(blobs)).changes
    blobs.remove("cities/lyon.json")
    _, gone = server.read(identifier, outputs)
    assert gone["content"] == gone["sha256"] == ""
    server.update(identifier, gone, inputs(blobs))
    assert blobs.content("cities/lyon.json") == b'{"name": "Lyon"}'


def test_deleting_is_done_when_nothing_is_there(server: ProviderServer, blobs: Blobs) -> None:
    identifier, outputs = server.create(inputs(blobs))
    server.delete(identifier, outputs)
    assert blobs.names() == []
    server.delete(identifier, outputs)
    blobs.remove_container()
    server.delete(identifier, outputs)


def test_a_blob_that_is_there_is_not_written_over_by_what_makes_a_new_one(
    back_end: str, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOMPULSE_ACCESS_TOKEN", TOKEN if back_end == FAKE else "")
    monkeypatch.setenv("ARM_USE_MSI", "true")
    storage = BlobStorage(blobs.url())
    assert storage.write_new("Alerts/_delta_log/0.json", "first") is True
    assert storage.write_new("Alerts/_delta_log/0.json", "second") is False
    assert blobs.content("Alerts/_delta_log/0.json") == b"first"
