"""A settings blob through Pulumi's real provider server and real HTTP, against a Blob service on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from fake_blobs import FakeBlobs, fake_blobs
from pulumi.runtime import rpc
from shared_data import REPOSITORY

from infra.providers.blob_file import BlobFileProvider
from tests.infra.providers.fake_service import TOKEN
from tests.infra.providers.provider_server import ProviderServer, error_text


@pytest.fixture
def service() -> Iterator[FakeBlobs]:
    with fake_blobs() as service:
        yield service


@pytest.fixture(scope="module")
def server() -> Iterator[ProviderServer]:
    server = ProviderServer(BlobFileProvider(), REPOSITORY)
    yield server
    server.close()


def inputs(service: FakeBlobs, **more: str) -> dict:
    return {"containerUrl": service.url(), "blobName": "cities/lyon.json", "content": '{"name": "Lyon"}', "sha256": None, **more}


def test_a_file_is_written_with_entra_alone_and_named_by_its_content(server, service) -> None:
    identifier, outputs = server.create(inputs(service))
    assert identifier == f"{service.url()}/cities/lyon.json"
    assert service.blob("cities/lyon.json").content == b'{"name": "Lyon"}'
    assert len(outputs["sha256"]) == 64
    (request,) = service.requests
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["x-ms-blob-type"] == "BlockBlob"


def test_another_content_is_an_update_and_nothing_else_is(server, service) -> None:
    identifier, outputs = server.create(inputs(service))
    assert not server.diff(identifier, outputs, inputs(service)).changes
    difference = server.diff(identifier, outputs, inputs(service, content="{}"))
    assert difference.changes and difference.replaces == []
    server.update(identifier, outputs, inputs(service, content="{}"))
    assert service.blob("cities/lyon.json").content == b"{}"


def test_another_place_is_another_blob_and_an_unknown_place_is_not(server, service) -> None:
    identifier, outputs = server.create(inputs(service))
    assert server.diff(identifier, outputs, inputs(service, blobName="cities/york.json")).replaces == ["blobName"]
    assert server.diff(identifier, outputs, inputs(service, containerUrl="https://a/settings")).replaces == ["containerUrl"]
    unknown = server.diff(identifier, outputs, inputs(service, containerUrl=rpc.UNKNOWN))
    assert unknown.changes and unknown.replaces == []


def test_roles_and_containers_that_are_not_known_yet_are_waited_for(server, service) -> None:
    service.forbidden = True
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        service.forbidden = looks < 4
        service.before["PUT"] = look

    service.before["PUT"] = look
    server.create(inputs(service))
    assert service.blob("cities/lyon.json").content and looks == 4


def test_a_role_that_never_comes_says_which_is_missing(server, service) -> None:
    service.forbidden = True
    with pytest.raises(grpc.RpcError) as caught:
        server.create(inputs(service))
    text = error_text(caught.value)
    assert "HTTP 403 AuthorizationPermissionMismatch" in text and "Storage Blob Data Contributor" in text
    assert TOKEN not in text


def test_throttling_is_waited_out_and_a_lost_answer_costs_nothing(server, service) -> None:
    service.throttle += ["PUT", "PUT"]
    service.lose_answer.append("PUT")
    server.create(inputs(service))
    assert service.blob("cities/lyon.json").content == b'{"name": "Lyon"}'


def test_drift_is_read_and_mended(server, service) -> None:
    identifier, outputs = server.create(inputs(service))
    service.put("cities/lyon.json", b"by hand")
    _, live = server.read(identifier, outputs)
    assert live["content"] == "by hand"
    assert server.diff(identifier, live, inputs(service)).changes
    del service.containers["state"]["cities/lyon.json"]
    _, gone = server.read(identifier, outputs)
    assert gone["content"] == gone["sha256"] == ""
    server.update(identifier, gone, inputs(service))
    assert service.blob("cities/lyon.json").content == b'{"name": "Lyon"}'


def test_deleting_is_done_when_nothing_is_there(server, service) -> None:
    identifier, outputs = server.create(inputs(service))
    server.delete(identifier, outputs)
    assert service.containers["state"] == {}
    server.delete(identifier, outputs)
    service.containers.clear()
    server.delete(identifier, outputs)
