"""What the SDK's asynchronous clients are given, so that a connection without TLS costs no TLS."""

from __future__ import annotations

import ssl
from functools import cache


def context_for(connection_string: str) -> ssl.SSLContext | None:
    """The `ssl_context` of a client from `azure.eventhub.aio`; None where the connection is encrypted, and the SDK makes its own.

    For every connection, encrypted or not, the SDK reads all root certificates of the machine: 30 ms of CPU each time.
    """
    return _never_used() if "UseDevelopmentEmulator=true" in connection_string else None


@cache
def _never_used() -> ssl.SSLContext:
    """It trusts nobody: if the SDK did use it, the connection would fail."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
