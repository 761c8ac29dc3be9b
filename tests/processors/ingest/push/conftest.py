"""A poller that has polled once, whose rooms in Lyon tell by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from processors import clock
from processors.ingest.poll import Poller
from tests.support.pushed import Hands, Heard


@pytest.fixture
def hands() -> Iterator[Hands]:
    hands = Hands()
    clock.use(hands.read)
    yield hands
    clock.use(None)


@pytest.fixture
def heard(make_poller: Callable[..., Poller], kept: Any, hands: Hands) -> Iterator[Heard]:
    """Lyon's rooms tell by themselves, Oslo's don't; every metric is wanted, and a poll may ask for all of them."""
    metrics = ("temperature", "humidity", "tvoc", "ambientNoise", "soundLevel", "peopleCount")
    poller = make_poller(60, metrics=metrics, metric_requests=100, push=("lyon",))
    heard = Heard(poller, kept)
    yield heard
    poller.close()
