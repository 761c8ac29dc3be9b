"""A Fabric item as data: what is rendered here and deployed by infra/fabric.

An item's parts refer to other items (the model a report shows, the database a dashboard asks) whose ids only the deployment
knows. Such a reference is written as a placeholder:

    {{fabric:Workspace/id}}                              the id of the workspace the item is in
    {{fabric:SemanticModel/RoomPulse/id}}                the id of an item, by type and name
    {{fabric:KQLDatabase/roompulse/queryServiceUri}}     what else a database or an eventhouse reports: where it is queried

The deployment resolves them from the outputs of the resources they name. The content hash is taken before that, so it is the same
in every environment and known in a preview.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

PLACEHOLDER = re.compile(r"\{\{fabric:(?P<target>[^{}]+)\}\}")
"""A reference within a part."""
ITEM_TYPES = frozenset(
    {
        "Eventhouse",
        "Eventstream",
        "KQLDashboard",
        "KQLDatabase",
        "KQLQueryset",
        "Lakehouse",
        "Reflex",
        "Report",
        "SemanticModel",
    }
)
"""The types we deploy, as Fabric spells them."""
PROPERTIES = {"id": ITEM_TYPES, "queryServiceUri": frozenset({"Eventhouse", "KQLDatabase"})}
"""What can be referred to, and of which types."""


class ItemError(Exception):
    """An item can't be deployed. The text names it, what is wrong with it and what to write instead."""


@dataclass(frozen=True, order=True)
class Reference:
    """What a placeholder asks for: the `wanted` property (`id`, `queryServiceUri`) of an item; `type` Workspace has no name."""

    type: str
    name: str
    wanted: str

    @property
    def placeholder(self) -> str:
        """The reference as it is written in a part."""
        target = (self.type, self.wanted) if self.type == "Workspace" else (self.type, self.name, self.wanted)
        return "{{fabric:" + "/".join(target) + "}}"


WORKSPACE_ID = Reference("Workspace", "", "id")


@dataclass(frozen=True)
class FabricItem:
    """An item of the workspace: type, display name, and the files of its definition by path (text, or the bytes of a picture).

    Raises ItemError for a type we don't deploy, or a placeholder that is none.
    """

    type: str
    name: str
    parts: Mapping[str, str | bytes]

    def __post_init__(self) -> None:
        """Find at rendering what a deployment would only find half-way."""
        if self.type not in ITEM_TYPES:
            raise ItemError(f"{self.name}: {self.type!r} is not an item type we deploy: one of {', '.join(sorted(ITEM_TYPES))}")
        _ = self.references

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """What the parts refer to, each once, in order."""
        texts = ((path, part) for path, part in self.parts.items() if isinstance(part, str))
        found = {self._reference(path, match["target"]) for path, text in texts for match in PLACEHOLDER.finditer(text)}
        return tuple(sorted(found))

    @property
    def content_hash(self) -> str:
        """SHA-256 over the parts, whatever their order, before any reference is resolved."""
        digest = hashlib.sha256()
        for path in sorted(self.parts):
            for piece in (path.encode(), _bytes(self.parts[path])):
                digest.update(len(piece).to_bytes(8, "big") + piece)
        return digest.hexdigest()

    def _reference(self, path: str, target: str) -> Reference:
        if target == "Workspace/id":
            return WORKSPACE_ID
        kind, _, rest = target.partition("/")
        name, _, wanted = rest.rpartition("/")
        if not name or "/" in name or kind not in PROPERTIES.get(wanted, ()):
            raise ItemError(
                f"{self.type} {self.name}, {path}: {{{{fabric:{target}}}}} is not a reference: "
                "write {{fabric:Workspace/id}}, {{fabric:TYPE/NAME/id}} or {{fabric:KQLDatabase/NAME/queryServiceUri}}"
            )
        return Reference(kind, name, wanted)


def resolved(part: str, values: Mapping[str, str]) -> str:
    """A part with its placeholders replaced by `values` (by placeholder). Raises ItemError for one without a value."""

    def value(match: re.Match[str]) -> str:
        if match[0] not in values:
            raise ItemError(f"nothing is known of {match[0]}: deploy what it names, or take the reference out")
        return values[match[0]]

    return PLACEHOLDER.sub(value, part)


def _bytes(part: str | bytes) -> bytes:
    return part.encode() if isinstance(part, str) else part
