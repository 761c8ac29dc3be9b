"""Finds what people mean by a name: a city, a location, a room or a device, however they write it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from webex_simulator.answers import ApiError
from webex_simulator.effects import Target
from webex_simulator.estate import Estate
from webex_simulator.names import fold

MOST_SUGGESTIONS = 5


def find_target(estate: Estate, kind: str, name: str) -> Target:
    """The one city, location, workspace or device that `name` means, by name, slug or id.

    Raises ApiError 404 with near matches when there is none, 409 with the ids when several have the name.
    """
    wanted = fold(name)
    named = list(_named(estate, kind))
    exact = dict.fromkeys(target for target, _ in named if target.key == name)
    found = list(exact or dict.fromkeys(target for target, known in named if fold(known) == wanted))
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(target.key for target in found[:MOST_SUGGESTIONS])
        raise ApiError(409, f"{len(found)} {_plural(kind)} are called {name!r}: name one by its id ({ids}).")
    raise ApiError(404, f"There is no {_word(kind)} {name!r}.{_suggestion(wanted, [known for _, known in named], kind)}")


def _named(estate: Estate, kind: str) -> Iterator[tuple[Target, str]]:
    """Everything of a kind, with each name it goes by."""
    if kind == "city":
        for city in estate.cities:
            yield Target(kind, city.slug, city.name), city.name
            yield Target(kind, city.slug, city.name), city.slug
    elif kind == "location":
        for location in estate.locations:
            yield Target(kind, location.id, location.name), location.name
    elif kind == "workspace":
        for workspace in estate.workspaces:
            yield Target(kind, workspace.id, workspace.name), workspace.name
    else:
        for device in estate.devices:
            yield Target(kind, device.id, device.name), device.name


def _suggestion(wanted: str, names: list[str], kind: str) -> str:
    by_folded = {fold(name): name for name in names}
    near = [by_folded[match] for match in difflib.get_close_matches(wanted, by_folded, MOST_SUGGESTIONS, 0.6)]
    near += [name for folded, name in by_folded.items() if wanted and wanted in folded and name not in near]
    if near:
        return f" Did you mean {', '.join(near[:MOST_SUGGESTIONS])}?"
    return f" Some {_plural(kind)} there are: {', '.join(list(by_folded.values())[:MOST_SUGGESTIONS])}."


def _word(kind: str) -> str:
    return "room" if kind == "workspace" else kind


def _plural(kind: str) -> str:
    return "cities" if kind == "city" else f"{_word(kind)}s"
