"""A connection without TLS costs no TLS, and one with it keeps the SDK's."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubProducerClient

from event_hubs_local.config import read_config
from event_hubs_local.server import EventHubsServer, serving_in_thread
from local.event_hubs.part import CONFIG
from local.event_hubs.unencrypted import context_for

AZURE = "Endpoint=sb://evhns-roompulse.servicebus.windows.net/;SharedAccessKeyName=name;SharedAccessKey=key"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ssl.SSLContext]]:
    """The contexts into which somebody has read the machine's root certificates."""
    into: list[ssl.SSLContext] = []
    for way in ("load_default_certs", "load_verify_locations"):
        monkeypatch.setattr(ssl.SSLContext, way, lambda context, *files, **more: into.append(context))
    yield into


async def send(connection_string: str) -> None:
    client = EventHubProducerClient.from_connection_string(
        connection_string, eventhub_name="observations", ssl_context=context_for(connection_string)
    )
    async with client:
        batch = await client.create_batch()
        batch.add(EventData("{}"))
        await client.send_batch(batch)


def test_no_certificate_is_read_for_a_connection_without_tls(tmp_path: Path, read: list[ssl.SSLContext]) -> None:
    with serving_in_thread(EventHubsServer(tmp_path, read_config(CONFIG))) as server:
        asyncio.run(send(server.connection_string))
    assert read == []


def test_a_connection_with_tls_is_left_to_the_sdk() -> None:
    assert context_for(AZURE) is None


def test_what_should_never_be_used_trusts_nobody() -> None:
    context = context_for(f"{AZURE};UseDevelopmentEmulator=true;")
    assert context is not None and context.verify_mode == ssl.CERT_REQUIRED and context.get_ca_certs() == []
