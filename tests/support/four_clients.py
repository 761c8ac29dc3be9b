"""Microsoft's Event Hubs clients for Python (sync and aio), JavaScript and Go behind one interface: commands with answers.

A command is a mapping with a `do`, an answer a mapping: what was asked for, or an `error` with condition and text. What each
command takes and gives is said in `PythonClient`; js_client.js and go_client/main.go do the same.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import queue
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient, _consumer_client
from azure.eventhub._eventprocessor.event_processor import EventProcessor
from azure.eventhub.aio import EventHubConsumerClient as AsyncConsumerClient
from azure.eventhub.aio import EventHubProducerClient as AsyncProducerClient
from azure.eventhub.exceptions import EventHubError

from local.event_hubs.unencrypted import context_for
from tests.support.tools import JUDGES, missing, node

HERE = Path(__file__).resolve().parents[1] / "local" / "event_hubs"
ANSWER_SECONDS = 60.0
LOOK_SECONDS = 0.01
RESUME_SECONDS = 0.2
"""How soon Python takes up a partition again whose receiver has failed."""
Answer = dict[str, Any]

CONDITIONS = {
    "amqp:not-found": ("amqp:not-found", "MessagingEntityNotFoundError", "404"),
    "amqp:link:stolen": ("amqp:link:stolen", "ReceiverDisconnectedError"),
    "com.microsoft:argument-error": ("com.microsoft:argument-error", "ArgumentError"),
    "com.microsoft:argument-out-of-range": (
        "com.microsoft:argument-out-of-range",
        "ArgumentOutOfRangeError",
        "404",
        "Wrong partition id",
    ),
    "too large": ("too large", "size limit"),
}
"""What a condition is called by the clients: the JavaScript one has names of its own, requests are answered by numbers, and the
Python ones look for themselves whether a partition is there.
"""


class Client(ABC):
    """One client; `retries` is how often it may try again by itself."""

    @abstractmethod
    def call(self, do: str, **arguments: Any) -> Answer:
        """Have a command done and give its answer."""

    @abstractmethod
    def close(self) -> None:
        """End it."""

    def get(self, do: str, **arguments: Any) -> Answer:
        """A command that must not fail."""
        answer = self.call(do, **arguments)
        assert "error" not in answer, answer["error"]
        return answer

    def refusal(self, condition: str, do: str, **arguments: Any) -> str:
        """A command that must be refused for this reason; gives the text."""
        text = str(self.call(do, **arguments).get("error", "no error"))
        assert any(name in text for name in CONDITIONS[condition]), text
        return text


class Program(Client):
    """A client in another language: a process that takes commands on its standard input."""

    def __init__(self, *command: str) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def call(self, do: str, **arguments: Any) -> Answer:
        """Have a command done and give its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()
        answer: Answer = json.loads(self._answers.get(timeout=ANSWER_SECONDS))
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)


class Received:
    """What a Python consumer has received, and the fault that ended it."""

    def __init__(self) -> None:
        self.events: list[EventData] = []
        self.fault: Exception | None = None

    def take(self, count: int, seconds: float) -> Answer:
        """Up to `count` events, as soon as they are there; raises the fault when one came instead."""
        deadline = time.monotonic() + seconds
        while len(self.events) < count and time.monotonic() < deadline:
            if self.fault is not None:
                raise self.fault
            time.sleep(0.01)
        taken, self.events = self.events[:count], self.events[count:]
        return {"events": [_described(event) for event in taken]}


