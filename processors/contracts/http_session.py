"""HTTP sessions that say who we are in our own words only, to the host we name only.

requests takes user and password for a host from `~/.netrc` (or NETRC) and puts them in the place of the Authorization header it
was given, so a bearer token is replaced, and somebody's password sent to a host it was not meant for. Proxies (HTTPS_PROXY,
NO_PROXY) and authorities (REQUESTS_CA_BUNDLE) of the environment still hold.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter


class _Adapter(HTTPAdapter):
    """Finds the connections to a host once. requests does so for each request, which took a tenth of its time."""

    def __init__(self) -> None:
        super().__init__()
        self._pools: dict[tuple[Any, ...], Any] = {}

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: bool | str | None,
        proxies: Mapping[str, str] | None = None,
        cert: str | tuple[str, str] | None = None,
    ) -> Any:
        """See HTTPAdapter."""
        asked = (*urlsplit(request.url)[:2], verify, cert, *sorted((proxies or {}).items()))
        if asked not in self._pools:
            self._pools[asked] = super().get_connection_with_tls_context(request, verify, proxies, cert)
        return self._pools[asked]

    def close(self) -> None:
        """See HTTPAdapter: urllib3 closes connections that nobody holds."""
        self._pools.clear()
        super().close()


class Session(requests.Session):
    """A session that never looks into a netrc file, never follows a redirect, and reads the environment once for each host."""

    def __init__(self) -> None:
        super().__init__()
        self.auth = as_asked
        for scheme in ("https://", "http://"):
            self.mount(scheme, _Adapter())
        self._environment: dict[tuple[Any, ...], Any] = {}

    def merge_environment_settings(
        self,
        url: str | bytes | None,
        proxies: MutableMapping[str, str] | None,
        stream: bool | None,
        verify: bool | str | None,
        cert: str | tuple[str, str] | None,
    ) -> Any:
        """Proxies and authorities for a host, from the environment as it was at the first request to it.

        requests looks through all of the environment for each request, which took a third of its time.
        """
        asked = (*urlsplit(url)[:2], tuple(sorted((proxies or {}).items())), stream, verify, cert)
        if asked not in self._environment:
            self._environment[asked] = super().merge_environment_settings(url, proxies, stream, verify, cert)
        return self._environment[asked]

    def streamed(self, url: str, headers: Mapping[str, str], timeout: tuple[float, float]) -> requests.Response:
        """GET; the body is still to be read. `timeout`: seconds to connect, and between two reads. Raises what `get` raises.

        The same request without cookies and hooks, which nothing here has: looking for them took a quarter of its time.
        """
        asked = requests.PreparedRequest()
        asked.prepare_method("GET")
        asked.prepare_url(url, None)
        asked.prepare_headers({**self.headers, **headers})
        way = self.merge_environment_settings(asked.url, {}, True, None, None)
        return self.get_adapter(url).send(asked, timeout=timeout, **way)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None, ever: requests would look where a redirect leads even when asked not to, and use up a body that is streamed."""


def as_asked(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Authorization as the request has it: for a single request, `auth=as_asked`."""
    return request
