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
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlsplit

from processors.alert_fanout.channel_kind import (
    Address,
    Capabilities,
    ChannelKind,
    ChannelSettings,
    ContactKind,
    Example,
    Terms,
    Written,
    digest,
)
from processors.alert_fanout.delivery import DeliveryError
from processors.alert_fanout.http_call import Caller, complaint, no_complaint
from processors.alert_fanout.notice import Notice
from processors.alert_fanout.secrets import SecretFault, Secrets, address, text, token
from processors.alert_fanout.templates import payload, template
from processors.contracts.validation import is_web_address

log = logging.getLogger("roompulse.fanout")
PAGERDUTY_EVENTS = "https://events.pagerduty.com/v2/enqueue"
"""Where PagerDuty takes events, the same for every customer outside its EU region."""
PLAIN = "roompulse"
"""The template of a program's own webhook: nobody knows whether it notifies anyone."""
_SECRETS_NEEDED = {
    "pagerduty": "the routing key of the service's Events API v2 integration",
    "servicenow": "user:password",
}
_TEMPLATES = (PLAIN, *_SECRETS_NEEDED)
# Chat is for people, who read ten messages and not a hundred; programs keep tickets open.
_OF_PROGRAMS = Capabilities(limit=100, updates=1_000_000, updates_at_once=False, hears_merges=True, reminds=True, acts_as="")
_OF_TICKETS = Capabilities(limit=20, updates=0, updates_at_once=False, hears_merges=True, reminds=False, acts_as="")
_BY_TEMPLATE = {PLAIN: _OF_PROGRAMS, **{name: replace(_OF_TICKETS, acts_as=name) for name in _SECRETS_NEEDED}}


@dataclass(frozen=True, kw_only=True)
class WebhookChannel(ChannelSettings):
    """An address that takes JSON by POST, in the shape of a template. `url` may hold a secret (never log more than its host), or
    `url_secret` names it. `secret` names the key the template needs, `back_secret` the one by which what the service sends back
    is known (inbound.py).
    """

    url: str | None = None
    url_secret: str | None = None
    template: str = PLAIN
    secret: str | None = None
    back_secret: str | None = None

    @property
    def contact_kind(self) -> str:
        """See ChannelSettings.contact_kind."""
        return "webhook"

    @property
    def capabilities(self) -> Capabilities:
        """See ChannelSettings.capabilities."""
        return _BY_TEMPLATE[self.template]

    def open(self, secrets: Secrets) -> Webhook:
        """See ChannelSettings.open."""
        return Webhook(self, secrets)

    @property
    def label(self) -> str:
        """The host, or the name of the secret that holds the address."""
        return self.url_secret or _host(self.url or "")

    @property
    def _name(self) -> str:
        kind = "webhook" if self.template == PLAIN else self.template
        return f"{kind}:{self.label}:{digest(f'{self.url}|{self.secret}')}"


class Webhook(Caller):
    """POSTs notices as a template shapes them."""

    def __init__(self, settings: WebhookChannel, secrets: Secrets) -> None:
        known = settings.template != PLAIN
        super().__init__(f"the webhook at {settings.label}", complaint if known else no_complaint)
        self._settings, self._secrets = settings, secrets

    def check(self) -> None:
        """See Channel.check."""
        self._url()
        self._secret()
        self._look_at_back_secret()

    def send(self, notice: Notice) -> None:
        """See Channel.send."""
        url, secret = self._url(), self._secret()
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
        self._service.call("POST", url.rstrip("/") + shape["path"] if "path" in shape else url, data=body, headers=headers)

    def _look_at_back_secret(self) -> None:
        """Say that what the service sends back would be refused. Notices go out all the same, so the channel is not broken."""
        try:
            if self._settings.back_secret:
                text(self._secrets, self._settings.back_secret)
        except SecretFault as fault:
            log.error("what is done elsewhere will not count here", extra={"ids": {"fault": str(fault)}})

    def _url(self) -> str:
        if self._settings.url_secret:
            return address(self._secrets, self._settings.url_secret)
        url = self._settings.url or ""
        if not is_web_address(url):
            raise DeliveryError(
                "the webhook has no address that a request could be made to: see its host and port", unusable=True
            )
        return url

    def _secret(self) -> str | None:
        if not self._settings.secret:
            return None
        read = token if template(self._settings.template)["secret"] == "body" else text
        return read(self._secrets, self._settings.secret)


def signature(secret: str, body: bytes, timestamp: int) -> dict[str, str]:
    """The two headers by which a receiver knows that a body is ours and fresh."""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"RoomPulse-Timestamp": str(timestamp), "RoomPulse-Signature": f"v1={digest}"}


def _settings(written: Written, terms: Terms) -> WebhookChannel:
    return WebhookChannel(
        url=written.get("url"),
        url_secret=written.get("urlSecret"),
        template=written.get("template", PLAIN),
        secret=written.get("secret"),
        back_secret=written.get("backSecret"),
        **terms._asdict(),
    )