class PythonClient(Client):
    """The commands, for both of Python's clients."""

    def __init__(self) -> None:
        self.received: dict[str, Received] = {}

    def call(self, do: str, **arguments: Any) -> Answer:
        """Have a command done and give its answer."""
        try:
            answer: Answer = getattr(self, f"do_{do}")(**arguments)
        except (EventHubError, ValueError) as fault:
            condition = getattr(getattr(fault, "details", None), "condition", b"")
            name = condition.decode() if isinstance(condition, bytes) else getattr(condition, "value", str(condition))
            return {"error": f"{name} {fault}"}
        return answer

    def do_hub(self, connection: str, hub: str, retries: int) -> Answer:
        """Properties of a hub."""
        found = self.ask(connection, hub, retries, "get_eventhub_properties")
        created = round(found["created_at"].timestamp() * 1000)
        return {"name": found["eventhub_name"], "created_ms": created, "partitions": found["partition_ids"], "replicated": False}

    def do_partition(self, connection: str, hub: str, retries: int, partition: str) -> Answer:
        """Properties of a partition."""
        found = self.ask(connection, hub, retries, "get_partition_properties", partition)
        return {
            "hub": found["eventhub_name"],
            "partition": found["id"],
            "begin": found["beginning_sequence_number"],
            "last": found["last_enqueued_sequence_number"],
            "offset": found["last_enqueued_offset"],
            "time_ms": round(found["last_enqueued_time_utc"].replace(tzinfo=UTC).timestamp() * 1000),
            "empty": found["is_empty"],
        }

    def do_receive(self, reader: str, count: int, seconds: float) -> Answer:
        """Up to so many events (sequence, offset, time_ms, key, properties, body in base64), within so many seconds."""
        return self.received[reader].take(count, seconds)

    @abstractmethod
    def ask(self, connection: str, hub: str, retries: int, method: str, *arguments: Any) -> Any:
        """Call a method of a producer."""

    @abstractmethod
    def do_send(
        self, connection: str, hub: str, retries: int, partition: str | None, key: str | None, events: list[Answer]
    ) -> Answer:
        """Send events (body in base64, properties) as one batch, to a partition or by a key or by neither."""

    @abstractmethod
    def do_open(self, reader: str, connection: str, hub: str, retries: int, **place: Any) -> Answer:
        """Begin to receive in `group` and `partition` `from` start, end, offset, sequence or time (`value`, `inclusive`)."""

    @abstractmethod
    def do_close(self, reader: str) -> Answer:
        """Cease to receive."""


class _Partitions(dict[str, Any]):
    """What a processor of azure.eventhub receives from in turn. While there is nothing yet it looks again without a pause, which
    takes a whole core.
    """

    def items(self) -> Any:
        """See dict."""
        if not self:
            time.sleep(LOOK_SECONDS)
        return super().items()


