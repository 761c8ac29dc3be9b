"""The Blob services that tests run against: our fake, which can be told to fail, and Azurite, which nobody here wrote.

The fixture `blobs` gives both, as does any fixture that has BACK_ENDS among its parameters. A test that only our fake can serve
says why: `@pytest.mark.fake_blobs_only("loses an answer")` leaves Azurite out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Protocol

import pytest

from tests.support.azurite import AzuriteBlobs, azurite
from tests.support.fake_blobs import fake_blobs

FAKE, AZURITE = BACK_ENDS = ("fake", "azurite")
FAKE_ONLY = "fake_blobs_only"


class Blobs(Protocol):
    """One container, and what somebody else does to it. A test that scripts faults asks for a FakeBlobs instead."""

    environment: dict[str, str]
    """What a process needs to get in, besides the URL."""

    def url(self) -> str:
        """The URL of the container."""

    def put(self, name: str, content: bytes) -> str:
        """Write a blob past all conditions, as somebody else would; gives its etag."""

    def content(self, name: str) -> bytes:
        """What a blob holds now."""

    def names(self) -> list[str]:
        """The blobs that are there."""

    def remove(self, name: str) -> None:
        """Delete a blob."""

    def remove_container(self) -> None:
        """Delete the container."""

    def leased(self, name: str) -> bool:
        """Whether somebody holds a lease on a blob."""

    def break_lease(self, name: str) -> None:
        """Break the lease on a blob with no delay, as an operator does in the portal."""

    def pass_time(self, seconds: float) -> None:
        """Let leases believe that this much time has gone by."""


@contextmanager
def served(back_end: str) -> Iterator[Blobs]:
    """A container of its own on a back end, and what an app needs to get in set in the environment."""
    if back_end == FAKE:
        with fake_blobs() as blobs:
            yield blobs
    else:
        with pytest.MonkeyPatch.context() as patch, closing(AzuriteBlobs(azurite())) as container:
            for name in [name for name in os.environ if name.startswith("AZURE_")]:  # whoever tests may be logged in elsewhere
                patch.delenv(name)
            for name, value in container.environment.items():
                patch.setenv(name, value)
            yield container


@pytest.fixture(params=BACK_ENDS)
def blobs(request: pytest.FixtureRequest) -> Iterator[Blobs]:
    """A container of the test's own, on either back end."""
    with served(request.param) as container:
        yield container


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave Azurite out of the tests that say why only the fake can serve them."""
    left_out = [item for item in items if _is_for_the_fake_only(item) and AZURITE in _parameters(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _is_for_the_fake_only(item: pytest.Item) -> bool:
    marker = item.get_closest_marker(FAKE_ONLY)
    if marker is not None and not (marker.args and str(marker.args[0]).strip()):
        raise pytest.UsageError(f'{item.nodeid}: say why Azurite can not serve it: @pytest.mark.{FAKE_ONLY}("loses an answer")')
    return marker is not None


def _parameters(item: pytest.Item) -> list[object]:
    return list(item.callspec.params.values()) if isinstance(item, pytest.Function) and hasattr(item, "callspec") else []
