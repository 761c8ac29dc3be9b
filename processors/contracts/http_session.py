"""HTTP sessions that say who we are in our own words only, to the host we name only.

requests takes user and password for a host from `~/.netrc` (or NETRC) and puts them in the place of the Authorization header it
was given, so a bearer token is replaced, and somebody's password sent to a host it was not meant for. Proxies (HTTPS_PROXY,
NO_PROXY) and authorities (REQUESTS_CA_BUNDLE) of the environment still hold.
"""

from __future__ import annotations

import requests


class Session(requests.Session):
    """A session of requests that never looks into a netrc file and never follows a redirect."""

    def __init__(self) -> None:
        super().__init__()
        self.auth = as_asked

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None, ever: requests would look where a redirect leads even when told not to, and use up a body that is streamed."""


def as_asked(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Authorization as the request has it: for a single request, `auth=as_asked`."""
    return request
