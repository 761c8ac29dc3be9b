"""Microsoft's Functions worker on an unpacked package, in a process of its own (drive.py)."""

from __future__ import annotations

import atexit
import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TextIO

from infra.packaging import PYTHON_VERSION, SITE_PACKAGES, PackageContent, PackagingError, build_package
from tests.support.tools import JUDGES, missing

DRIVE = Path(__file__).with_name("drive.py")
WORKER = JUDGES / "functions_worker"
"""Where `make test` puts azure-functions-runtime."""
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass(frozen=True)
class Interpreter:
    """A Python that runs the worker. `folders` hold packages instead of the app's wheels, which are for the deployed Python."""

    name: str
    executable: str
    folders: tuple[str, ...] = ()


@cache
def interpreters() -> tuple[Interpreter, ...]:
    """The deployed Python with the vendored wheels, where it is there; and ours, with the same versions from our environment."""
    ours = Interpreter("ours", sys.executable, tuple(path for path in sys.path if path.endswith("site-packages")))
    deployed = _deployed_python()
    if deployed is None:
        return (ours,)
    found = Interpreter(f"deployed-{PYTHON_VERSION}", deployed)
    return (found,) if sys.version_info[:2] == tuple(map(int, PYTHON_VERSION.split("."))) else (found, ours)


