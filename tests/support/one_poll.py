"""Polls in processes of their own that can be killed at any write: `python tests/support/one_poll.py` forks one for each order.

A write is a send to the sink, a transaction of the state's file, or a request that changes a blob.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY)]
WHEN = ("before", "after")
LOADED = (
    "azure.identity",
    "azure.storage.blob",
    "tests.support.scripted_webex",
    "processors.ingest.environment",
    "processors.ingest.poll",
)
"""What a poll needs: loaded once, before the forks."""


@dataclass(frozen=True)
class Order:
    """One poll: which Webex, where to, which home of the state, at what time, and the write (from 0) at which it is killed.

    `home` is what the environment of a process says about it.
    """

    webex: str
    out: str
    home: dict[str, str]
    now: str
    locations: list[str]
    kill: int | None = None
    when: str = "before"


class Polls:
    """The process that forks the polls."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, order: Order) -> int:
        """Make a poll; gives 0 when it ended by itself, and -9 when it was killed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(asdict(order)), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())


@contextlib.contextmanager
def polls() -> Iterator[Polls]:
    """Polls in processes of their own."""
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        yield Polls(process)
        assert process.stdin is not None
        process.stdin.close()


class _Killer:
    """Ends this process at the write it is told to."""

    def __init__(self, at: int | None, when: str) -> None:
        self._left, self._when = at, when

    def around(self, write: Callable[..., Any]) -> Callable[..., Any]:
        """The write, with death before or after it."""

        def wrapped(*arguments: Any, **options: Any) -> Any:
            due = self._left == 0
            if self._left is not None:
                self._left -= 1
            if due and self._when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = write(*arguments, **options)
            if due:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapped


def _poll(order: Order) -> None:
    from processors import clock
    from processors.azure_blobs import BlobContainer
    from processors.ingest.environment import state_from
    from processors.ingest.poll import Poller
    from processors.ingest.settings import City, IngestSettings
    from processors.ingest.sinks import JsonLinesSink
    from processors.ingest.sqlite_state import SqliteState
    from processors.ingest.webex_client import WebexClient
    from tests.support.scripted_webex import FAST, OneToken

    os.environ.update(order.home)
    clock.use(lambda: datetime.fromisoformat(order.now))
    killer = _Killer(order.kill, order.when)
    for owner, name in ((JsonLinesSink, "send"), (SqliteState, "_save"), (BlobContainer, "write")):
        setattr(owner, name, killer.around(getattr(owner, name)))
    settings = IngestSettings(10, 15, 10, ("temperature",), (City("lyon", "Lyon", tuple(order.locations), ()),))
    client = WebexClient(order.webex, OneToken(), FAST)
    poller = Poller(settings, client, JsonLinesSink(Path(order.out)), state_from(order.home))
    report = poller.poll()
    assert not report.partial and not report.idle, report
    poller.close()


def _serve() -> None:
    for name in LOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                _poll(Order(**json.loads(line)))
            except BaseException:  # noqa: BLE001  whatever it is, a fork must not go on as its parent
                import traceback

                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    _serve()
