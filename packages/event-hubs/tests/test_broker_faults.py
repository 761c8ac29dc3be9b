"""What goes wrong around the broker: killed processes, full disks, broken clients, slow readers, taken ports and folders."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import time
from pathlib import Path

import pytest
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient
from azure.eventhub.exceptions import EventHubError
from event_hubs_clients import GROUP, event_hubs, free_port, producer, read, receive, send, store

from event_hubs_local import amqp, links, performatives
from event_hubs_local.config import HubConfig
from event_hubs_local.hubs import HubsFolderError
from event_hubs_local.log import read_bodies
from event_hubs_local.message import APPLICATION_PROPERTIES, DATA
from event_hubs_local.performatives import AMQP_HEADER
from event_hubs_local.server import EventHubsServer


class TestKilled:
    async def test_a_consumer_goes_on_after_a_restart_without_gap_or_repeat(self, tmp_path: Path) -> None:
        store(tmp_path, "before")
        port = free_port()
        stack = contextlib.ExitStack()
        server = stack.enter_context(event_hubs(tmp_path, port=port))

        async def send_one(body: str) -> None:
            await asyncio.to_thread(send, server, body)

        async def restart() -> None:
            nonlocal server
            while not any(partition.readers for partition in server.namespace.hubs["hub"].partitions):
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.3)
            await asyncio.to_thread(stack.close)
            server = stack.enter_context(event_hubs(tmp_path, port=port))
            await send_one("after")

        task = asyncio.create_task(restart())
        with stack:
            connection_string = server.connection_string
            reader = await receive(connection_string, lambda reader: len(reader.events) >= 2, retries=8)
            await task
        assert [(event.sequence_number, event.body_as_str()) for _, event in reader.events] == [(0, "before"), (1, "after")]


class Reporter:
    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def warning(self, text: str) -> None:
        self.said.append(("warning", text))

    def recovered(self, text: str) -> None:
        self.said.append(("recovered", text))


def test_a_full_disk_is_told_to_the_sender_and_the_broker_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reporter = Reporter()
    full = False
    pwrite = os.pwrite

    def limited(descriptor: int, data: memoryview, at: int) -> int:
        if not full:
            return pwrite(descriptor, data, at)
        if len(data) > 100:
            return pwrite(descriptor, data[:100], at)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("event_hubs_local.log.os.pwrite", limited)
    with event_hubs(tmp_path, reporter=reporter) as server, producer(server, retry_total=0) as client:
        client.send_event(EventData("before"))
        full = True
        for _ in range(2):
            with pytest.raises(EventHubError, match=r"takes no more events \(No space left on device\)(?s:.*)ResourceLimit"):
                client.send_batch([EventData("during"), EventData("during too")])
        assert list(read_bodies(tmp_path, "hub")) == [b"before"]
        full = False
        client.send_event(EventData("after"))
    assert list(read_bodies(tmp_path, "hub")) == [b"before", b"after"]
    assert [kind for kind, _ in reporter.said] == ["warning", "recovered"]
    assert "free disk space" in reporter.said[0][1]


def test_a_damaged_event_is_told_once_and_readers_go_on_behind_it(tmp_path: Path) -> None:
    store(tmp_path, "a", "b", "c", segment_bytes=1)
    damaged = sorted((tmp_path / "hub").rglob("*.segment"))[1]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    reporter = Reporter()
    with event_hubs(tmp_path, segment_bytes=1, reporter=reporter) as server:
        for _ in range(2):
            assert read(server, 2).bodies == ["a", "c"]
    assert len(reporter.said) == 1
    assert f"{damaged.name} is damaged" in reporter.said[0][1]


def test_a_disk_that_can_not_be_read_ends_the_reader_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store(tmp_path, "a")
    reporter = Reporter()

    def refuse(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with event_hubs(tmp_path, reporter=reporter) as server:
        with monkeypatch.context() as patched:
            patched.setattr("event_hubs_local.log.os.pread", refuse)
            reader = asyncio.run(receive(server.connection_string, lambda reader: bool(reader.errors), partition_id="0"))
        assert read(server, 1).bodies == ["a"]
    assert "Input/output error" in str(reader.errors[0])
    assert "Input/output error" in reporter.said[0][1]


def framed(code: int, *fields: bytes) -> bytes:
    return performatives.frame(0, amqp.described(code, amqp.list_of(*fields)))


class TestBrokenClients:
    @pytest.mark.parametrize(
        "sent",
        [
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"AMQP\x00\x09\x09\x09",
            AMQP_HEADER + b"\xff\xff\xff\xff\x02\x00\x00\x00",
            AMQP_HEADER + b"\x00\x00\x00\x07\x02\x00\x00\x00",
            AMQP_HEADER + performatives.frame(0, b"\x00\x53\x10\xc0\xff\xff"),
            AMQP_HEADER + performatives.frame(0, b"\x41"),
            AMQP_HEADER + framed(performatives.BEGIN) + framed(performatives.ATTACH, amqp.TRUE),
        ],
    )
    def test_a_client_that_speaks_no_amqp_is_cut_off_and_others_are_not(self, tmp_path: Path, sent: bytes) -> None:
        with event_hubs(tmp_path) as server:
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
                client.sendall(sent)
                answer = b""
                while piece := client.recv(4096):
                    answer += piece
            assert b"amqp:framing-error" in answer
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
                client.sendall(AMQP_HEADER)
                assert client.recv(8) == AMQP_HEADER

    def test_frames_may_come_in_any_pieces(self, tmp_path: Path) -> None:
        opening = performatives.frame(0, performatives.open_("host"))
        with event_hubs(tmp_path) as server, socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in AMQP_HEADER + opening + performatives.frame(0, performatives.close()):
                client.sendall(bytes((byte,)))
            answer = b""
            while piece := client.recv(4096):
                answer += piece
        assert answer.startswith(AMQP_HEADER)
        assert answer.endswith(performatives.close())


class RawClient:
    """A client that sends the frames it is told to, and is not bound to what clients do."""

    def __init__(self, server: EventHubsServer) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        self.socket.sendall(AMQP_HEADER + performatives.frame(0, performatives.open_("host")) + framed(performatives.BEGIN))

    def attach(self, *handles: int) -> None:
        """Attach senders to partition 0."""
        target = amqp.described(0x29, amqp.list_of(amqp.text("hub/Partitions/0")))
        for handle in handles:
            ends = (amqp.NULL, amqp.NULL, amqp.NULL, target)
            self.socket.sendall(framed(performatives.ATTACH, amqp.text(f"link {handle}"), amqp.uint(handle), amqp.FALSE, *ends))

    def transfer(self, handle: int, payload: bytes, *, more: bool = False, aborted: bool = False) -> None:
        """Send a message or a part of it."""
        head = (amqp.uint(handle), amqp.uint(handle), amqp.binary(b"tag"), amqp.uint(0), amqp.FALSE, amqp.boolean(more))
        fields = amqp.list_of(*head, amqp.NULL, amqp.NULL, amqp.NULL, amqp.boolean(aborted))
        self.socket.sendall(performatives.frame(0, amqp.described(performatives.TRANSFER, fields) + payload))

    def until(self, expected: bytes) -> bytes:
        """Everything that comes up to these bytes, or up to the end of the connection."""
        heard = b""
        while expected not in heard and (piece := self.socket.recv(65536)):
            heard += piece
        assert expected in heard, heard
        return heard

    def close(self) -> None:
        """Cut the connection."""
        self.socket.close()


class TestSilentClients:
    @pytest.mark.parametrize("said", [b"", AMQP_HEADER, AMQP_HEADER + performatives.frame(0, performatives.open_("host"))])
    def test_a_client_that_says_nothing_more_is_cut_off(self, tmp_path: Path, said: bytes) -> None:
        with event_hubs(tmp_path, idle_seconds=0.3) as server:
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
                client.sendall(said)
                answer = b""
                while piece := client.recv(4096):
                    answer += piece
            assert b"amqp:connection:forced" in answer
            assert b"inactive for more than the allowed 300 milliseconds" in answer
            assert not server.connections

    def test_a_client_that_is_dead_and_takes_nothing_is_cut_off(self, tmp_path: Path) -> None:
        """It has asked for more than fits into the buffers between, and never reads."""
        store(tmp_path, *("x" * 500_000 for _ in range(60)))
        with event_hubs(tmp_path, idle_seconds=0.5) as server:
            client = RawClient(server)
            source = amqp.described(0x28, amqp.list_of(amqp.text(f"hub/ConsumerGroups/{GROUP}/Partitions/0")))
            ends = (amqp.NULL, amqp.NULL, source, amqp.NULL)
            client.socket.sendall(framed(performatives.ATTACH, amqp.text("reader"), amqp.uint(0), amqp.TRUE, *ends))
            windows = [amqp.uint(0), amqp.uint(10_000), amqp.uint(0), amqp.uint(10_000)]
            client.socket.sendall(framed(performatives.FLOW, *windows, amqp.uint(0), amqp.uint(0), amqp.uint(1000)))
            partition = server.namespace.hubs["hub"].partitions[0]
            for met in (lambda: partition.readers, lambda: not partition.readers):
                deadline = time.monotonic() + 10
                while not met():
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
            assert not server.connections
            client.close()

    def test_an_empty_frame_now_and_then_is_enough(self, tmp_path: Path) -> None:
        with event_hubs(tmp_path, idle_seconds=0.5) as server:
            client = RawClient(server)
            for _ in range(10):
                time.sleep(0.1)
                client.socket.sendall(performatives.frame(0, b""))
            client.attach(0)
            client.until(b"link 0")
            client.close()

    def test_a_producer_that_was_cut_off_while_it_had_nothing_to_send_connects_again(self, tmp_path: Path) -> None:
        with event_hubs(tmp_path, idle_seconds=0.3) as server, producer(server) as client:
            client.send_event(EventData("before"))
            while server.connections:
                time.sleep(0.02)
            client.send_event(EventData("after"))
        assert list(read_bodies(tmp_path, "hub")) == [b"before", b"after"]


class TestUnfinishedMessages:
    """What has been begun and not finished is held in memory: so much of it and no more."""

    @pytest.fixture(autouse=True)
    def limits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(links, "CONNECTION_UNFINISHED_BYTES", 1000)
        monkeypatch.setattr(links, "UNFINISHED_BYTES", 1500)

    def test_a_connection_has_a_limit_and_the_link_that_exceeds_it_is_ended(self, tmp_path: Path) -> None:
        with event_hubs(tmp_path) as server:
            client = RawClient(server)
            client.attach(0, 1, 2)
            client.transfer(0, b"a" * 600, more=True)
            client.transfer(1, b"b" * 600, more=True)
            assert b"Finish a message before the next is begun" in client.until(b"amqp:resource-limit-exceeded")
            while server.namespace.unfinished_bytes != 600:
                time.sleep(0.01)
            client.transfer(2, amqp.described(DATA, amqp.binary(b"the rest goes on")))
            client.until(performatives.accepted(2))
            client.close()
            while server.connections:
                time.sleep(0.01)
            assert server.namespace.unfinished_bytes == 0
        assert list(read_bodies(tmp_path, "hub")) == [b"the rest goes on"]

    def test_all_connections_together_have_a_limit(self, tmp_path: Path) -> None:
        with event_hubs(tmp_path) as server:
            clients = [RawClient(server) for _ in range(2)]
            for client in clients:
                client.attach(0)
                client.until(b"link 0")
                client.transfer(0, b"a" * 900, more=True)
            clients[1].until(b"amqp:resource-limit-exceeded")
            for client in clients:
                client.close()

    def test_a_finished_or_aborted_message_counts_no_longer(self, tmp_path: Path) -> None:
        message = amqp.described(DATA, amqp.binary(b"x" * 700))
        with event_hubs(tmp_path) as server:
            client = RawClient(server)
            client.attach(0)
            for _ in range(3):
                client.transfer(0, message[:600], more=True)
                client.transfer(0, b"", aborted=True)
                client.transfer(0, message[:600], more=True)
                client.transfer(0, message[600:])
                client.until(performatives.accepted(0))
            assert server.namespace.unfinished_bytes == 0
            client.close()
        assert list(read_bodies(tmp_path, "hub")) == [b"x" * 700] * 3


def test_a_message_that_lies_about_its_sizes_is_rejected_and_stops_no_reader(tmp_path: Path) -> None:
    lying = amqp.described(APPLICATION_PROPERTIES, b"\xc1\x06\x02\xa1\x01a\xa1\x20") + amqp.described(DATA, amqp.binary(b"x"))
    with event_hubs(tmp_path) as server:
        client = RawClient(server)
        client.attach(0)
        client.transfer(0, lying)
        client.until(b"amqp:decode-error")
        client.close()
        send(server, "good")
        assert read(server, 1).bodies == ["good"]


def test_a_reader_that_stops_reading_costs_little_memory_and_gets_everything_later(tmp_path: Path) -> None:
    """The client grants credit for 3,000 events of 20 kB (60 MB) and then does not read for a while."""
    store(tmp_path, *(f"{number:05d}".ljust(20_000) for number in range(1500)))
    with event_hubs(tmp_path) as server:
        waiting: list[int] = []

        def watch() -> None:
            for connection in tuple(server.connections):
                waiting.append(connection._transport.get_write_buffer_size())

        async def slowly() -> list[str]:
            receiving = receive(server.connection_string, lambda reader: len(reader.events) >= 1500, prefetch=3000)
            task = asyncio.create_task(receiving)
            while server.namespace.events_out == 0:
                await asyncio.sleep(0.001)
            for _ in range(5):
                time.sleep(0.1)  # noqa: ASYNC251 - holds the client up on purpose
                watch()
            return [body.strip() for body in (await task).bodies]

        bodies = asyncio.run(slowly())
    assert server.namespace.events_out == 1500
    assert bodies == [f"{number:05d}" for number in range(1500)]
    assert 0 < max(waiting) < 3_000_000


def test_a_reader_behind_what_is_kept_goes_on_with_the_oldest_there_is(tmp_path: Path) -> None:
    sizes = {"segment_bytes": 2_000, "retained_bytes": 10_000}
    store(tmp_path, *(f"{number:04d}".ljust(100) for number in range(200)), **sizes)
    with event_hubs(tmp_path, **sizes) as server:
        oldest = server.namespace.hubs["hub"].partitions[0].log.first_sequence
        assert oldest > 0
        events = read(server, 200 - oldest, starting_position=1).events
    assert [event.sequence_number for _, event in events] == list(range(oldest, 200))


async def test_a_reader_that_falls_behind_what_is_kept_skips_to_the_oldest_there_is(tmp_path: Path) -> None:
    """The reader holds still with ten events in hand while the log moves on past what it would read next."""
    go_on = asyncio.Event()
    sequences: list[int] = []

    async def on_batch(context: object, events: list[EventData]) -> None:
        sequences.extend(event.sequence_number for event in events)
        await go_on.wait()

    sizes = {"segment_bytes": 2_000, "retained_bytes": 10_000}
    store(tmp_path, *(f"{number:04d}".ljust(100) for number in range(20)), **sizes)
    with event_hubs(tmp_path, **sizes) as server, producer(server) as client:
        consumer = EventHubConsumerClient.from_connection_string(server.connection_string, GROUP, eventhub_name="hub")
        receiving = consumer.receive_batch(on_batch, starting_position="-1", prefetch=10, max_batch_size=1)
        task = asyncio.create_task(receiving)
        async with asyncio.timeout(20):
            while not sequences:
                await asyncio.sleep(0.02)
            for start in range(20, 300, 20):
                await asyncio.to_thread(client.send_batch, [EventData(f"{start + n:04d}".ljust(100)) for n in range(20)])
            oldest = server.namespace.hubs["hub"].partitions[0].log.first_sequence
            go_on.set()
            while sequences[-1] != 299:
                await asyncio.sleep(0.02)
        task.cancel()
    assert sequences == sorted(set(sequences))
    assert set(sequences) >= set(range(oldest, 300))
    assert len(sequences) < 300, "some were dropped before they were read"


class TestStarting:
    async def test_two_brokers_never_share_a_folder(self, tmp_path: Path) -> None:
        with event_hubs(tmp_path), pytest.raises(HubsFolderError, match="Another Event Hubs stand-in uses"):
            await EventHubsServer(tmp_path, [HubConfig("hub", 1)]).start()

    async def test_fewer_partitions_than_are_stored_are_refused(self, tmp_path: Path) -> None:
        with event_hubs(tmp_path, partitions=3):
            pass
        with pytest.raises(HubsFolderError, match="has 3 partitions, the configuration of hub hub only 2"):
            await EventHubsServer(tmp_path, [HubConfig("hub", 2)]).start()

    async def test_a_folder_that_can_not_be_used_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(HubsFolderError, match="Choose another data folder"):
            await EventHubsServer(tmp_path / "file" / "hubs", [HubConfig("hub", 1)]).start()
