"""Lets Microsoft's Functions worker (azure-functions-runtime) load an unpacked package and call its functions.

    python -I -S drive.py APP_FOLDER FOLDER ...

The folders are where the worker and the app's packages are. Standard input is a socket: with each line on it (app settings as
JSON) come two files, and a process is forked that has loaded Microsoft's worker and what the app needs of others, and nothing of
the app. The answer is the id of that process. It takes a request as a JSON line from the first file, and gives the answer as a
JSON line to the second: {"do": "index"}; {"do": "invoke", "function", "inputs", "metadata"}. An input is the one entry of a
TypedData message, such as {"json": "..."} or {"collection_bytes": ["base64", ...]}. What the worker would hand to its host as log
lines stands under "logs" of the next answer.

Only the messages of the gRPC channel between host and worker are stand-ins here: they carry fields and do nothing.
"""

from __future__ import annotations

import asyncio
import base64
import enum
import importlib
import json
import logging
import multiprocessing
import os
import socket
import sys
from types import SimpleNamespace
from typing import Any


class Message:
    """A message of the channel: fields by name; of a `oneof`, the field that is set."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def WhichOneof(self, group: str) -> str | None:
        """The name of the field that is set, of the groups the worker asks for."""
        return "data" if group == "rpc_data" else next(iter(self.__dict__), None)


class Direction(enum.IntEnum):
    """BindingInfo.Direction of the channel's protocol."""

    IN, OUT, INOUT = range(3)


class BindingInfo(Message):
    """BindingInfo with its constants."""

    out, inout, undefined = Direction.OUT, Direction.INOUT, 0


class StatusResult(Message):
    """StatusResult with its constants."""

    Failure, Success = 0, 1


PROTOS = SimpleNamespace(
    BindingInfo=BindingInfo,
    StatusResult=StatusResult,
    **{
        name: type(name, (Message,), {})
        for name in (
            "WorkerInitResponse", "WorkerMetadata", "FunctionMetadataResponse", "RpcFunctionMetadata", "RpcRetryOptions",
            "InvocationResponse", "RpcException", "TypedData", "RpcHttp", "ParameterBinding",
        )
    },
)  # fmt: skip


class HostLog(logging.Handler):
    """What the worker hands to its host of each record: level, category and message, and nothing of `extra`."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[dict[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.lines.append({"level": record.levelname, "category": record.name, "message": self.format(record)})

    def taken(self) -> list[dict[str, str]]:
        """What has come since the last call."""
        lines, self.lines = self.lines, []
        return lines


def typed(entry: dict[str, Any]) -> Message:
    """The TypedData of an input."""
    ((kind, value),) = entry.items()
    if kind == "bytes":
        value = base64.b64decode(value)
    elif kind == "collection_bytes":
        value = Message(bytes=[base64.b64decode(item) for item in value])
    elif kind == "collection_string":
        value = Message(string=value)
    elif kind == "http":
        value = Message(**{**value, "body": Message(bytes=base64.b64decode(value["body"]))})
    return Message(**{kind: value})


def told(response: Any) -> dict[str, Any]:
    """What a response says of success."""
    failed = response.result.status == StatusResult.Failure
    return {"fault": response.result.exception.message if failed else None, "capabilities": getattr(response, "capabilities", {})}


async def index(worker: Any, folder: str) -> dict[str, Any]:
    """Start the worker on the app; gives its functions with their raw bindings and retry options."""
    request = Message(function_app_directory=folder, capabilities={})
    answer = told(await worker.worker_init_request(envelope(worker_init_request=request)))
    if answer["fault"] is None:
        found = await worker.functions_metadata_request(envelope())
        answer["functions"] = {
            function.name: {
                "id": function.function_id,
                "bindings": [json.loads(binding) for binding in function.raw_bindings],
                "retry": function.retry_options and {k: str(v) for k, v in vars(function.retry_options).items()},
            }
            for function in found.function_metadata_results
        }
    return answer


async def invoke(worker: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Call a function as the host does; gives what it returned."""
    call = Message(
        invocation_id=request["invocation"],
        function_id=request["id"],
        input_data=[Message(name=name, data=typed(entry)) for name, entry in request["inputs"].items()],
        trigger_metadata={name: typed(entry) for name, entry in request["metadata"].items()},
        trace_context=Message(trace_parent=request["trace"], trace_state="", attributes={}),
        retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
    )
    response = await worker.invocation_request(envelope(invocation_request=call))
    answer = told(response)
    if value := getattr(response, "return_value", None):
        http = value.http
        answer["http"] = {"status": http.status_code, "headers": http.headers, "body": http.body.bytes.decode()}
    return answer


def envelope(**request: Any) -> Message:
    """A request as it comes over the channel."""
    return Message(request=Message(**request), properties={"host": "127.0.0.1", "protos": PROTOS})


LOADED_BEFORE = ("azure_functions_runtime", "azure.functions", "requests", "jsonschema")
"""Nothing of the app, and nothing that reads the environment when it is loaded: each process has its own."""


async def main(app: str) -> None:
    """Answer requests until standard input ends."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # what a function prints is not an answer
    log = HostLog()
    logging.getLogger().addHandler(log)
    logging.getLogger().setLevel(logging.INFO)
    import azure_functions_runtime as worker

    worker.start_threadpool_executor()
    loop = asyncio.get_running_loop()
    calls = set()

    async def answer(request: dict[str, Any]) -> None:
        result = await (index(worker, app) if request["do"] == "index" else invoke(worker, request))
        print(json.dumps({"number": request["number"], **result, "logs": log.taken()}), file=answers, flush=True)

    while line := await loop.run_in_executor(None, sys.stdin.readline):
        calls.add(asyncio.create_task(answer(json.loads(line))))
    await asyncio.gather(*calls)


def serve(app: str, settings: dict[str, str], files: list[int]) -> None:
    """Be the worker of an app, with these app settings and no other environment."""
    for number, file in enumerate(files):
        os.dup2(file, number)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(settings)
    asyncio.run(main(app))


def fork_for_each_line(app: str) -> None:
    """Until there are no more lines and the last process has ended."""
    forking = multiprocessing.get_context("fork")
    with socket.socket(fileno=os.dup(0)) as asked:
        while True:
            line, files, _, _ = socket.recv_fds(asked, 1 << 20, 2)
            while line and not line.endswith(b"\n"):
                line += asked.recv(1 << 20)
            multiprocessing.active_children()  # also waits for those that have ended
            if not line:
                return
            worker = forking.Process(target=serve, args=(app, json.loads(line), files))
            worker.start()
            for file in files:
                os.close(file)
            asked.sendall(f"{worker.pid}\n".encode())


if __name__ == "__main__":
    sys.path[:0] = sys.argv[1:]
    for name in LOADED_BEFORE:
        importlib.import_module(name)
    fork_for_each_line(sys.argv[1])