def _address(written: Written) -> Address:
    template, to = written.get("template", PLAIN), written.get("to")
    if template == "pagerduty" and to is None and "addressSecret" not in written:
        to = PAGERDUTY_EVENTS
    return Address(to, written.get("addressSecret"), written.get("secret"), template, written.get("backSecret"))


def _faults(written: Written) -> Iterator[tuple[str, str]]:
    to, template = written.get("to"), written.get("template", PLAIN)
    if isinstance(to, str) and to.startswith(("http://", "https://")) and not is_web_address(to):
        yield "to", "is not an address that a request could be made to: see its host and port."
    elif isinstance(to, str) and "@" in urlsplit(to).netloc:
        yield "to", "holds a sign-in: get a new password, and keep the whole address in a secret that addressSecret names."
    addresses = {"to", "addressSecret"} & set(written)
    if len(addresses) == 2:
        yield "", "has two addresses: give to, or addressSecret when the address itself is a secret."
    if not addresses and template != "pagerduty":
        yield "to", "is missing: an http or https address, or addressSecret, the name of a secret."
    if isinstance(template, str) and template in _SECRETS_NEEDED and "secret" not in written:
        yield "secret", f"is missing: the name of the secret that holds {_SECRETS_NEEDED[template]}."
    if "backSecret" in written and template == PLAIN:
        yield "backSecret", f"is for a template whose service sends back: {', '.join(_SECRETS_NEEDED)}. Take it out."


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "webhook"
    except ValueError:
        return "webhook"


def _label(address: Address) -> str:
    if address.to is None:
        return f"webhook {address.address_secret}"
    return _host(address.to)


def _channel(address: Address) -> dict[str, Any]:
    channel = {
        "type": "webhook",
        "url": address.to,
        "urlSecret": address.address_secret,
        "secret": address.secret,
        "template": address.template,
        "backSecret": address.back_secret,
    }
    return {name: value for name, value in channel.items() if value is not None}


def _has_template(address: Address) -> bool:
    return address.template != PLAIN


def _examples(url: str) -> tuple[Example, ...]:
    secrets = {"hook": url, "key": "user:password"}
    templates = tuple({"type": "webhook", "template": template, "secret": "key"} for template in _TEMPLATES)
    return (
        Example({"type": "webhook", "url": url}, {}, {}),
        *(Example({**settings, "url": url}, {"key": secrets["key"]}, {}) for settings in templates),
        *(Example({**settings, "urlSecret": "hook"}, secrets, {}) for settings in templates),
    )


KIND = ChannelKind(
    type="webhook",
    titles={"webhook": "Webhook", "pagerduty": "PagerDuty", "servicenow": "ServiceNow"},
    required=(),
    properties={
        "url": {"type": "string", "writeOnly": True, "pattern": r"^https?://[^\s]+$", "description": "an http or https address"},
        "urlSecret": {"$ref": "#/$defs/secretName"},
        "template": {"enum": list(_TEMPLATES)},
        "secret": {"$ref": "#/$defs/secretName"},
        "backSecret": {"$ref": "#/$defs/secretName"},
    },
    schema={
        "description": "a webhook, with either url or urlSecret",
        "oneOf": [{"required": ["url"]}, {"required": ["urlSecret"]}],
    },
    has_terms=True,
    read=_settings,
    contacts=(
        ContactKind(
            name="webhook",
            plain="to",
            plain_schema="webAddress",
            properties={
                "to": {"$ref": "#/$defs/webAddress"},
                "addressSecret": {"$ref": "#/$defs/secretName"},
                "template": {"enum": list(_TEMPLATES), "description": "the shape of what is sent"},
                "secret": {"$ref": "#/$defs/secretName"},
                "backSecret": {
                    "$ref": "#/$defs/secretName",
                    "description": "the name of the secret by which what the service sends back is known",
                },
            },
            required=(),
            definitions={
                "webAddress": {
                    "type": "string",
                    "writeOnly": True,
                    "pattern": r"^https?://[^\s/]+[^\s]*$",
                    "description": "an http or https address",
                }
            },
            list_schema={"writeOnly": True, "description": "a list of addresses, or mappings with to or addressSecret"},
            documented="addresses that get incidents as JSON",
            severities=(1, 2, 3, 4),
            read=_address,
            faults=_faults,
            label=_label,
            reaches_people=_has_template,
            chat=False,
            loud=_has_template,
            reminds=lambda address: not _has_template(address),
            channel=_channel,
            examples=lambda city: f"https://hooks.example.com/{city}",
        ),
    ),
    markup=(),
    examples=_examples,
    documented=(
        ("`webhook`", "POST, signed", "POST", "POST", _OF_PROGRAMS),
        ("`pagerduty`", "trigger", "-", "resolve", _OF_TICKETS),
        ("`servicenow`", "an event", "-", "a clearing event", _OF_TICKETS),
    ),
)
