"""Why a connection failed, as far as it reports, and what a person can do about proxies, certificates and names."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import requests

_STEPS = (
    (
        "CERTIFICATE_VERIFY_FAILED",
        "The certificate is signed by an authority that this machine does not know, as by a proxy that opens TLS: name a file "
        "with that authority's certificate in REQUESTS_CA_BUNDLE.",
    ),
    ("connection failed: 407", "The proxy wants to know who asks: put user and password into the address in HTTPS_PROXY."),
    ("NameResolutionError", "The name can't be resolved: see this machine's DNS, or name the proxy in HTTPS_PROXY."),
    ("ProxyError", "The proxy in HTTPS_PROXY does not do it: see its address, or leave the host out by NO_PROXY."),
    ("SSLError", "TLS could not be agreed on: see that the address is one of https, and what proxy answers in its place."),
    ("ConnectTimeout", "Nothing answers: see that the firewall lets https out, or name the proxy in HTTPS_PROXY."),
    ("NewConnectionError", "Nothing listens there: see the address and the firewall, or name the proxy in HTTPS_PROXY."),
)
"""By what the fault or one of its causes is or says, the first that fits."""


def next_step(fault: BaseException) -> str:
    """What to do about a connection that failed; empty where the next try is all there is to do."""
    reported = " ".join(f"{type(one).__name__} {one}" for one in _with_causes(fault))
    return next((step for mark, step in _STEPS if mark in reported), "")


def answered_by_another(response: requests.Response, page: bool = False) -> str:
    """What to do when not the service answered but something on the way to it; empty when nothing says so.

    `page`: whether it gave a page of HTML where the service gives none.
    """
    status = response.status_code
    if status == 407:
        return "The proxy wants to know who asks: put user and password into the address in HTTPS_PROXY."
    if status != 511 and not 300 <= status < 400 and not page:
        return ""
    there = urlsplit(response.headers.get("Location", "")).hostname
    what = f"leads to {there}" if there else "answers"
    return (
        f"Not the service but something on the way to it {what}, such as a sign-in page of the network: let this machine "
        "through, or name the proxy in HTTPS_PROXY."
    )


def _with_causes(fault: BaseException) -> Iterator[BaseException]:
    """The fault, and what it was raised from: requests wraps urllib3, which wraps the socket's."""
    waiting, met = [fault], set[int]()
    while waiting:
        one = waiting.pop(0)
        if id(one) not in met:
            met.add(id(one))
            yield one
            inner = (one.__cause__, one.__context__, getattr(one, "reason", None), *one.args)
            waiting += [each for each in inner if isinstance(each, BaseException)]
