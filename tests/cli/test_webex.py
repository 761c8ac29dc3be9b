"""`roompulse webex integration`, against the simulated Webex: from the manifest to an integration that Webex knows."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result
from webex_world import World

from cli.main import app
from tests.support.blobs import FAKE, served
from tests.support.fake_vault import FakeVault, fake_vault

EMAIL = "av@company.example"


def run(*words: str, answer: str = "") -> Result:
    return CliRunner().invoke(app, ["webex", "integration", *words], input=answer)


def manifest() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run("manifest", "--email", EMAIL).output)
    return document


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    import time

    world = World(tmp_path / "webex", devices=100)
    world.now = time.time()
    monkeypatch.setenv("WEBEX_API_BASE", world.simulator.url)
    yield world
    world.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WEBEX_INTEGRATION_FOLDER", str(tmp_path / "integration"))
    return tmp_path / "integration"


def activated(world: World, monkeypatch: pytest.MonkeyPatch, **changed: Any) -> Result:
    given = world.scenario.integrate({**manifest(), **changed})
    monkeypatch.setenv("WEBEX_INTEGRATION_CLIENT_SECRET", given["clientSecret"])
    return run("activate", "--client-id", given["clientId"], answer=given["activationCode"])


def test_the_manifest_names_whom_webex_may_write_to() -> None:
    assert manifest()["email"] == EMAIL


def test_from_the_manifest_to_an_integration_that_is_known(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = activated(world, monkeypatch)
    assert result.exit_code == 0, result.output
    assert "Everything that the manifest asks for is approved" in result.output
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir() if path.suffix != ".lock"} == {0o600}
    said = run("status")
    assert (said.exit_code, "Provisioning: completed. It has no queue" in " ".join(said.output.split())) == (1, True)


def test_what_the_administrator_has_not_approved_is_said(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    access = manifest()["xapiAccess"]
    result = activated(world, monkeypatch, xapiAccess={**access, "status": access["status"][1:]})
    assert result.exit_code == 1
    assert f"Not approved yet: status {access['status'][0]['path']}" in " ".join(result.output.split())


def test_a_code_of_somebody_else_stores_nothing(
    world: World, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = world.scenario.integrate(manifest())
    other = World(tmp_path / "other", devices=100, seed=8)
    monkeypatch.setenv("WEBEX_API_BASE", other.simulator.url)
    result = run("activate", "--client-id", given["clientId"], answer=f"{given['activationCode']}\nsecret\n")
    other.close()
    assert result.exit_code != 0
    assert "signature" in result.output
    assert not folder.exists()


def test_nothing_says_where_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WEBEX_INTEGRATION_FOLDER", "WEBEX_TOKEN_VAULT_URI"):
        monkeypatch.delenv(name, raising=False)
    assert "set WEBEX_INTEGRATION_FOLDER, or WEBEX_TOKEN_VAULT_URI and STATE_BLOB_URL" in " ".join(run("status").output.split())


def test_before_it_is_activated_it_says_how_to_begin(folder: Path) -> None:
    result = run("status")
    assert (result.exit_code, "roompulse webex integration manifest says how" in " ".join(result.output.split())) == (1, True)


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeVault]:
    with fake_vault() as vault, served(FAKE) as blobs:
        monkeypatch.setenv("WEBEX_TOKEN_VAULT_URI", vault.uri)
        monkeypatch.setenv("STATE_BLOB_URL", blobs.url())
        yield vault


def test_in_the_vault_it_is_beside_the_service_app_and_touches_none_of_it(
    world: World, vault: FakeVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.secrets["webex-token-set"] = ["the service app's"]
    assert activated(world, monkeypatch).exit_code == 0
    names = {"webex-integration", "webex-integration-token-set", "webex-integration-client-secret"}
    assert set(vault.secrets) == {"webex-token-set", *names}
    assert vault.secrets["webex-token-set"] == ["the service app's"]
    assert "Provisioning: completed" in run("status").output


def test_who_may_not_write_into_the_vault_is_told_the_role(
    world: World, vault: FakeVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.refuse = {"PUT": 403}
    result = activated(world, monkeypatch)
    assert (result.exit_code, "Key Vault Secrets Officer" in " ".join(result.output.split())) == (1, True)
