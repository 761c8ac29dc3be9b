"""Keeping the token alive, against the simulator's own tokens, in a file and in a vault; nothing of it is ever logged."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import stat
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests
from webex_world import World as SimulatedWorld

from processors import clock
from processors.azure_blobs import BlobContainer
from processors.contracts.http_session import Session
from processors.ingest import tokens as tokens_module
from processors.ingest.environment import faults_of, token_source
from processors.ingest.token_stores import SERVICE_APP_SECRETS, FileTokenStore, VaultTokenStore
from processors.ingest.tokens import ServiceAppToken, TokenSet, TokenStore, TokenStoreError
from processors.ingest.webex_client import Deadline, TokenError, WebexClient
from processors.key_vault import KeyVault, KeyVaultError
from tests.support.blobs import BACK_ENDS, FAKE, Blobs, served
from tests.support.fake_vault import FakeVault, fake_vault
from tests.support.misbehaving import answering, closing, misbehaving
from webex_simulator.tokens import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN

DAY = 86_400.0


class Place:
    """A store of either kind, and how a test looks into it and breaks it."""

    def __init__(self, kind: str, folder: Path, vault: FakeVault, blobs: Blobs) -> None:
        self.kind, self.vault, self.blobs = kind, vault, blobs
        self.path = folder / "tokens" / "webex-token-set.json"
        self.path.parent.mkdir()
        vault.secrets["webex-client-secret"] = [CLIENT_SECRET]

    def store(self) -> TokenStore:
        if self.kind == "file":
            return FileTokenStore(self.path, {"WEBEX_CLIENT_SECRET": CLIENT_SECRET})
        return VaultTokenStore(self.vault.uri, BlobContainer(self.blobs.url()), {})

    def put(self, **fields: str) -> None:
        """Store a token set as a person does."""
        text = json.dumps({"client_id": CLIENT_ID, "refresh_token": REFRESH_TOKEN} | fields)
        if self.kind == "file":
            self.path.write_text(text)
            self.path.chmod(0o600)
        else:
            self.vault.secrets["webex-token-set"] = [text]

    def stored(self) -> dict[str, str]:
        """The token set as it is stored now."""
        text = self.path.read_text() if self.kind == "file" else self.vault.secrets["webex-token-set"][-1]
        token_set: dict[str, str] = json.loads(text)
        return token_set

    def refuse_writes(self, refuse: bool = True) -> None:
        if self.kind == "vault":
            self.vault.refuse = {"PUT": 403} if refuse else {}
        elif refuse:
            Path(f"{self.path}.new").mkdir()
        else:
            Path(f"{self.path}.new").rmdir()


@pytest.fixture(params=["file", *BACK_ENDS], ids=["file", *(f"vault-{name}" for name in BACK_ENDS)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    kind, back_end = ("file", FAKE) if request.param == "file" else ("vault", request.param)
    with fake_vault() as vault, served(back_end) as blobs:
        place = Place(kind, tmp_path, vault, blobs)
        place.put()
        yield place


class World(SimulatedWorld):
    """Knows how often /access_token was asked."""

    refreshes = 0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "webex", devices=100)
    clock.use(lambda: datetime.fromtimestamp(world.now, UTC))
    yield world
    clock.use(None)
    world.close()


@pytest.fixture
def source(place: Place, world: World) -> ServiceAppToken:
    return ServiceAppToken(place.store(), f"{world.simulator.url}/access_token")


def refreshes(world: World) -> int:
    return world.refreshes


@pytest.fixture(autouse=True)
def counted_refreshes(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """Count what is asked of /access_token."""
    whole = Session.whole

    def counting(session: Session, method: str, url: str, *how: Any, **request: Any) -> requests.Response:
        world.refreshes += url.endswith("/access_token")
        return whole(session, method, url, *how, **request)

    monkeypatch.setattr(Session, "whole", counting)


@pytest.fixture(autouse=True)
def nothing_is_logged(caplog: pytest.LogCaptureFixture, place: Place) -> Iterator[None]:
    """Whatever a test does: no token, secret or refresh token is in any log record, not even among its extras."""
    caplog.set_level(logging.DEBUG)
    yield
    logged = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.get_records("call"))
    stored = place.stored()
    for secret in (CLIENT_SECRET, REFRESH_TOKEN, stored["refresh_token"], stored.get("access_token") or REFRESH_TOKEN):
        assert secret not in logged


def works(world: World, token: str) -> bool:
    headers = {"Authorization": f"Bearer {token}"}
    return requests.get(f"{world.simulator.url}/devices", headers=headers, params={"max": 1}, timeout=10).status_code == 200


def alarms(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


def test_a_refresh_token_alone_is_enough_to_begin_with(place: Place, world: World, source: ServiceAppToken) -> None:
    token = source.token()
    assert works(world, token)
    assert place.stored()["access_token"] == token, "stored before it is used"
    assert source.token() == token
    assert refreshes(world) == 1
    assert source.lives() == {"access": 14.0, "refresh": 90.0}


def test_it_is_renewed_when_four_days_are_left_and_not_before(place: Place, world: World, source: ServiceAppToken) -> None:
    first = source.token()
    world.now += 9.9 * DAY
    assert source.token() == first
    world.now += 0.2 * DAY
    second = source.token()
    assert second != first and works(world, second)
    assert refreshes(world) == 2


def test_over_half_a_year_of_polls_it_always_works_and_a_changing_refresh_token_is_followed(
    place: Place, world: World, source: ServiceAppToken
) -> None:
    world.control("rotate-refresh-token")
    seen = set()
    for _ in range(180):
        assert works(world, source.token())
        seen.add(place.stored()["refresh_token"])
        world.now += DAY
    assert refreshes(world) == len(seen) <= 180 / 9
    assert works(world, ServiceAppToken(place.store(), f"{world.simulator.url}/access_token").token()), (
        "a new process goes on from what is stored"
    )


def test_a_refusal_renews_once_and_a_young_token_that_is_refused_is_not_renewed_again(
    world: World, source: ServiceAppToken, caplog: pytest.LogCaptureFixture
) -> None:
    first = source.token()
    world.now += 2 * DAY
    world.control("expire-token")
    world.now += 1
    second = source.renew(first)
    assert second != first and works(world, second)
    assert source.renew(first) == second, "another request found the old token refused: it has been renewed since"
    assert refreshes(world) == 2
    for _ in range(3):
        with pytest.raises(TokenError, match="authorise the service app again"):
            source.renew(second)
    assert refreshes(world) == 2
    assert len(alarms(caplog)) == 3


def test_a_token_another_instance_stored_is_taken_without_asking_webex(
    place: Place, world: World, source: ServiceAppToken
) -> None:
    first = source.token()
    world.now += 2 * DAY
    other = ServiceAppToken(place.store(), f"{world.simulator.url}/access_token")
    renewed = other.renew(first)
    assert source.renew(first) == renewed
    assert refreshes(world) == 2


def test_a_set_stored_by_hand_without_an_access_token_is_exchanged_by_a_running_ingest(
    place: Place, world: World, source: ServiceAppToken
) -> None:
    first = source.token()
    world.now += 2 * DAY
    place.put()
    second = source.renew(first)
    assert second != first and works(world, second)


def test_of_several_instances_one_renews_and_all_have_its_token(
    place: Place, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_module, "LOOK_EVERY_SECONDS", 0.02)
    world.control("rotate-refresh-token")
    sources = [ServiceAppToken(place.store(), f"{world.simulator.url}/access_token") for _ in range(5)]
    got: list[str] = []
    threads = [threading.Thread(target=lambda source=source: got.append(source.token())) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 5 and len(set(got)) == 1
    assert refreshes(world) == 1


def test_an_instance_that_holds_the_turn_for_ever_is_an_alarm(
    place: Place, world: World, source: ServiceAppToken, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tokens_module, "LOOK_EVERY_SECONDS", 0.01)
    monkeypatch.setattr(tokens_module, "WAIT_FOR_ANOTHER_SECONDS", 0.05)
    with place.store().turn() as ours:
        assert ours
        with pytest.raises(TokenError, match="another instance renews"):
            source.token()
    assert alarms(caplog)


def test_while_the_old_token_serves_a_failed_renewal_is_an_alarm_and_no_more(
    world: World, source: ServiceAppToken, caplog: pytest.LogCaptureFixture
) -> None:
    first = source.token()
    world.control("refuse-refresh")
    world.now += 11 * DAY
    for _ in range(5):
        assert source.token() == first
    assert len(alarms(caplog)) == 1, "tried again after ten minutes only"
    assert "authorise the service app again" in alarms(caplog)[0]
    world.now += 4 * DAY
    with pytest.raises(TokenError):
        source.token()
    world.control("clear")
    world.now += 3600
    assert works(world, source.token())


@pytest.mark.parametrize("fault", ["fail", "drop"])
def test_webex_that_does_not_answer_is_an_alarm_and_the_next_try_succeeds(
    fault: str, world: World, source: ServiceAppToken, caplog: pytest.LogCaptureFixture
) -> None:
    world.control(fault, **({"status": 503} if fault == "fail" else {}))
    with pytest.raises(TokenError):
        source.token()
    assert alarms(caplog)
    world.control("clear")
    world.now += 601
    assert works(world, source.token())


def test_what_can_not_be_stored_is_used_from_memory_with_an_alarm_and_stored_later(
    place: Place, world: World, source: ServiceAppToken, caplog: pytest.LogCaptureFixture
) -> None:
    world.control("rotate-refresh-token")
    place.refuse_writes()
    token = source.token()
    assert works(world, token)
    assert "in memory only" in alarms(caplog)[0]
    assert source.token() == token
    assert len(alarms(caplog)) == 1
    world.now += 10.5 * DAY
    second = source.token()
    assert works(world, second), "the chain goes on from memory"
    place.refuse_writes(False)
    world.now += 61
    assert source.token() == second
    assert place.stored()["access_token"] == second


def test_a_refresh_token_near_its_end_is_an_alarm_every_hour(
    place: Place, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    far, near = ("2026-12-20T00:00:00.000Z", "2026-12-10T00:00:00.000Z")
    obtained = "2026-11-24T10:00:00.000Z"
    place.put(access_token="access-token-of-before", access_expires_at=near, refresh_expires_at=far, obtained_at=obtained)
    source = ServiceAppToken(place.store(), f"{world.simulator.url}/access_token")
    for _ in range(4):
        source.token()
        world.now += 1700
    (first, second) = alarms(caplog)
    assert "the refresh token ends on 2026-12-20" in first and "authorise" in second


def test_the_client_goes_on_through_an_expiry_in_the_middle(world: World, source: ServiceAppToken) -> None:
    client = WebexClient(world.simulator.url, source)
    assert client.get("/locations", {}, Deadline(10)).items
    world.now += 2 * DAY
    world.control("expire-token")
    world.now += 1
    assert client.get("/locations", {}, Deadline(10)).items
    assert refreshes(world) == 2
    client.close()


@pytest.mark.parametrize(
    ("text", "words"),
    [("no json", "holds no token set"), ("[]", "holds no token set"), ('{"client_id": "c"}', "refresh_token missing")],
)
def test_a_token_set_that_is_none_is_named_and_not_shown(place: Place, source: ServiceAppToken, text: str, words: str) -> None:
    place.put()
    if place.kind == "file":
        place.path.write_text(text)
    else:
        place.vault.secrets["webex-token-set"] = [text]
    with pytest.raises(TokenError, match=words) as caught:
        source.token()
    assert text not in str(caught.value)
    place.put()


UNSENDABLE = ["hidden\n", "hid den", "\u201chidden\u201d", "hidden\xe9", "hidden\udce9"]
"""What becomes of a token that is copied out of a document, or read from a file."""


@pytest.mark.parametrize("token", UNSENDABLE)
def test_a_stored_token_that_no_header_can_hold_is_named_and_not_shown(place: Place, source: ServiceAppToken, token: str) -> None:
    place.put(access_token=token)
    with pytest.raises(TokenError, match="access_token has characters that no token has") as caught:
        source.token()
    assert "hid" not in str(caught.value)


@pytest.mark.parametrize("token", UNSENDABLE)
def test_nor_does_one_in_the_environment(token: str) -> None:
    source = token_source({"WEBEX_ACCESS_TOKEN": token})
    if token == "hidden\n":
        assert source.token() == "hidden"
        return
    with pytest.raises(TokenError, match="WEBEX_ACCESS_TOKEN has characters that no token has") as caught:
        source.token()
    assert "hid" not in str(caught.value)


@pytest.mark.parametrize("token", UNSENDABLE)
def test_a_renewal_that_gives_one_is_an_alarm_and_its_refresh_token_is_kept_for_the_next(place: Place, token: str) -> None:
    place.put(access_token="serves-on", access_expires_at="2030-01-01T00:00:00.000Z")
    body = json.dumps({"access_token": token, "refresh_token": "newer", "expires_in": 1209599}).encode()
    with misbehaving(closing(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)) as webex:
        source = ServiceAppToken(place.store(), f"http://{webex.address}/access_token")
        with pytest.raises(TokenError, match="without an access token that can be sent"):
            source.renew(source.token())
        assert source.token() == "serves-on"
    assert place.stored()["refresh_token"] == "newer"


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (b"200 OK", b"<html>Sign in</html>", "got 200. Not the service but something on the way to it answers"),
        (b"502 Bad gateway", b"<html>Bad gateway</html>", "did not renew the token: 502, tracking id None. It is tried again"),
        (b"200 OK", b"half a J", "did not renew the token: 200, tracking id None. It is tried again"),
        (b"400 Bad request", b"<html>", "400, tracking id None. The refresh token or the client secret is no good any more"),
    ],
)
def test_a_renewal_that_is_not_json_is_reported_by_its_cause(place: Place, status: bytes, body: bytes, said: str) -> None:
    place.put()
    head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    with misbehaving(closing(head + body)) as webex, pytest.raises(TokenError, match=re.escape(said)):
        ServiceAppToken(place.store(), f"http://{webex.address}/access_token").token()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [(b"200 OK", b"<html>", "got 200. Not the service but something"), (b"403 Forbidden", b"<html>", "GET got 403.")],
)
def test_a_vault_in_whose_place_somebody_answers_is_not_said_to_be_out_of_reach(status: bytes, body: bytes, said: str) -> None:
    head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    with misbehaving(closing(head + body)) as vault, pytest.raises(KeyVaultError, match=re.escape(said)) as fault:
        KeyVault(f"http://{vault.address}", {}).get("secret")
    assert fault.value.status == int(status.split()[0])


def test_a_renewal_that_drips_ends_with_its_time(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put()
    monkeypatch.setattr(tokens_module, "ANSWER_SECONDS", 0.3)
    with misbehaving(answering(b"HTTP/1.1 200 OK\r\n", forever=b"X-A: b\r\n", pause=0.05)) as webex:
        began = time.monotonic()
        with pytest.raises(TokenError, match="no proper answer to the renewal of the token"):
            ServiceAppToken(place.store(), f"http://{webex.address}/access_token").token()
        assert time.monotonic() - began < 3


def test_a_file_is_kept_from_others_and_one_that_was_not_is_refused(place: Place, world: World, source: ServiceAppToken) -> None:
    if place.kind != "file":
        return
    source.token()
    assert stat.S_IMODE(place.path.stat().st_mode) == 0o600
    place.path.chmod(0o644)
    with pytest.raises(TokenError, match="chmod 600"):
        ServiceAppToken(place.store(), f"{world.simulator.url}/access_token").token()


@pytest.mark.parametrize(("method", "status", "words"), [("GET", 403, "Key Vault Secrets"), ("GET", 404, "Store it once")])
def test_a_vault_that_refuses_says_what_to_do(
    place: Place, source: ServiceAppToken, method: str, status: int, words: str
) -> None:
    if place.kind != "vault":
        return
    place.vault.refuse = {method: status}
    with pytest.raises(TokenError, match=f"secret webex-token-set.*{words}"):
        source.token()


def test_the_vault_is_entered_with_an_entra_token_and_the_turn_is_a_lease(place: Place, world: World) -> None:
    if place.kind != "vault":
        return

    class Credential:
        def get_token(self, scope: str) -> Any:
            assert scope == "https://vault.azure.net/.default"
            return type("Token", (), {"token": "entra"})()

    store = VaultTokenStore(place.vault.uri, BlobContainer(place.blobs.url()), {}, Credential())
    ServiceAppToken(store, f"{world.simulator.url}/access_token").token()
    assert place.vault.authorizations == {"Bearer entra"}
    assert place.vault.requests.count(("GET", "webex-token-set")) == 2, "read at the start, and again with the turn"
    assert not place.blobs.leased(SERVICE_APP_SECRETS.turn), "released"


def test_a_vault_that_is_not_there_is_an_error(place: Place) -> None:
    store = VaultTokenStore("http://127.0.0.1:1", BlobContainer(place.blobs.url()), {})
    with pytest.raises(TokenStoreError, match="firewall"):
        store.read()


def test_the_environment_says_where_tokens_are(place: Place, tmp_path: Path) -> None:
    vault = {"WEBEX_TOKEN_VAULT_URI": place.vault.uri, "STATE_BLOB_URL": place.blobs.url()}
    file = {"WEBEX_TOKEN_FILE": str(place.path), "WEBEX_CLIENT_SECRET": "secret"}
    rest = {"INGEST_SETTINGS": "x", "WEBEX_API_BASE": "http://127.0.0.1:1/v1"}
    for environment in (vault, file):
        assert faults_of(environment | rest, event_hubs=False, state=False) == []
        assert isinstance(token_source(environment | rest), ServiceAppToken)
    for missing in ("STATE_BLOB_URL", "WEBEX_CLIENT_SECRET"):
        environment = {name: value for name, value in (vault if missing in vault else file).items() if name != missing}
        (fault,) = faults_of(environment | rest, event_hubs=False, state=False)
        assert fault.startswith(missing)


class TestWhereAFileLies:
    SECRET: ClassVar = {"WEBEX_CLIENT_SECRET": "s"}

    def store(self, path: Path, text: str = '{"client_id": "C1", "refresh_token": "old"}') -> FileTokenStore:
        path.write_text(text)
        path.chmod(0o600)
        return FileTokenStore(path, self.SECRET)

    def test_two_organisations_in_one_folder_share_no_lock(self, tmp_path: Path) -> None:
        one, other = self.store(tmp_path / "org.a"), self.store(tmp_path / "org.b")
        with one.turn() as ours, other.turn() as theirs:
            assert (ours, theirs) == (True, True)

    def test_a_link_stays_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        self.store(tmp_path / "elsewhere" / "tokens.json")
        link = tmp_path / "tokens.json"
        link.symlink_to(tmp_path / "elsewhere" / "tokens.json")
        store = FileTokenStore(link, self.SECRET)
        store.write(TokenSet("C1", "new"))
        assert link.is_symlink()
        assert json.loads((tmp_path / "elsewhere" / "tokens.json").read_text())["refresh_token"] == "new"

    @pytest.mark.parametrize("number", [errno.EBUSY, errno.EXDEV])
    def test_a_file_that_is_mounted_by_itself_is_written_in_its_place(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        (tmp_path / "mounted").mkdir()
        store = self.store(tmp_path / "mounted" / "tokens.json", '{"client_id": "C1", "refresh_token": "' + "old" * 500 + '"}')

        def refuse(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(Path, "replace", refuse)
        store.write(TokenSet("C1", "new"))
        assert store.read().refresh_token == "new"
        assert [path.name for path in (tmp_path / "mounted").iterdir()] == ["tokens.json"]
