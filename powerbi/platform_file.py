"""The small JSON files around a definition: how they are written, and the one that says what an item is."""

from __future__ import annotations

from typing import Any

import orjson

from powerbi.ids import stable_id

SCHEMAS = "https://developer.microsoft.com/json-schemas/fabric/"


def as_json(document: Any) -> str:
    """JSON as we write it: the same bytes each time."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def platform_file(item_type: str, name: str) -> str:
    """The `.platform` of an item, for Git integration and for the folder on disk."""
    return as_json(
        {
            "$schema": f"{SCHEMAS}gitIntegration/platformProperties/2.0.0/schema.json",
            "metadata": {"type": item_type, "displayName": name},
            "config": {"version": "2.0", "logicalId": stable_id(item_type, name)},
        }
    )
