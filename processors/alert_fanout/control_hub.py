"""Control Hub's own alerts about devices, as its webhook sends them: a second witness beside polling.

The envelope and its `data` are as Cisco's article on device alerts has them ("Webhook parsing examples"). Whether a device went
offline or came back stands in no field, only in the summary that Control Hub wrote, so it is shown as it came; issues have codes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from processors.alert_fanout.alerts import Alert

RESOURCE = "controlHubAlerts"
SIGNATURE = "x-spark-signature"
CODES_NAMED = 10
"""Of more issues in one alert the rest is counted."""


class Witnessed(NamedTuple):
    """What Control Hub reports of a device: the id of its alert, the device's id as Webex gives it, and what there is to say."""

    id: str
    device: str
    text: str


def is_signed(secret: str, signature: str, body: bytes) -> bool:
    """Whether a webhook of Webex is signed with a secret: the hex HMAC-SHA1 of the body, as it arrived."""
    wanted = hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()
    return hmac.compare_digest(signature.strip().lower().encode(), wanted.encode())


def witnessed(document: Any) -> Witnessed | None:
    """What an alert says of a device; None for one that is about none. Raises ValueError for what Control Hub would not send."""
    if not isinstance(document, Mapping) or document.get("resource") != RESOURCE or not isinstance(document.get("data"), Mapping):
        raise ValueError(f"resource is not {RESOURCE}, or data is missing")
    data = document["data"]
    about = data.get("notificationAttributes")
    if not isinstance(about, Mapping) or not _word(about.get("deviceId")):
        return None
    id_ = _word(data.get("notificationId"))
    if not id_:
        raise ValueError("data.notificationId is missing")
    said = [*_issues(about.get("issues")), _word(data.get("summary"))]
    return Witnessed(id_, about["deviceId"], "; ".join(filter(None, said)) or "an alert without a summary")


def is_about(alert: Alert, device: str) -> bool:
    """Whether an alert is about a device. Its id is compared without the region, which differs between Webex's interfaces."""
    return alert.entity == "device" and bare_id(alert.entity_id) == bare_id(device)


def bare_id(id_: str) -> str:
    """What distinguishes a Webex id: the last part of the address that its Base64 stands for, or the id itself."""
    try:
        address = base64.b64decode(id_ + "=" * (-len(id_) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return id_
    return address.rpartition("/")[2] if address.startswith("ciscospark://") else id_


def _issues(issues: Any) -> Iterable[str]:
    known = issues if isinstance(issues, Mapping) else {}
    return (f"issues {what}: {_listed(known[what])}" for what in ("detected", "resolved") if _codes(known.get(what)))


def _listed(issues: Any) -> str:
    codes = _codes(issues)
    more = f" and {len(codes) - CODES_NAMED} more" if len(codes) > CODES_NAMED else ""
    return ", ".join(codes[:CODES_NAMED]) + more


def _codes(issues: Any) -> list[str]:
    return list(filter(None, map(_word, issues))) if isinstance(issues, list) else []


def _word(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
