"""The manifest of our Workspace Integration: what an administrator of Webex approves when it is activated.

It asks for reading only, and for no status but those that a signal is read from (processors/contracts/signals.py). The file
beside it is made by `make generate`, which raises its version with every change: Webex then asks the administrator again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from processors.contracts.signals import SIGNALS
from processors.ingest.room_status import BOOKED

FILE = Path(__file__).with_name("manifest.json")
SCOPES = {
    "spark-admin:devices_read": "id_readonly_admin",
    "spark-admin:workspaces_read": "id_readonly_admin",
    "spark:xapi_statuses": None,
}
"""What it may do, and the role that takes. Nothing here changes anything at Webex."""
STATUSES = tuple(dict.fromkeys(path for signal in SIGNALS for path in signal.pushed if path != BOOKED))
"""The statuses it gets."""


def manifest_text(before: str) -> str:
    """The manifest as its file holds it; `before` is what the file holds now, whose version is raised by a change."""
    known: dict[str, Any] = json.loads(before) if before else {}
    same = {**_content(), "manifestVersion": known.get("manifestVersion")} == known
    version = known["manifestVersion"] if same else known.get("manifestVersion", 0) + 1
    return json.dumps({**_content(), "manifestVersion": version}, indent=2) + "\n"


def manifest() -> dict[str, Any]:
    """The manifest as it is to be approved."""
    document: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return document


def unapproved(app: Mapping[str, Any]) -> list[str]:
    """What the manifest asks for and the administrator has not approved; `app` is what Webex says of the integration."""
    ours = manifest()
    approved = app.get("xapiAccessKeys")
    keys: Mapping[str, Any] = approved if isinstance(approved, Mapping) else {}
    missing = [f"status {path}" for path in STATUSES if path not in _texts(keys.get("statuses"))]
    missing += [f"scope {scope}" for scope in SCOPES if scope not in _texts(app.get("scopes"))]
    version = app.get("manifestVersion")
    if not missing and version != ours["manifestVersion"]:
        return [f"version {ours['manifestVersion']} of the manifest (approved: {version})"]
    return missing


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return value.split()
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _content() -> dict[str, Any]:
    return {
        "id": "2f4a1f0e-6c53-4d7e-9f0b-3b7c2a9d5e48",
        "displayName": "RoomPulse",
        "vendor": "RoomPulse",
        "description": "Live monitoring of rooms: reads what their devices measure, and changes nothing.",
        "availability": "org_private",
        "apiAccess": [
            {"scope": scope, "access": "required", **({"role": role} if role else {})} for scope, role in SCOPES.items()
        ],
        "xapiAccess": {
            "status": [
                *({"path": path, "access": "required"} for path in STATUSES),
                {"path": BOOKED, "access": "optional"},  # used by a stack with poll.bookings; an administrator may leave it out
            ],
            "events": [],
            "commands": [],
        },
        "provisioning": {"type": "manual"},
    }
