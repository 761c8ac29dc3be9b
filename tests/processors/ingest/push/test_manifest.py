"""The manifest asks for reading only, for what a signal is read from, and says when the administrator has to be asked again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from processors.contracts.signals import METRICS, SIGNALS
from processors.ingest.metrics import MEASUREMENTS
from processors.ingest.push.manifest import FILE, SCOPES, STATUSES, manifest, manifest_text, unapproved
from processors.ingest.room_status import BOOKED

TEXT = FILE.read_text(encoding="utf-8")


def test_it_is_as_the_signals_say_now() -> None:
    assert manifest_text(TEXT) == TEXT, "make generate"


def test_it_reads_only() -> None:
    asked = manifest()
    assert {entry["scope"] for entry in asked["apiAccess"]} == set(SCOPES)
    assert all(scope.endswith(("_read", "_statuses")) for scope in SCOPES)
    assert asked["xapiAccess"]["commands"] == asked["xapiAccess"]["events"] == []


def test_it_asks_for_every_status_in_use_and_for_no_other() -> None:
    asked = [entry["path"] for entry in manifest()["xapiAccess"]["status"]]
    assert sorted(asked) == sorted({path for signal in SIGNALS for path in signal.pushed}) == sorted([*STATUSES, BOOKED])
    sensors = [signal for signal in SIGNALS if signal.name in METRICS and signal.name not in MEASUREMENTS]
    assert all(signal.pushed for signal in sensors), "what sensors read is pushed"


def test_an_administrator_may_leave_bookings_out() -> None:
    access = {entry["path"]: entry["access"] for entry in manifest()["xapiAccess"]["status"]}
    assert {path for path, how in access.items() if how == "optional"} == {BOOKED}


@pytest.mark.parametrize("field", ["displayName", "availability", "id"])
def test_a_change_raises_its_version_once(field: str) -> None:
    changed = json.dumps({**manifest(), field: "something else"})
    made = json.loads(manifest_text(changed))
    assert made == {**manifest(), "manifestVersion": manifest()["manifestVersion"] + 1}
    assert manifest_text(json.dumps(made)) == json.dumps(made, indent=2) + "\n"


def test_the_first_is_version_one() -> None:
    assert json.loads(manifest_text(""))["manifestVersion"] == 1


APPROVED: dict[str, Any] = {
    "manifestVersion": manifest()["manifestVersion"],
    "scopes": list(SCOPES),
    "xapiAccessKeys": {"statuses": list(STATUSES)},
}


@pytest.mark.parametrize(
    ("app", "missing"),
    [
        (APPROVED, []),
        ({**APPROVED, "scopes": " ".join(SCOPES)}, []),
        ({**APPROVED, "xapiAccessKeys": {"statuses": STATUSES[1:]}}, [f"status {path}" for path in STATUSES]),
        ({**APPROVED, "xapiAccessKeys": {"statuses": list(STATUSES[1:])}}, [f"status {STATUSES[0]}"]),
        ({**APPROVED, "scopes": ["spark:xapi_statuses"]}, [f"scope {scope}" for scope in list(SCOPES)[:2]]),
        ({**APPROVED, "manifestVersion": 0}, [f"version {manifest()['manifestVersion']} of the manifest (approved: 0)"]),
        ({}, [*(f"status {path}" for path in STATUSES), *(f"scope {scope}" for scope in SCOPES)]),
        (
            {"xapiAccessKeys": [], "scopes": 3},
            [*(f"status {path}" for path in STATUSES), *(f"scope {scope}" for scope in SCOPES)],
        ),
    ],
)
def test_what_was_not_approved_is_named(app: dict[str, Any], missing: list[str]) -> None:
    assert unapproved(app) == missing
