"""The way through the pages of a listing, by the server's own next links (RFC 8288), and whether it can be trusted.

Webex caps pages silently and may send an empty one in the middle, so only a missing next link is the end. A page that is full and
has none may have been cut: we look behind it once, at `start` after all rows so far. What is found there is read, and the listing
then ends in a fault: devices on pages that nobody asks for would look removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from processors.ingest.link_header import next_link, origin, with_own_parameters

MOST_PAGES_WITHOUT_NEWS = 10
"""So many pages in a row that are empty or bring known rows only are not a listing any more."""

SMALLEST_FULL_PAGE = 2
"""Any page could be said to be full of one row."""


class PagingFault(Exception):
    """The way can't be followed, or did not show everything. The text says why, and the next step."""


class Way:
    """A way through the listing `path`. `url` is the next page to ask for, None at the end."""

    def __init__(
        self, path: str, first: str, own: Mapping[str, str], page_caps: dict[str, int], start: str | None = None
    ) -> None:
        """`own`: our parameters of the first page. `page_caps`: the size at which the server is known to cut pages, by path; what
        the way shows of it is added. `start`: where to go on in place of the first page; one that leads elsewhere is left.
        """
        self.path = path
        begin = start if start is not None and _leads_to(start, first) else first
        self.url: str | None = begin
        self.looks_behind = False
        """Whether `url` is behind what the server calls the end."""
        self._first = first
        self._own = own
        self._page_caps = page_caps
        self._asked = {begin}
        self._known: set[str] = set()
        self._before = 0 if begin == first else _number(begin, "start")
        """Rows that somebody else has read; None when the link doesn't say how many."""
        self._rows = 0
        self._without_news = 0
        self._cut_at: int | None = None

    def go_on(self, items: Sequence[Any], link: str | None, url: str) -> None:
        """Go on from the answer to `url`: its rows and its Link header. Raises PagingFault."""
        has_news = self._note(items)
        if self.looks_behind and has_news and self._cut_at is None:
            self._cut_at = self._rows - len(items)
        following = self._following(link, url)
        if following is not None:
            self._page_caps[self.path] = max(len(items), self._page_caps.get(self.path, 0))
        elif has_news and self._before is not None and self._is_full(items, url):
            self.looks_behind = True
            following = with_own_parameters(self._first, {"start": str(self._before + self._rows)})
        self.url = following
        self._see_that_it_ends()

    def _note(self, items: Sequence[Any]) -> bool:
        """Remember the rows of a page; whether one of them is new."""
        ids = {str(item.get("id")) if isinstance(item, dict) else repr(item) for item in items}
        has_news = not ids <= self._known
        self._known |= ids
        self._rows += len(items)
        self._without_news = 0 if has_news else self._without_news + 1
        return has_news

    def _is_full(self, items: Sequence[Any], url: str) -> bool:
        sizes = [size for size in (self._page_caps.get(self.path), _number(url, "max")) if size]
        return len(items) >= max(SMALLEST_FULL_PAGE, min(sizes, default=SMALLEST_FULL_PAGE))

    def _following(self, link: str | None, url: str) -> str | None:
        """The next page; the token is not sent to any other place than the API."""
        try:
            target = next_link(link, url)
            if target is None:
                return None
            if origin(target) != origin(url):
                raise PagingFault(f"the next link leads to another host ({target}); is WEBEX_API_BASE right?")
            return with_own_parameters(target, self._own)
        except ValueError as fault:
            raise PagingFault(
                f"the Link header can't be understood ({fault}), so what follows is not seen; see that no proxy changes headers."
            ) from fault

    def _see_that_it_ends(self) -> None:
        if self.url in self._asked:
            raise PagingFault(f"the next link goes round in a circle ({self.url}); see that no proxy caches the API.")
        if self.url is not None:
            self._asked.add(self.url)
        elif self._cut_at is not None:
            row, further = (self._before or 0) + self._cut_at, self._rows - self._cut_at
            raise PagingFault(
                f"row {row} ended a full page without a next link, and {further} more were found by their number. See that no "
                "proxy drops the API's Link headers."
            )
        if self._without_news >= MOST_PAGES_WITHOUT_NEWS:
            raise PagingFault(f"{self._without_news} pages in a row listed nothing new; see that no proxy caches the API.")


def _leads_to(url: str, api: str) -> bool:
    try:
        return origin(url) == origin(api)
    except ValueError:
        return False


def _number(url: str, name: str) -> int | None:
    """A parameter of a URL that is a whole number."""
    value = parse_qs(urlsplit(url).query).get(name, [""])[0]
    return int(value) if value.isdecimal() else None
