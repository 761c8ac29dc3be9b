"""Judges an ARM body by Microsoft's Bicep type definitions: names, required and read-only properties, enums, discriminators,
types."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

REQUIRED, READ_ONLY = 1, 2
IN_THE_ADDRESS = {"id", "name", "type", "apiVersion"}


class BicepTypes:
    """The types of one resource. `also` are values of open enums that are documented elsewhere."""

    def __init__(self, file: Path, also: frozenset[str] = frozenset()) -> None:
        self._types: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
        self._also = also

    def faults(self, body: dict[str, Any]) -> list[str]:
        """What is wrong with a request body, by path; empty when nothing is."""
        resource = next(kind for kind in self._types if kind["$type"] == "ResourceType")
        return self._object(body, self._of(resource["body"]), "", IN_THE_ADDRESS)

    def _of(self, reference: dict[str, str]) -> dict[str, Any]:
        return self._types[int(reference["$ref"].removeprefix("#/"))]

    def _object(self, value: Any, kind: dict[str, Any], path: str, given: set[str] = frozenset()) -> list[str]:  # type: ignore[assignment]
        if not isinstance(value, dict):
            return [f"{path}: {value!r} is not an object"]
        properties = dict(kind.get("baseProperties", kind.get("properties", {})))
        if kind["$type"] == "DiscriminatedObjectType":
            variant = kind["elements"].get(value.get(kind["discriminator"]))
            if variant is None:
                return [
                    f"{path}/{kind['discriminator']}: {value.get(kind['discriminator'])!r} is none of {sorted(kind['elements'])}"
                ]
            properties |= self._of(variant)["properties"]
        faults = [
            f"{path}/{name}: is missing"
            for name, declared in properties.items()
            if declared["flags"] & REQUIRED and name not in value and name not in given
        ]
        for name, item in value.items():
            if name in properties:
                if properties[name]["flags"] & READ_ONLY:
                    faults.append(f"{path}/{name}: is read-only")
                faults += self._value(item, self._of(properties[name]["type"]), f"{path}/{name}")
            elif kind.get("additionalProperties"):
                faults += self._value(item, self._of(kind["additionalProperties"]), f"{path}/{name}")
            else:
                faults.append(f"{path}/{name}: there is no such property")
        return faults

    def _value(self, value: Any, kind: dict[str, Any], path: str) -> list[str]:
        match kind["$type"]:
            case "ObjectType" | "DiscriminatedObjectType":
                return self._object(value, kind, path)
            case "ArrayType":
                if not isinstance(value, list):
                    return [f"{path}: {value!r} is not an array"]
                return [
                    fault
                    for n, item in enumerate(value)
                    for fault in self._value(item, self._of(kind["itemType"]), f"{path}[{n}]")
                ]
            case "UnionType":
                allowed = {self._of(element).get("value") for element in kind["elements"]} - {None} | self._also
                return [] if value in allowed else [f"{path}: {value!r} is none of {sorted(map(str, allowed))}"]
            case "StringLiteralType":
                return [] if value == kind["value"] else [f"{path}: {value!r} is not {kind['value']!r}"]
            case "StringType":
                return self._string(value, kind, path)
            case "IntegerType":
                if type(value) is not int:
                    return [f"{path}: {value!r} is not a whole number"]
                lowest, highest = kind.get("minValue", value), kind.get("maxValue", value)
                return [] if lowest <= value <= highest else [f"{path}: {value} is not within {lowest} and {highest}"]
            case "BooleanType":
                return [] if isinstance(value, bool) else [f"{path}: {value!r} is neither true nor false"]
            case _:
                return []

    def _string(self, value: Any, kind: dict[str, Any], path: str) -> list[str]:
        if not isinstance(value, str):
            return [f"{path}: {value!r} is not a string"]
        shortest, longest = kind.get("minLength", 0), kind.get("maxLength", len(value))
        if not shortest <= len(value) <= longest:
            return [f"{path}: {value!r} has not {shortest} to {longest} characters"]
        if "pattern" in kind and not re.search(kind["pattern"], value):
            return [f"{path}: {value!r} does not match {kind['pattern']}"]
        return []
