"""What is known of a city besides its devices and rooms: what the poll itself did, and what somebody else says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from processors.contracts.issues import SEPARATOR

MOST_NAMED = 10
"""Devices that a text names; the count has the others."""


class CityFacts(NamedTuple):
    """Each the signal of its name (processors/contracts/signals.py), so `push_silent` is sent as `pushSilent`; None is not known,
    and not sent. Of names, their number is sent.
    """

    unseen_minutes: float = 0
    requests: float = 0
    quarantined: float = 0
    push_silent: float | None = None
    webex_incidents: float | None = None
    token_days: float | None = None
    devices_vanished: Sequence[str] = ()

    def values(self) -> dict[str, float]:
        """The signals by name."""
        numbers = {name: len(fact) if isinstance(fact, Sequence) else fact for name, fact in self._asdict().items()}
        return {SIGNAL_OF[name]: number for name, number in numbers.items() if number is not None}

    def texts(self) -> Mapping[str, str]:
        """The texts of the signals that have names, by the signal's name."""
        named = {name: fact for name, fact in self._asdict().items() if isinstance(fact, Sequence)}
        return {SIGNAL_OF[name]: SEPARATOR.join(fact[:MOST_NAMED]) for name, fact in named.items()}


def _signal_of(field: str) -> str:
    first, *others = field.split("_")
    return first + "".join(map(str.capitalize, others))


SIGNAL_OF = {field: _signal_of(field) for field in CityFacts._fields}
"""What each is called as a signal."""
NO_FACTS = CityFacts()
