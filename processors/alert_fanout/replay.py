"""Dead letters: what a channel was never sent, and how to have it sent after all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from processors.alert_fanout.incidents import Book, try_again
from processors.alert_fanout.state import State


class DeadLetter(NamedTuple):
    """Something a channel did not take: of which incident, when it was given up (ISO 8601, UTC), and why."""

    city: str
    incident: str
    title: str
    channel: str
    dead_at: str
    why: str


def dead_letters(state: State, *, since: str = "", channel: str = "") -> list[DeadLetter]:
    """The dead letters given up at or after `since`, of channels whose key begins with `channel`, oldest first."""
    found = [letter for city in state.cities() for letter in _letters(city, state.book(city))]
    wanted = (letter for letter in found if letter.dead_at >= since and letter.channel.startswith(channel))
    return sorted(wanted, key=lambda letter: (letter.dead_at, letter.incident, letter.channel))


def revive(state: State, letters: Iterable[DeadLetter]) -> None:
    """Have letters sent by the next run of `tend`, as if they had never failed."""
    by_city: dict[str, list[DeadLetter]] = {}
    for letter in letters:
        by_city.setdefault(letter.city, []).append(letter)
    for city, of_city in by_city.items():
        state.change(city, lambda book, of_city=of_city: _revive(book, of_city))  # type: ignore[misc]


def _letters(city: str, book: Book) -> Iterable[DeadLetter]:
    for incident in book.incidents.values():
        for channel, delivery in incident.deliveries.items():
            if delivery.dead:
                title = f"{incident.lead.rule_id} · {incident.lead.name}"
                yield DeadLetter(city, incident.id, title, channel, delivery.dead_at or "", delivery.dead)


def _revive(book: Book, letters: Iterable[DeadLetter]) -> None:
    for letter in letters:
        incident = book.incidents.get(letter.incident)
        if incident and letter.channel in incident.deliveries:
            try_again(incident.deliveries[letter.channel])
