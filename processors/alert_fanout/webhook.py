"""Webhooks: a notice in the shape of a template, by POST.

Template `roompulse` is signed when the contact names a secret. A receiver verifies with the secret KEY and the raw body:
`RoomPulse-Signature` = "v1=" + hex(HMAC-SHA256(KEY, `RoomPulse-Timestamp` + "." + body)), and refuses a timestamp (Unix seconds)
more than five minutes off, so that nobody can send an old one again. `Idempotency-Key` is the same when a notice is repeated.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from urllib.parse import quote

import requests

from processors.alert_fanout.channels import DeliveryError, call
from processors.alert_fanout.render import Notice
from processors.alert_fanout.secrets import SecretMissing, Secrets
from processors.alert_fanout.settings import WebhookChannel
from processors.alert_fanout.templates import payload, template


class Webhook:
    """POSTs notices as a template shapes them."""

    def __init__(self, settings: WebhookChannel, secrets: Secrets) -> None:
        self._settings, self._secrets = settings, secrets
        self._session = requests.Session()

    def send(self, notice: Notice) -> None:
        """See Channel.send."""
        who = f"the webhook at {self._settings.label}"
        try:
            url = self._settings.url or self._secrets(self._settings.url_secret or "")
            secret = self._secrets(self._settings.secret) if self._settings.secret else None
        except SecretMissing as fault:
            raise DeliveryError(f"{who}: {fault}") from None
        shape = template(self._settings.template)
        content = payload(self._settings.template, notice, secret)
        if content is None:
            return
        body = json.dumps(content, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": quote(notice.key, safe="|:=.-")}
        if secret and shape["secret"] == "signature":
            headers |= signature(secret, body, int(time.time()))
        if secret and shape["secret"] == "basic":
            headers["Authorization"] = f"Basic {base64.b64encode(secret.encode()).decode()}"
        call(self._session, "POST", url.rstrip("/") + shape["path"] if "path" in shape else url, who, data=body, headers=headers)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def signature(secret: str, body: bytes, timestamp: int) -> dict[str, str]:
    """The two headers by which a receiver knows that a body is ours and fresh."""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"RoomPulse-Timestamp": str(timestamp), "RoomPulse-Signature": f"v1={digest}"}
