"""What the kinds of channels (`processors/alert_fanout/channels`) say of themselves, as others read it: in the schemas of
stack files, alert rules and the fan-out's settings, and in tables of the documentation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from processors.alert_fanout.channel_kind import ChannelKind, ContactKind
from processors.alert_fanout.channel_kinds import CHANNEL_KINDS, CONTACT_KINDS

CONTACTS_ROW, CONTACT_ROW = r"\| `cities\.<slug>\.contacts` .*\n", r"\| `cities\.<slug>\.contacts\.[a-z]+` "
LINE_LENGTH = 140
_TERMS = {"severities": {"$ref": "#/$defs/severities"}, "when": {"$ref": "#/$defs/when"}, "rules": {"$ref": "#/$defs/ruleIds"}}
_CONTACT_TERMS = _TERMS | {"after": {"$ref": "#/$defs/span"}, "repeat": {"$ref": "#/$defs/span"}}
_CHANNEL_TERMS = _TERMS | {"afterSeconds": {"$ref": "#/$defs/seconds"}, "repeatSeconds": {"$ref": "#/$defs/seconds"}}


def stack_schema(text: str) -> str:
    """The schema of stack files with every kind of contact."""
    return _written(_stack_schema(json.loads(text)))


def rule_schema(text: str) -> str:
    """The schema of alert rules with the severities at which each kind of contact is notified."""
    return _written(_rule_schema(json.loads(text)))


def fanout_schema(text: str) -> str:
    """The schema of the fan-out's settings with every kind of channel."""
    return _written(_fanout_schema(json.loads(text)))


def channels_page(text: str) -> str:
    """docs/stages/alert-fanout.md with a row for each channel."""
    return _with_rows(text, r"\| channel \| beginning .*\n\|[-|]+\|\n", _channel_rows())


def configuration_page(text: str) -> str:
    """docs/configuration.md with a row for each kind of contact."""
    return _with_rows(text, CONTACTS_ROW, _contact_rows(), CONTACT_ROW)


def _stack_schema(schema: dict[str, Any]) -> dict[str, Any]:
    definitions, contacts = schema["$defs"], schema["$defs"]["city"]["properties"]["contacts"]
    contacts["description"] = f"who is notified: {', '.join(CONTACT_KINDS)}"
    contacts["properties"] = {name: _list_of(kind) for name, kind in CONTACT_KINDS.items()}
    for name, kind in CONTACT_KINDS.items():
        definitions |= kind.definitions
        definitions[f"{name}Contact"] = _object(kind.required, {**kind.properties, **_CONTACT_TERMS})
    return schema


def _list_of(kind: ContactKind) -> dict[str, Any]:
    mapping, plain = ({"$ref": f"#/$defs/{name}"} for name in (f"{kind.name}Contact", kind.plain_schema))
    return {"type": "array", **kind.list_schema, "items": {"if": {"type": "object"}, "then": mapping, "else": plain}}


def _object(required: tuple[str, ...], properties: Mapping[str, Any]) -> dict[str, Any]:
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "additionalProperties": False, **needed, "properties": dict(properties)}


def _rule_schema(schema: dict[str, Any]) -> dict[str, Any]:
    channels = schema["properties"]["channels"]
    standard = "; ".join(f"{name}: {', '.join(map(str, kind.severities))}" for name, kind in CONTACT_KINDS.items())
    channels["description"] = (
        f"severities at which a kind of contact is notified; a kind that is left out keeps the default ({standard})"
    )
    channels["properties"] = {name: {"$ref": "#/$defs/severities"} for name in CONTACT_KINDS}
    return schema


def _fanout_schema(schema: dict[str, Any]) -> dict[str, Any]:
    schema["$defs"]["city"]["properties"]["channels"]["items"] = {"oneOf": [_channel_schema(kind) for kind in CHANNEL_KINDS]}
    return schema


def _channel_schema(kind: ChannelKind) -> dict[str, Any]:
    properties = {"type": {"const": kind.type}, **kind.properties, **(_CHANNEL_TERMS if kind.has_terms else {})}
    return {**_object(("type", *kind.required), properties), **kind.schema}


def _channel_rows() -> str:
    rows = (row for kind in CHANNEL_KINDS for row in kind.documented)
    return "".join(
        f"| {' | '.join(words)} | {'any' if capabilities.limit is None else capabilities.limit} |\n"
        for *words, capabilities in rows
    )


def _contact_rows() -> str:
    return "".join(f"| `cities.<slug>.contacts.{name}` | {kind.documented} | none |\n" for name, kind in CONTACT_KINDS.items())


def _with_rows(text: str, head: str, rows: str, row: str = r"\| ") -> str:
    return re.sub(f"(?m)(^{head})(^{row}.*\n)*", lambda found: found[1] + rows, text, count=1)


def _written(schema: Mapping[str, Any]) -> str:
    return _json(schema, 0, 0) + "\n"


def _json(value: object, indent: int, used: int) -> str:
    """JSON on one line where it fits, otherwise with a line for each member; `used` is how much of its first line is taken."""
    line = _on_one_line(value)
    if not isinstance(value, dict | list) or (used + len(line) <= LINE_LENGTH and indent):
        return line
    inner, outer = "  " * (indent + 1), "  " * indent
    names = [f"{json.dumps(name)}: " for name in value] if isinstance(value, dict) else [""] * len(value)
    members = value.values() if isinstance(value, dict) else value
    lines = [f"{inner}{name}{_json(item, indent + 1, len(inner + name))}" for name, item in zip(names, members, strict=True)]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n" + ",\n".join(lines) + f"\n{outer}{closing}"


def _on_one_line(value: object) -> str:
    if isinstance(value, dict) and value:
        return f"{{ {', '.join(f'{json.dumps(name)}: {_on_one_line(item)}' for name, item in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_on_one_line, value))}]"
    return json.dumps(value, ensure_ascii=False)
