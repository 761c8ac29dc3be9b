"""One provider server for all Fabric providers, against one fake tenant that is emptied before each test."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import pytest
from pulumi.dynamic import ResourceProvider
from pulumi.dynamic.dynamic import serialize_provider

from infra.providers.fabric.workspace import WorkspaceProvider
from tests.infra.providers.fabric.fake_fabric import FakeFabric
from tests.infra.providers.provider_server import ProviderServer

Driver = Callable[[ResourceProvider], ProviderServer]


@pytest.fixture(scope="session")
def tenant() -> Iterator[FakeFabric]:
    service = FakeFabric()
    yield service
    service.close()


@pytest.fixture(scope="session")
def shared_server(tenant: FakeFabric, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderServer]:
    server = ProviderServer(WorkspaceProvider(), tmp_path_factory.mktemp("elsewhere"), **tenant.environment())
    yield server
    server.close()


@pytest.fixture
def fabric(tenant: FakeFabric) -> FakeFabric:
    tenant.reset()
    return tenant


@pytest.fixture
def driver(shared_server: ProviderServer, fabric: FakeFabric) -> Driver:
    """The server with the blob of another provider: the engine sends it along with every request."""

    def drive(provider: ResourceProvider) -> ProviderServer:
        server = copy.copy(shared_server)
        server.blob = serialize_provider(provider)
        return server

    return drive