def _deployed_python() -> str | None:
    """An interpreter of the deployed version that runs: what stands on the path may be a shim of pyenv that names no version."""
    name = f"python{PYTHON_VERSION}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [shutil.which(name), *(str(path) for path in pyenv.glob(f"versions/{PYTHON_VERSION}*/bin/{name}"))]
    for candidate in filter(None, candidates):
        if subprocess.run([candidate, "-c", "import sqlite3, ssl"], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


def unpacked(processor: str, folder: Path) -> Path:
    """The package of a processor, built by our packager and unpacked into an empty folder below `folder`.

    It is there once for all that test the same content: what the first start compiles, the others find.
    """
    content = PackageContent(processor)
    packages = folder / "packages"
    packages.mkdir(exist_ok=True)
    for wheels in (JUDGES / "packages").glob("wheels-*"):
        with contextlib.suppress(FileExistsError):
            (packages / wheels.name).symlink_to(wheels)
    try:
        package = build_package(content, packages)
    except PackagingError as fault:
        missing(f"the package can't be built, `make test` fetches its wheels: {fault}")
    app = folder / package.stem
    if not app.exists():
        unfinished = Path(tempfile.mkdtemp(dir=folder))
        with zipfile.ZipFile(package) as archive:
            archive.extractall(unfinished)
        with contextlib.suppress(OSError):  # another process was faster, with the same content
            unfinished.rename(app)
    return app


@dataclass(frozen=True)
class Answer:
    """What the worker tells its host of a call. `fault` is None on success; `logs` are level, category and message, as sent."""

    fault: str | None
    logs: list[dict[str, str]]
    http: dict[str, Any] | None = None
    capabilities: Mapping[str, str] = field(default_factory=dict)
    functions: Mapping[str, Any] = field(default_factory=dict)


class Worker:
    """A running worker. Calls may be made side by side."""

    def __init__(self, requests: TextIO, answers: TextIO) -> None:
        self._requests = requests
        self._answers = answers
        self._numbers = itertools.count()
        self._waiting: dict[int, Future[Answer]] = {}
        self.functions: Mapping[str, Any] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def end(self, seconds: float) -> bool:
        """Have no more requests; gives whether the worker has ended within so many seconds."""
        self._requests.close()
        self._reader.join(seconds)
        return not self._reader.is_alive()

    def index(self) -> Answer:
        """Let the worker start on the app and find its functions."""
        answer = self._asked({"do": "index"}).result(60)
        self.functions = answer.functions
        return answer

    def begin(self, function: str, inputs: Mapping[str, Any], metadata: Mapping[str, Any] | None = None) -> Future[Answer]:
        """Call a function with inputs and trigger metadata, each the one entry of a TypedData message; its answer comes later."""
        call = {"do": "invoke", "id": self.functions[function]["id"], "invocation": function, "trace": TRACE}
        return self._asked({**call, "inputs": inputs, "metadata": metadata or {}})

    def call(self, function: str, inputs: Mapping[str, Any], metadata: Mapping[str, Any] | None = None) -> Answer:
        """Call a function and wait for it."""
        return self.begin(function, inputs, metadata).result(60)

    @staticmethod
    def pause(seconds: float) -> None:
        """Let time pass until the next timer."""
        time.sleep(seconds)

    def _asked(self, request: dict[str, Any]) -> Future[Answer]:
        number = next(self._numbers)
        future: Future[Answer] = Future()
        self._waiting[number] = future
        self._requests.write(json.dumps({"number": number, **request}) + "\n")
        self._requests.flush()
        return future

    def _read(self) -> None:
        with self._answers as answers:
            for line in answers:
                answer = json.loads(line)
                self._waiting.pop(answer.pop("number")).set_result(Answer(**answer))
        for future in self._waiting.values():
            future.set_exception(RuntimeError("the worker has ended; its words are on standard error"))


class Forks:
    """A process that has loaded the worker for an unpacked app, and forks a worker for each that is asked for: to load it takes a
    third of a second of CPU.
    """

    def __init__(self, command: Sequence[str], app: Path) -> None:
        """`command`: an interpreter on drive.py."""
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(command, cwd=app, env={}, stdin=theirs.fileno())

    def fork(self, environment: Mapping[str, str]) -> tuple[int, Worker]:
        """Another worker, with these app settings and no other environment, and its process id."""
        (their_requests, requests), (answers, their_answers) = os.pipe(), os.pipe()
        socket.send_fds(self._socket, [json.dumps(dict(environment)).encode() + b"\n"], [their_requests, their_answers])
        os.close(their_requests)
        os.close(their_answers)
        number = self._socket.recv(32)
        if not number:
            raise RuntimeError("the worker can't be loaded; its words are on standard error")
        return int(number), Worker(open(requests, "w", encoding="utf-8"), open(answers, encoding="utf-8"))  # noqa: PTH123

    def end(self) -> None:
        """Fork no more."""
        self._socket.close()
        self._process.wait()


@cache
def forks(interpreter: Interpreter, app: Path) -> Forks:
    """One for all tests in this process."""
    folders = interpreter.folders or (str(app / SITE_PACKAGES),)
    started = Forks([interpreter.executable, "-I", "-S", str(DRIVE), str(app), str(WORKER), *folders], app)
    atexit.register(started.end)
    return started


@contextlib.contextmanager
def working(interpreter: Interpreter, app: Path, environment: Mapping[str, str]) -> Iterator[Worker]:
    """A worker on an unpacked app, with these app settings and no other environment."""
    if not WORKER.exists():
        missing("Microsoft's Functions worker is missing: `make test` installs it into .judges")
    process, worker = forks(interpreter, app).fork(environment)
    try:
        yield worker
    finally:
        if not worker.end(10):
            os.kill(process, signal.SIGKILL)
            raise TimeoutError("the worker goes on although nothing more can be asked of it")


def timer(*, past_due: bool = False) -> dict[str, str]:
    """The input of a timer trigger."""
    last, following = "2026-11-29T08:00:00+00:00", "2026-11-29T08:01:00+00:00"
    status = {"Last": last, "LastUpdated": last, "Next": following}
    return {"json": json.dumps({"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": past_due})}


def events(kind: str, *bodies: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Input and trigger metadata of an Event Hubs trigger, in one of the forms hosts give: collection_bytes, _string or json."""
    common = {"EnqueuedTimeUtc": "2026-11-29T08:00:00Z", "PartitionKey": "device-1"}
    properties = [{**common, "SequenceNumber": number, "Offset": str(number * 64)} for number, _ in enumerate(bodies)]
    metadata = {"SystemPropertiesArray": {"json": json.dumps(properties)}}
    if kind == "collection_bytes":
        return {kind: [base64.b64encode(body).decode() for body in bodies]}, metadata
    texts = [body.decode("utf-8", "replace") for body in bodies]
    if kind == "collection_string":
        return {kind: texts}, metadata
    return {kind: json.dumps([json.loads(text) for text in texts])}, metadata


def request(method: str, url: str) -> dict[str, Any]:
    """The input of an HTTP trigger."""
    return {"http": {"method": method, "url": url, "headers": {}, "params": {}, "query": {}, "body": ""}}