class _Processor(EventProcessor):  # type: ignore[misc]  # it has no types
    """As it is, but for the core."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._consumers = _Partitions()


_consumer_client.EventProcessor = _Processor


class SyncClient(PythonClient):
    """azure.eventhub, a thread for each consumer."""

    def __init__(self) -> None:
        super().__init__()
        self._producers: dict[str, EventHubProducerClient] = {}
        self._consumers: dict[str, EventHubConsumerClient] = {}

    def ask(self, connection: str, hub: str, retries: int, method: str, *arguments: Any) -> Any:
        """Call a method of a producer."""
        return getattr(self._producer(connection, hub, retries), method)(*arguments)

    def do_send(
        self, connection: str, hub: str, retries: int, partition: str | None, key: str | None, events: list[Answer]
    ) -> Answer:
        """Send events."""
        client = self._producer(connection, hub, retries)
        batch = client.create_batch(partition_id=partition, partition_key=key)
        for event in events:
            batch.add(_event_data(event))
        client.send_batch(batch)
        return {}

    def do_open(self, reader: str, connection: str, hub: str, retries: int, **place: Any) -> Answer:
        """Begin to receive."""
        received = self.received[reader] = Received()

        def on_batch(context: Any, events: list[EventData]) -> None:
            received.events += events

        def on_error(context: Any, fault: Exception) -> None:
            received.fault = fault

        client = EventHubConsumerClient.from_connection_string(
            connection, place["group"], eventhub_name=hub, retry_total=retries, load_balancing_interval=RESUME_SECONDS
        )
        self._consumers[reader] = client
        threading.Thread(
            target=client.receive_batch, args=(on_batch,), kwargs={"on_error": on_error, **_subscription(**place)}, daemon=True
        ).start()
        return {}

    def do_close(self, reader: str) -> Answer:
        """Cease to receive. It takes the client a second, for which nobody waits."""
        threading.Thread(target=self._consumers.pop(reader).close, daemon=True).start()
        return {}

    def close(self) -> None:
        """Close every connection."""
        for client in (*self._producers.values(), *self._consumers.values()):
            client.close()

    def _producer(self, connection: str, hub: str, retries: int) -> EventHubProducerClient:
        if connection + hub not in self._producers:
            self._producers[connection + hub] = EventHubProducerClient.from_connection_string(
                connection, eventhub_name=hub, retry_total=retries
            )
        return self._producers[connection + hub]


class AioClient(PythonClient):
    """azure.eventhub.aio, in an event loop of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._producers: dict[str, AsyncProducerClient] = {}
        self._consumers: dict[str, AsyncConsumerClient] = {}
        self._receiving: dict[str, asyncio.Task[None]] = {}

    def ask(self, connection: str, hub: str, retries: int, method: str, *arguments: Any) -> Any:
        """Call a method of a producer."""

        async def ask() -> Any:
            return await getattr(self._producer(connection, hub, retries), method)(*arguments)

        return self._run(ask)

    def do_send(
        self, connection: str, hub: str, retries: int, partition: str | None, key: str | None, events: list[Answer]
    ) -> Answer:
        """Send events."""

        async def send() -> None:
            client = self._producer(connection, hub, retries)
            batch = await client.create_batch(partition_id=partition, partition_key=key)
            for event in events:
                batch.add(_event_data(event))
            await client.send_batch(batch)

        self._run(send)
        return {}

    def do_open(self, reader: str, connection: str, hub: str, retries: int, **place: Any) -> Answer:
        """Begin to receive."""
        received = self.received[reader] = Received()

        async def on_batch(context: Any, events: list[EventData]) -> None:
            received.events += events

        async def on_error(context: Any, fault: Exception) -> None:
            received.fault = fault

        async def open_() -> None:
            client = AsyncConsumerClient.from_connection_string(
                connection, place["group"], eventhub_name=hub, retry_total=retries, load_balancing_interval=RESUME_SECONDS,
                ssl_context=context_for(connection),
            )  # fmt: skip
            self._consumers[reader] = client
            receiving = client.receive_batch(on_batch, on_error=on_error, **_subscription(**place))
            self._receiving[reader] = asyncio.create_task(receiving)

        self._run(open_)
        return {}

    def do_close(self, reader: str) -> Answer:
        """Cease to receive. It takes the client a second, for which nobody waits."""
        closing = self._consumers.pop(reader).close()
        asyncio.run_coroutine_threadsafe(closing, self._loop)
        return {}

    def close(self) -> None:
        """Close every connection, and end the loop."""

        async def close() -> None:
            for client in (*self._producers.values(), *self._consumers.values()):
                await client.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self._run(close)
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _producer(self, connection: str, hub: str, retries: int) -> AsyncProducerClient:
        if connection + hub not in self._producers:
            self._producers[connection + hub] = AsyncProducerClient.from_connection_string(
                connection, eventhub_name=hub, retry_total=retries, ssl_context=context_for(connection)
            )
        return self._producers[connection + hub]

    def _run(self, action: Callable[[], Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(action(), self._loop).result(ANSWER_SECONDS)


def _event_data(event: Answer) -> EventData:
    data = EventData(base64.b64decode(event["body"]))
    data.properties = event["properties"]
    return data


def _subscription(group: str, partition: str, value: str, inclusive: bool, owner: int | None, **place: str) -> dict[str, Any]:
    start = place["from"]
    positions: dict[str, Callable[[], Any]] = {
        "start": lambda: "-1",
        "end": lambda: "@latest",
        "offset": lambda: value,
        "sequence": lambda: int(value),
        "time": lambda: datetime.fromtimestamp(int(value) / 1000, UTC),
    }
    return {
        "partition_id": partition, "starting_position": positions[start](), "starting_position_inclusive": inclusive,
        "owner_level": owner, "max_wait_time": 0.1,
    }  # fmt: skip


def _described(event: EventData) -> Answer:
    return {
        "sequence": event.sequence_number,
        "offset": event.offset,
        "time_ms": round(event.enqueued_time.timestamp() * 1000),
        "key": event.partition_key.decode() if event.partition_key else None,
        "properties": {_text(name): _text(value) for name, value in (event.properties or {}).items()},
        "body": base64.b64encode(b"".join(event.body)).decode(),
    }


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def go_client() -> str:
    """The Go program, as `make test` has built it."""
    program = JUDGES / "event_hubs_client"
    if not program.exists():
        missing("the Go client is missing: `make test` builds it into .judges")
    return str(program)


NAMES = ("python sync", "python aio", "javascript", "go")


@contextlib.contextmanager
def client(name: str) -> Iterator[Client]:
    """One of the four."""
    made: Client
    if name == "python sync":
        made = SyncClient()
    elif name == "python aio":
        made = AioClient()
    elif name == "javascript":
        made = Program(node(), str(HERE / "js_client.js"))
    else:
        made = Program(go_client())
    with contextlib.closing(made):
        yield made
