"""What the processors are handed, checked as they themselves will check it, before anything is deployed or run.

A stack's own schema is written for people and says what it can at once; this is the proof that nothing gets past it. A fault is
said where somebody can fix it: in the stack file, or in an alert rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from activator.declarations import DeclarationError, Fault
from infra.settings.processor_settings import MAILED, Piece, pieces_of
from infra.settings.stack import City, StackSettings
from processors.contracts.validation import FANOUT_SETTINGS, INGEST_SETTINGS, faults_of_settings


@dataclass(frozen=True)
class HandedOver:
    """The settings of both processors, in pieces."""

    ingest: list[Piece]
    fanout: list[Piece]


def handed_over(stack: StackSettings, ingest: Mapping[str, Any], fanout: Mapping[str, Any]) -> HandedOver:
    """The settings made from a stack, in pieces; raises DeclarationError with everything that either processor would refuse."""
    cities = {city.slug: city for city in stack.cities}
    found: list[Fault] = []
    for kind, processor, settings in ((INGEST_SETTINGS, "ingest", ingest), (FANOUT_SETTINGS, "alert fan-out", fanout)):
        for fault in faults_of_settings(kind, settings):
            where = _declared_at(fault.path.split("/"), settings, cities)
            refused = str(fault).rstrip(".")
            found.append(Fault(where, f"the {processor} would refuse what is made of it: {refused}. Write what it takes."))
    if found:
        raise DeclarationError(f"Stack {stack.stack} can't be used", sorted(found, key=lambda fault: fault.path))
    return HandedOver(pieces_of(ingest), pieces_of(fanout))


def _declared_at(path: Sequence[str], settings: Mapping[str, Any], cities: Mapping[str, City]) -> str:
    """Where the stack file or an alert rule says what lies at a path of a processor's settings."""
    match path:
        case ["cities", slug, "rules", index, *_]:
            return _rule_at(slug, settings["cities"][slug]["rules"][int(index)], cities)
        case ["cities", slug, "mutes", rule_id, *_]:
            return f"cities/{slug}/alerts/{rule_id}/until"
        case ["cities", slug, "channels", index, *_]:
            return _contact_at(slug, int(index), settings["cities"][slug]["channels"], cities)
        case ["rules", rule_id, *_]:
            return f"activator/rules/{rule_id}.yaml"
        case ["pollSeconds"]:
            return "poll/seconds"
        case [name, *_] if name not in ("", "cities"):
            return "/".join(["poll", *path])
    return "/".join(path) or "(top)"


def _rule_at(slug: str, rule: Any, cities: Mapping[str, City]) -> str:
    if not isinstance(rule, Mapping) or "id" not in rule:
        return "activator/rules"
    rule_id = rule["id"]
    overridden = slug in cities and any(override.rule_id == rule_id for override in cities[slug].overrides)
    return f"cities/{slug}/alerts/{rule_id}" if overridden else f"activator/rules/{rule_id}.yaml"


def _contact_at(slug: str, index: int, channels: Sequence[Any], cities: Mapping[str, City]) -> str:
    """The contact a channel is made from: those that the fan-out notifies itself come last among the channels, in their order."""
    contacts = [contact for contact in cities[slug].contacts if contact.kind not in MAILED] if slug in cities else []
    place = index - (len(channels) - len(contacts))
    if not 0 <= place < len(contacts):
        return f"cities/{slug}/contacts"
    kind = contacts[place].kind
    return f"cities/{slug}/contacts/{kind}/{sum(contact.kind == kind for contact in contacts[:place])}"
