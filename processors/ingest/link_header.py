"""The Link header of an answer (RFC 8288): where a listing goes on.

What can't be parsed is an error and not the end of the listing: devices on pages that nobody asks for would look removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote_plus, urldefrag, urlencode, urljoin, urlsplit, urlunsplit

_TARGET = re.compile(r"[ \t,]*<([^>]*)>")
_PARAMETER = re.compile(r'[ \t]*;[ \t]*([^ \t=;,"]*)(?:[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^;,"]*))?[ \t]*')
_NO_VALUE = frozenset({"null", "undefined"})
"""What a server writes into a query that was asked without a parameter."""


class MalformedLink(ValueError):
    """A Link header that RFC 8288 does not allow. The text shows where."""


class Link(NamedTuple):
    """A link: its target as an absolute URL, its relation types in lower case, and the URL it is a link of."""

    target: str
    relations: frozenset[str]
    context: str


def links(header: str, request_url: str) -> Iterator[Link]:
    """The links of a header (several headers: joined by commas) of the answer to `request_url`. Raises MalformedLink."""
    at = 0
    while header[at:].strip(" \t,"):
        match = _TARGET.match(header, at)
        if match is None:
            raise MalformedLink(f"no link begins at {header[at : at + 60]!r}")
        parameters, at = _parameters(header, match.end())
        target, context = (_absolute(request_url, one) for one in (match[1].strip(), parameters.get("anchor", "")))
        yield Link(target, frozenset(parameters.get("rel", "").lower().split()), context)


def next_link(header: str | None, request_url: str) -> str | None:
    """Where the listing goes on, None at its end. Raises MalformedLink."""
    found = [
        link.target
        for link in links(header or "", request_url)
        if "next" in link.relations and urldefrag(link.context).url == urldefrag(request_url).url
    ]
    return urldefrag(found[0]).url if found else None


def with_own_parameters(url: str, own: Mapping[str, str]) -> str:
    """A next link without parameters that have no value (`max=null`), and with those of our own that it lacks. The others stay as
    they are, byte by byte: what they mean is the server's business.
    """
    parts = urlsplit(url)
    query = [one for one in parts.query.split("&") if one.partition("=")[2] not in _NO_VALUE]
    named = {unquote_plus(one.partition("=")[0]) for one in query}
    added = [urlencode({name: own[name]}) for name in own if name not in named]
    return urlunsplit(parts._replace(query="&".join([*filter(None, query), *added])))


def origin(url: str) -> tuple[str, str | None, str | None, int | None]:
    """Scheme, host, user and port of a URL: where a request to it goes, and as whom. Raises ValueError."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.username, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _absolute(request_url: str, reference: str) -> str:
    try:
        # urljoin would drop a `;` at the end of a path.
        return reference if urlsplit(reference).scheme else urljoin(request_url, reference)
    except ValueError as fault:
        raise MalformedLink(f"{reference[:60]!r} is not an address: {fault}") from fault


def _parameters(header: str, at: int) -> tuple[dict[str, str], int]:
    """The parameters of a link from `at` on, the first of each name, and where the next link begins."""
    parameters: dict[str, str] = {}
    while match := _PARAMETER.match(header, at):
        value = match[2] or ""
        text = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value.strip()
        parameters.setdefault(match[1].lower(), text)
        at = match.end()
    rest = header[at:].lstrip(" \t")
    if rest and not rest.startswith(","):
        raise MalformedLink(f"a link can't go on with {rest[:60]!r}")
    return parameters, at
