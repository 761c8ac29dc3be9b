"""Pulumi's real dynamic-provider server as a process, driven over gRPC the way the engine drives it; no Pulumi CLI needed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from pulumi.dynamic import ResourceProvider
from pulumi.dynamic.dynamic import serialize_provider
from pulumi.runtime import rpc
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from tests.infra.providers.fake_service import TOKEN

REPOSITORY = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Difference:
    """What a diff says."""

    changes: bool
    replaces: list[str]
    delete_before_replace: bool


class ProviderServer:
    """The server, with the engine's side of the protocol."""

    def __init__(self, provider: ResourceProvider, working_folder: Path, **environment: str) -> None:
        self.blob = serialize_provider(provider)
        settings = {
            "ROOMPULSE_ACCESS_TOKEN": TOKEN,
            "ROOMPULSE_WAIT_SCALE": "0.0005",
            "PULUMI_PROJECT": "roompulse",
            "PYTHONPATH": str(REPOSITORY),
            "NO_PROXY": "127.0.0.1",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pulumi.dynamic"],
            cwd=working_folder,
            env=os.environ | settings | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdout is not None and self.process.stderr is not None
        self.log = ""
        threading.Thread(target=self._read_log, daemon=True).start()
        self._channel = grpc.insecure_channel(f"127.0.0.1:{int(self.process.stdout.readline())}")
        self._stub = provider_pb2_grpc.ResourceProviderStub(self._channel)
        self._stub.Configure(provider_pb2.ConfigureRequest(args=wire({})))

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log += line.decode()

    def close(self) -> None:
        self._channel.close()
        self.process.kill()
        self.process.wait()

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> list[str]:
        response = self._stub.Check(provider_pb2.CheckRequest(olds=self._with(olds), news=self._with(news)))
        return [f"{failure.property}: {failure.reason}" for failure in response.failures]

    def create(self, props: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        response = self._stub.Create(provider_pb2.CreateRequest(properties=self._with(props)))
        return response.id, self._plain(response.properties)

    def diff(self, identifier: str, olds: dict[str, Any], news: dict[str, Any]) -> Difference:
        response = self._stub.Diff(provider_pb2.DiffRequest(id=identifier, olds=self._with(olds), news=self._with(news)))
        return Difference(
            response.changes == provider_pb2.DiffResponse.DIFF_SOME, list(response.replaces), response.deleteBeforeReplace
        )

    def update(self, identifier: str, olds: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
        response = self._stub.Update(provider_pb2.UpdateRequest(id=identifier, olds=self._with(olds), news=self._with(news)))
        return self._plain(response.properties)

    def read(self, identifier: str, props: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        response = self._stub.Read(provider_pb2.ReadRequest(id=identifier, properties=self._with(props)))
        return response.id, self._plain(response.properties)

    def delete(self, identifier: str, props: dict[str, Any]) -> None:
        self._stub.Delete(provider_pb2.DeleteRequest(id=identifier, properties=self._with(props)))

    def _with(self, props: dict[str, Any]) -> Any:
        return wire({**props, "__provider": self.blob})

    def _plain(self, properties: Any) -> dict[str, Any]:
        plain = dict(rpc.deserialize_properties(properties))
        plain.pop("__provider")
        return plain


def wire(props: dict[str, Any]) -> Any:
    """Properties as the engine sends them."""
    return asyncio.run(rpc.serialize_properties(props, {}))


def error_text(failure: grpc.RpcError) -> str:
    """What a person sees of a failure: the last line of the details, after the traceback the server adds."""
    return str(failure.details()).strip().splitlines()[-1]
