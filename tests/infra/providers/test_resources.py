"""What the resources register with the engine, seen through Pulumi's mocks in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.support.shared_data import REPOSITORY

PROGRAM = """
import asyncio, infra, json, pulumi
from pathlib import Path
from infra.providers.function_package import FunctionPackage
from infra.providers.stream_analytics_job import StreamAnalyticsJob, StreamAnalyticsJobArgs

registered = {}

class Recorder(pulumi.runtime.Mocks):
    def new_resource(self, args):
        registered[args.name] = {"type": args.typ, "inputs": args.inputs}
        return args.name, args.inputs
    def call(self, args):
        raise AssertionError(args.token)

asyncio.set_event_loop(asyncio.new_event_loop())  # from Python 3.14 on nothing makes one for Pulumi
pulumi.runtime.set_mocks(Recorder())

@pulumi.runtime.test
def program():
    later = pulumi.Output.from_input("evhns-1")
    body = {"properties": {
        "sku": {"name": "StandardV2"}, "compatibilityLevel": "1.2",
        "inputs": [{"name": "observations", "properties": {"namespace": later}}], "outputs": [],
        "transformation": {"name": "Transformation", "properties": {"streamingUnits": 3, "query": "SELECT 1"}}}}
    StreamAnalyticsJob("job", StreamAnalyticsJobArgs("s", "rg", "asa", "westeurope", later, body, {"stack": "dev"}))
    FunctionPackage("code", "func-1", Path(infra.__file__).resolve().parents[1] / "output/packages/ingest.zip", "ab" * 32)
    FunctionPackage("relative", "func-1", "output/packages/ingest.zip", "ab" * 32)
    try:
        FunctionPackage("outside", "func-1", Path("/elsewhere/ingest.zip"), "ab" * 32)
    except ValueError as fault:
        registered["refused"] = str(fault)

program()
print(json.dumps(registered))
"""


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", PROGRAM]
    result = subprocess.run(command, cwd=tmp_path_factory.mktemp("elsewhere"), env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    inputs: dict[str, Any] = json.loads(result.stdout)
    return inputs


def test_types_and_provider_modules_are_what_every_stacks_state_holds(registered: dict[str, Any]) -> None:
    """Changing one of these strands the resources of existing stacks."""
    import base64

    for name, kind, module in (
        ("job", "pulumi-python:dynamic/roompulse:StreamAnalyticsJob", b"infra.providers.stream_analytics_job"),
        ("code", "pulumi-python:dynamic/roompulse:FunctionPackage", b"infra.providers.function_package"),
    ):
        assert registered[name]["type"] == kind
        assert module in base64.b64decode(registered[name]["inputs"]["__provider"])


def test_a_job_is_laid_out_so_that_a_preview_names_what_changes(registered: dict[str, Any]) -> None:
    inputs = registered["job"]["inputs"]
    assert inputs["query"] == "SELECT 1" and inputs["policies"] == {"compatibilityLevel": "1.2"}
    assert inputs["inputs"] == {"observations": {"namespace": "evhns-1"}}


def test_state_holds_no_path_of_this_machine(registered: dict[str, Any]) -> None:
    for name in ("code", "relative"):
        assert registered[name]["inputs"]["packagePath"] == "output/packages/ingest.zip"
    assert "outside the repository" in registered["refused"]
