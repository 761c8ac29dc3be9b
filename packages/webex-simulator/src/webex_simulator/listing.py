"""Pages of a listing: filters, offset paging with silent caps, and the traps of paging when they are switched on.

The real caps are not documented; what is documented is that a larger `max` is silently cut and that only rel="next" can be
relied on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

from webex_simulator.answers import Answer, ApiError, Query

DEVICE_FILTERS = {
    "displayName": "displayName", "personId": "personId", "workspaceId": "workspaceId", "connectionStatus": "connectionStatus",
    "product": "product", "type": "type", "serial": "serial", "tag": "tags", "software": "software",
    "upgradeChannel": "upgradeChannel",
    "errorCode": "errorCodes", "capability": "capabilities", "permission": "permissions", "locationId": "locationId",
    "workspaceLocationId": "workspaceLocationId", "mac": "mac", "devicePlatform": "devicePlatform",
}  # fmt: skip
"""Query parameter of /devices -> field it is compared with; a field with several values must contain it."""
WORKSPACE_FILTERS = {
    "locationId": "locationId", "workspaceLocationId": "workspaceLocationId", "floorId": "floorId", "displayName": "displayName",
    "capacity": "capacity", "type": "type", "supportedDevices": "supportedDevices", "devicePlatform": "devicePlatform",
}  # fmt: skip
"""The same for /workspaces."""


class PagingTraps(NamedTuple):
    """Oddities of paging: rows repeated between pages, an empty page that has a next link, 504 for a `max` above a limit."""

    overlap: bool = False
    empty_page: bool = False
    timeout_above: int | None = None


@dataclass(frozen=True)
class Listing:
    """Something that can be listed: how many there are, and how to render one of them by its number."""

    size: int
    render: Callable[[int], bytes]


def filtered(listing: Listing, query: Query, filters: Mapping[str, str]) -> Listing:
    """What is left of a listing by the filters a query names: those parameters are compared with the rendered records."""
    wanted = [(field, value) for name, field in filters.items() for value in _values(query, name)]
    if not wanted:
        return listing
    left = []
    for number in range(listing.size):
        rendered = listing.render(number)
        record = json.loads(rendered)
        if all(_matches(field, record.get(field), value) for field, value in wanted):
            left.append(rendered)
    return Listing(len(left), left.__getitem__)


def page(listing: Listing, query: Query, url: str, cap: int, traps: PagingTraps) -> Answer:
    """The page of a listing a query asks for. `url` is the listing's own, for the next link. Raises ApiError."""
    wanted = query.number("max", default=cap, least=1)
    start = query.number("start", default=0, least=0)
    if traps.timeout_above is not None and wanted > traps.timeout_above:
        raise ApiError(504)
    if query.get("gap"):
        return _answer([], _link(url, query, start))
    end = min(start + min(wanted, cap), listing.size)
    first = start - 1 if traps.overlap and start > 0 else start
    items = [listing.render(number) for number in range(first, end)]
    gap = traps.empty_page and start == 0
    return _answer(items, _link(url, query, end, gap) if end < listing.size else None)


def _answer(items: Sequence[bytes], link: str | None) -> Answer:
    headers = {"Link": link} if link else {}
    return Answer(200, b'{"items":[' + b",".join(items) + b"]}", headers, is_page=True)


def _link(url: str, query: Query, start: int, gap: bool = False) -> str:
    """A Link header to the page from `start` on."""
    kept = [(name, value) for name, value in query.pairs if name not in ("start", "gap")]
    more = [("start", str(start)), *([("gap", "1")] if gap else [])]
    return f'<{url}?{urlencode(kept + more)}>; rel="next"'


def _values(query: Query, name: str) -> list[str]:
    if name == "tag":
        return query.all(name)
    value = query.get(name)
    return [] if value is None else [value]


def _matches(field: str, found: Any, value: str) -> bool:
    if isinstance(found, list):
        return value in found
    written = _hexadecimal if field == "mac" else str
    return found is not None and written(str(found)) == written(value)


def _hexadecimal(mac: str) -> str:
    """A MAC address as bare digits: clients ask with colons and without."""
    return re.sub("[:.-]", "", mac).upper()
