"""What is believed of a token that claims to come from Webex: everything is right, or it is refused with what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from processors import clock
from processors.ingest.push.activation import Integration, action_from, activation_from, integration_from
from processors.ingest.push.trust import KEYS, NotTrusted, Trust
from processors.timestamps import format_time

NOW = datetime(2026, 11, 24, 11, tzinfo=UTC)
OURS, THEIRS = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
CLAIMS: dict[str, Any] = {
    "sub": "org-1",
    "appId": "app-1",
    "appUrl": "https://xapi-k.wbx2.com/xapi/api/organizations/org-1/apps/app-1",
    "oauthUrl": "https://webexapis.com/v1/access_token",
    "webexapisBaseUrl": "https://webexapis.com/v1",
    "region": "eu-central-1_k",
    "refreshToken": "the-refresh-token",
    "manifestVersion": 2,
    "expiryTime": format_time(NOW + timedelta(days=7)),
    "iat": int(NOW.timestamp()),
    "jti": "token-1",
    "action": "provision",
}
ACTION = {name: value for name, value in CLAIMS.items() if name != "expiryTime"} | {"action": "updateApproved"}
INTEGRATION = Integration("org-1", "app-1", "client", CLAIMS["appUrl"], CLAIMS["oauthUrl"], CLAIMS["webexapisBaseUrl"], "eu", 2)


class WebexKeys(Trust):
    """Trust in Webex, whose published key is ours for the test."""

    def key(self, region: object, key_id: str) -> Any:
        assert (region, key_id) == ("eu-central-1_k", "key-1")
        return OURS.public_key()


TRUST = WebexKeys("https://webexapis.com/v1")


def signed(claims: dict[str, Any], key: Any = OURS, algorithm: str = "ES256", **header: Any) -> str:
    return jwt.encode(claims, key, algorithm, headers={"kid": "key-1"} | header)


def without(name: str, claims: dict[str, Any] = CLAIMS) -> dict[str, Any]:
    return {key: value for key, value in claims.items() if key != name}


@pytest.fixture(autouse=True)
def at_noon() -> Iterator[None]:
    clock.use(lambda: NOW)
    yield
    clock.use(None)


def test_a_code_of_webex_gives_the_integration_and_its_token() -> None:
    activation = activation_from(f" {signed(CLAIMS)}\n", "client", TRUST)
    assert activation.integration == Integration(
        "org-1", "app-1", "client", CLAIMS["appUrl"], CLAIMS["oauthUrl"], CLAIMS["webexapisBaseUrl"], "eu-central-1_k", 2
    )
    assert activation.refresh_token == "the-refresh-token"
    assert "the-refresh-token" not in repr(activation)


TAMPERED = signed(CLAIMS).rsplit(".", 1)[0] + "." + signed({**CLAIMS, "sub": "org-2"}).rsplit(".", 1)[1]
UNSIGNED = jwt.encode(CLAIMS, "", "none", headers={"kid": "key-1"})
SHARED = jwt.encode(CLAIMS, "a secret that is thirty-two bytes", "HS256", headers={"kid": "key-1"})


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (signed(CLAIMS, THEIRS), "signature .* is not Webex's"),
        (TAMPERED, "signature .* is not Webex's"),
        (UNSIGNED, "signed with 'none', and Webex signs with ES256"),
        (SHARED, "signed with 'HS256', and Webex signs with ES256"),
        (signed(CLAIMS)[:-40], "signature .* is not Webex's|not a token of Webex"),
        ("", "not a token of Webex"),
        ("eyJ.not.it", "not a token of Webex"),
        (signed({**CLAIMS, "action": "deprovision"}), "for 'deprovision', not for an activation"),
        (signed({**CLAIMS, "expiryTime": format_time(NOW - timedelta(seconds=1))}), "ended at 2026-11-24T10:59:59.000Z"),
        (signed({**CLAIMS, "expiryTime": "soon"}), "ended at never"),
        (signed({**CLAIMS, "iat": int(NOW.timestamp()) + 600}), "see this machine's clock"),
        (signed(without("iat")), "see this machine's clock"),
        *((signed(without(name)), f"lacks {name}") for name in ("sub", "appId", "refreshToken", "jti")),
        *((signed(without(name)), f"{name} leads to no address") for name in ("appUrl", "oauthUrl", "webexapisBaseUrl")),
    ],
)
def test_what_is_wrong_with_a_code_is_named(code: str, said: str) -> None:
    with pytest.raises(NotTrusted, match=said) as refusal:
        activation_from(code, "client", TRUST)
    assert "the-refresh-token" not in str(refusal.value)


ADDRESSES = {
    "https://webexapis.com/v1": True,
    "https://xapi-a.wbx2.com/xapi": True,
    "https://api-usgov.webex.com/v1": True,
    "https://xapi.gov.ciscospark.com/xapi": True,
    "https://webexapis.com:443/v1": True,
    "http://webexapis.com/v1": False,
    "https://webexapis.com:8443/v1": False,
    "https://webexapis.com.evil.example/v1": False,
    "https://evilwebexapis.com/v1": False,
    "https://evil.example/webexapis.com": False,
    "https://webexapis.com@evil.example/": False,
    "https://user:pass@webexapis.com/": False,
    "https://evil.example\\@webexapis.com/": False,
    "https://[::1/": False,
    "https://127.0.0.1/v1": False,
    "//webexapis.com/v1": False,
    "": False,
}


@pytest.mark.parametrize(("url", "is_webex"), ADDRESSES.items())
@pytest.mark.parametrize("name", ["appUrl", "oauthUrl", "webexapisBaseUrl"])
def test_only_webex_is_spoken_to(url: str, is_webex: bool, name: str) -> None:
    code = signed({**CLAIMS, name: url})
    if is_webex:
        assert activation_from(code, "client", TRUST)
    else:
        with pytest.raises(NotTrusted, match=f"{name} leads to .*, which is not Webex's: nothing is sent there"):
            activation_from(code, "client", TRUST)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8081/v1", "http://127.0.0.1:8082/v1", "https://webexapis.com/v1"])
def test_a_stand_in_on_this_machine_is_believed_alone(url: str) -> None:
    trust = Trust("http://127.0.0.1:8081/v1")
    if url.startswith("http://127.0.0.1:8081"):
        assert trust.checked("appUrl", url) == url
    else:
        with pytest.raises(NotTrusted):
            trust.checked("appUrl", url)


def test_the_keys_of_a_region_nobody_knows_are_asked_of_nobody() -> None:
    with pytest.raises(NotTrusted, match="region 'mars-1' is not one whose keys are known"):
        Trust("https://webexapis.com/v1").key("mars-1", "key-1")
    assert all(Trust("https://webexapis.com/v1").checked(region, url) == url for region, url in KEYS.items())


class TestActions:
    def test_an_action_says_what_the_administrator_did(self) -> None:
        action, token_id = action_from(signed({**ACTION, "refreshToken": "newer"}), INTEGRATION, TRUST, set())
        assert (action.name, action.manifest_version, action.refresh_token, token_id) == ("updateApproved", 2, "newer", "token-1")

    @pytest.mark.parametrize(
        ("claims", "seen", "said"),
        [
            ({**ACTION, "sub": "org-2"}, set(), "another organisation"),
            ({**ACTION, "appId": "app-2"}, set(), "another integration"),
            (ACTION, {"token-1"}, "a second time"),
            ({**ACTION, "iat": int(NOW.timestamp()) - 301}, set(), "ended at 2026-11-24T10:59:59.000Z"),
            (without("action", ACTION), set(), "lacks action"),
        ],
    )
    def test_an_action_that_is_not_for_us_or_not_now_is_left(self, claims: dict[str, Any], seen: set[str], said: str) -> None:
        with pytest.raises(NotTrusted, match=said):
            action_from(signed(claims), INTEGRATION, TRUST, seen)


class TestStored:
    def test_what_is_stored_is_what_is_read(self) -> None:
        assert integration_from(INTEGRATION.text(), TRUST) == INTEGRATION

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda text: "not set",
            lambda text: "[]",
            lambda text: json.dumps({"org_id": "x"}),
            lambda text: text.replace("webexapis.com", "evil.example"),
        ],
    )
    def test_what_is_not_an_integration_of_webex_is_refused(self, spoil: Callable[[str], str]) -> None:
        with pytest.raises(NotTrusted):
            integration_from(spoil(INTEGRATION.text()), TRUST)
