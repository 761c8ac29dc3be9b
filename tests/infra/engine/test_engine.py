"""Pulumi's real engine drives the program over route azure (machine.py; Fabric's items: test_engine_fabric.py).

What is Azure's own (whether it takes a body) is held by other tests; here it is about what Pulumi does: previews, dependencies,
state, secrets, failures and interruptions.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator

import pytest

from tests.infra.engine.machine import NEEDS_ENGINE, OWN, REYKJAVIK, SECRET, SECRETS, SETTINGS, Machine, services_outside

pytestmark = NEEDS_ENGINE


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with services_outside() as outside:
        yield Machine(tmp_path_factory.mktemp("engine"), "dev", outside)


def test_from_nothing_to_everything_and_back(machine: Machine) -> None:
    """One stack's life, in order: each step begins where the one before ended."""
    machine.pulumi("stack", "init", "dev")
    refused = machine.pulumi("preview", fails=True)
    assert any(key in refused for key in SECRETS), "Pulumi itself names what is missing"
    for key, value in SECRETS.items():
        machine.pulumi("config", "set", "--secret", key, text=f"{value}\n")
    assert SECRET not in machine.stack_file.read_text(encoding="utf-8")

    first = machine.steps()
    assert set(first) == {"create"} and {"query", "ingest-package", "ingest-settings-city-lyon"} <= first["create"]
    assert machine.everything_outside() == 0, "a preview makes nothing"

    machine.cloud_file.with_suffix(".fail").write_text("alerts-fanout")  # a consumer group that Azure refuses
    failed = machine.pulumi("up", "--yes", "--skip-preview", fails=True)
    assert "Conflict" in failed and len(machine.cloud()) > 0
    machine.cloud_file.with_suffix(".fail").unlink()
    machine.pulumi("up", "--yes", "--skip-preview")
    assert [job.state for job in machine.jobs.jobs.values()] == ["Running"]
    assert {app.content for app in machine.apps.apps.values()} != {""}
    assert set(machine.blobs["stingest"].containers["settings"]) == {
        "common.json", "cities/lyon.json", "cities/toronto.json", "cities/singapore.json"
    }  # fmt: skip

    assert machine.steps() == {}, "a second look finds nothing to do"
    held = json.loads(machine.state())
    assert SECRET not in machine.state()
    assert held["checkpoint"]["latest"]["secrets_providers"]["type"] == "passphrase"
    outputs = json.loads(machine.pulumi("stack", "output", "--json"))
    assert outputs["ingestApp"] == "func-roompulse-ingest-contoso-dev"
    assert "unchanged" in machine.pulumi("refresh", "--yes")

    renewed = json.dumps({"client_id": "C1", "refresh_token": "renewed by the ingest"})
    machine.write_secret("webex-token-set", renewed)
    machine.pulumi("refresh", "--yes")
    machine.pulumi("config", "set", "--secret", "webexTokenSet", text=SECRETS["webexTokenSet"].replace("C1", "C2"))
    machine.pulumi("config", "set", "--secret", "webexClientSecret", text="another")
    assert machine.steps() == {"update": {"webex-client-secret"}}
    machine.pulumi("up", "--yes", "--skip-preview")
    assert (machine.secret("webex-token-set"), machine.secret("webex-client-secret")) == (renewed, "another")

    machine.with_city("reykjavik", REYKJAVIK)
    assert machine.steps() == {"create": OWN}
    uploads, puts = machine.apps.uploads(), len(machine.jobs.puts)
    machine.pulumi("up", "--yes", "--skip-preview")
    assert (machine.apps.uploads(), len(machine.jobs.puts)) == (uploads, puts), "neither code nor query was touched"
    assert machine.steps() == {}

    machine.with_city("reykjavik", {**REYKJAVIK, "name": "Reykjavík"})
    assert machine.steps() == {"update": SETTINGS}
    machine.blobs["stingest"].put("cities/lyon.json", b"{}", "settings")  # by hand
    machine.pulumi("refresh", "--yes")
    assert machine.steps() == {"update": {*SETTINGS, "ingest-settings-city-lyon"}}
    machine.pulumi("up", "--yes", "--skip-preview")
    assert b"Lyon" in machine.blobs["stingest"].blob("cities/lyon.json", "settings").content

    machine.with_city("reykjavik", None)
    assert machine.steps() == {"delete": OWN}
    machine.pulumi("up", "--yes", "--skip-preview")

    machine.pulumi("destroy", "--yes", "--skip-preview")
    assert machine.everything_outside() == 0


def test_an_up_that_is_interrupted_is_finished_by_the_next(machine: Machine) -> None:
    """Ctrl-C in the middle: what was made is in the state, and is not made twice."""
    machine.purge()
    running = machine.start("up", "--yes", "--skip-preview", STANDIN_SECONDS="0.3")
    deadline = time.monotonic() + 90
    while len(machine.cloud()) < 12 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert running.poll() is None, "it was over before it could be interrupted"
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=120)
    assert running.returncode != 0, output[-3000:]
    made = len(machine.cloud())
    assert 12 <= made < 80
    machine.pulumi("up", "--yes", "--skip-preview")
    assert machine.steps() == {}
    machine.pulumi("destroy", "--yes", "--skip-preview")
    assert machine.everything_outside() == 0
