"""Whatever a schema of the repository refuses is told in words of ours: true, with its place, and with a way out.

Valid documents are broken at every constraint of every schema, once each; what a person would be told is held to the same rules.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from jsonschema import Draft202012Validator

from processors.contracts.schema_faults import explained, speaks
from tests.support.shared_data import REPOSITORY

FOLDERS = ("activator", "infra", "powerbi", "processors")
NOBODYS_NAME = 'Not "A" Slug'
"""A key that no schema of ours takes as a name."""
SECRET = "hunter2-and-a-long-tail-that-nobody-may-ever-see"
OF_THE_VALIDATOR = re.compile(
    r"is not valid under|Failed validating|does not match|is too (short|long)|non-empty|is not of type|is not one of"
    r"|required property|were unexpected|was expected|has non-unique|less than the m|greater than the m|does not have enough"
    r"|has too many|should not be|None|True|False|\{'|\['"
)
WAY_OUT = re.compile(
    r"write|wanted|quote it|keep|take|add|shorten|Known:|is none of .+|is missing: .+|is no good name: .+|wrong form\. .+"
    r"|is empty\. .+|shorter than \d+ characters\. .+|Nothing may stand here"
)


def schema_files() -> list[Path]:
    """Every JSON Schema that we wrote. What lies under asa-queries is a sample of data, whose format is Microsoft's."""
    found = [path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.schema.json") if ".venv" not in path.parts]
    return sorted(found)


@cache
def schema_of(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def told(document: Any, schema: Mapping[str, Any]) -> list[tuple[str, str]]:
    return explained(Draft202012Validator(schema).iter_errors(document), schema)


def subschemas(schema: Any) -> Iterator[dict[str, Any]]:
    """The schema and all within it."""
    if not isinstance(schema, dict):
        return
    yield schema
    for keyword, inner in schema.items():
        if keyword in ("properties", "$defs", "patternProperties"):
            for one in inner.values():
                yield from subschemas(one)
        elif keyword in ("oneOf", "anyOf", "allOf"):
            for one in inner:
                yield from subschemas(one)
        elif keyword not in ("const", "enum", "default"):
            yield from subschemas(inner)


@pytest.mark.parametrize("path", schema_files(), ids=lambda path: path.name)
def test_every_keyword_of_our_schemas_has_its_sentence(path: Path) -> None:
    used = {keyword for schema in subschemas(schema_of(path)) for keyword in schema}
    wordless = sorted(keyword for keyword in used if not speaks(keyword))
    assert not wordless, f"{path.name} uses {', '.join(wordless)}: write a sentence in processors/contracts/schema_faults.py"


@pytest.mark.parametrize("path", schema_files(), ids=lambda path: path.name)
def test_a_schema_itself_is_valid(path: Path) -> None:
    Draft202012Validator.check_schema(schema_of(path))


class Broken(NamedTuple):
    """A value that breaks one keyword of a schema at one place. `at` is where somebody is told."""

    keyword: str
    at: str
    value: Any
    secret: bool


class Sample:
    """Makes valid documents of a schema, and every broken one that is a single constraint away."""

    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root

    def resolved(self, schema: Any) -> dict[str, Any]:
        while "$ref" in schema:
            schema = {**self.root["$defs"][schema["$ref"].rsplit("/", 1)[1]], **{k: v for k, v in schema.items() if k != "$ref"}}
        if "then" in schema:
            return self.resolved(schema["then"])
        if "oneOf" in schema and "type" not in schema:
            return self.resolved(schema["oneOf"][0])
        return dict(schema)

    def valid(self, schema: Any, *, full: bool = True) -> Any:
        """A valid value, with every key that may be there (of several that exclude each other, the first)."""
        schema = self.resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        kind = schema.get("type", "string")
        kind = kind[0] if isinstance(kind, list) else kind
        if kind == "object":
            excluded = [key for form in schema.get("oneOf", ())[1:] for key in form["required"]]
            made = {key: self.valid(inner) for key, inner in schema.get("properties", {}).items() if key not in excluded}
            made |= {key: self.valid(schema["additionalProperties"]) for key in schema.get("required", ()) if key not in made}
            if isinstance(schema.get("additionalProperties"), dict) and not made:
                made = {"lyon": self.valid(schema["additionalProperties"])}
            return made
        if kind == "array":
            # entries differ where they must; what our schemas want several of repeats without harm
            return [self.valid(schema.get("items", {}))] * max(1, schema.get("minItems", 1))
        if kind == "boolean":
            return True
        if kind in ("integer", "number"):
            return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        if kind == "null":
            return None
        return self.text(schema)

    def text(self, schema: Mapping[str, Any]) -> str:
        for candidate in EXAMPLES:
            fits = re.search(schema.get("pattern", ""), candidate)
            if fits and schema.get("minLength", 0) <= len(candidate) <= schema.get("maxLength", 10_000):
                return candidate
        raise AssertionError(f"no example fits {schema}: add one to EXAMPLES")

    def broken(self, schema: Any, at: str = "") -> Iterator[Broken]:
        """Everything that is one constraint away from valid, here and below, in each form a value may have."""
        forms = [schema[key] for key in ("then", "else") if key in schema] + (
            schema.get("oneOf", []) if "type" not in schema else []
        )
        for form in forms:
            yield from self.broken(form, at)
        if forms:
            return
        schema = self.resolved(schema)
        secret = schema.get("writeOnly") is True
        good = self.valid(schema)
        text = SECRET if secret else "Zürich ist schön, and more than forty characters long, which nobody wants to read again"
        for kind in ("object", "array", "string", "number"):
            wrong: Any = {"object": text, "array": text, "string": ["x"], "number": "many", "integer": 1.5}[kind]
            if schema.get("type") == kind or (kind == "number" and schema.get("type") in ("integer", "boolean")):
                yield Broken("type", at, wrong, secret)
                yield Broken("type", at, None, secret)
        if schema.get("type") == "string" and not secret:
            yield Broken("type", at, 90909090, secret)
        for keyword, value in (
            ("minimum", lambda: schema["minimum"] - 1),
            ("maximum", lambda: schema["maximum"] + 1),
            ("exclusiveMinimum", lambda: schema["exclusiveMinimum"]),
            ("minLength", lambda: "x" * (schema["minLength"] - 1)),
            ("maxLength", lambda: "x" * (schema["maxLength"] + 1)),
            ("minItems", lambda: good[: schema["minItems"] - 1]),
            ("maxItems", lambda: [good[0]] * (schema["maxItems"] + 1)),
            ("minProperties", dict),
            ("uniqueItems", lambda: [good[0], good[0]]),
            ("enum", lambda: "none-such"),
            ("const", lambda: "none-such"),
            ("pattern", lambda: f"{SECRET}!" if secret else "! $"),
        ):
            if keyword in schema:
                yield Broken(keyword, at, value(), secret)
        if "propertyNames" in schema:
            yield Broken("propertyNames", f"{at}/{NOBODYS_NAME}", {NOBODYS_NAME: next(iter(good.values()), {})}, secret)
        if schema.get("additionalProperties") is False:
            yield Broken("additionalProperties", f"{at}/nonesuch", {**good, "nonesuch": 1}, secret)
        for key in schema.get("required", ()):
            yield Broken("required", f"{at}/{key}", {name: one for name, one in good.items() if name != key}, secret)
        if schema.get("type") == "object" and "oneOf" in schema:
            keys = [form["required"][0] for form in schema["oneOf"]]
            yield Broken("oneOf", at, {name: one for name, one in good.items() if name not in keys}, secret)
            both = {key: self.valid(schema["properties"][key]) for key in keys}
            yield Broken("oneOf", at, {**good, **both}, secret)
        if schema.get("type") == "object":
            for key in good:
                inner = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
                if isinstance(inner, dict):
                    for broken in self.broken(inner, f"{at}/{key}"):
                        yield broken._replace(value={**good, key: broken.value})
        if schema.get("type") == "array" and "items" in schema:
            for broken in self.broken(schema["items"], f"{at}/0"):
                yield broken._replace(value=[broken.value, *good[1:]])


EXAMPLES = (
    *("room-too-warm", "docs/runbooks/x.md", "5m", "tue 10:00", "08:00", "2027-03-31", "lyon", "Temperature", "contoso"),
    *("av@example.com", "+33123456789", "https://example.com/hook", "10.0.0.1", "00000000-0000-0000-0000-000000000000"),
    *("2026-11-23T15:41:00.000Z", "0123456789abcdef0123456789abcdef", "a sentence that is long enough for a person"),
    *("Cities.city", "Devices[Device count]", "/roompulse/ingest"),
)  # fmt: skip


def test_what_is_broken_in_these_tests_was_valid_before() -> None:
    for path in schema_files():
        schema = schema_of(path)
        assert told(Sample(schema).valid(schema), schema) == [], path.name


@pytest.mark.parametrize("path", schema_files(), ids=lambda path: path.name)
def test_every_constraint_that_is_broken_is_told_where_with_what_was_found_and_the_way_out(path: Path) -> None:
    schema = schema_of(path)
    seen = set()
    for broken in Sample(schema).broken(schema):
        said = told(broken.value, schema)
        where = broken.at.strip("/")
        here = [message for place, message in said if place == where]
        assert here, f"{broken.keyword} at {where}: nothing says so, only {said}"
        for place, message in said:
            assert not OF_THE_VALIDATOR.search(message), f"{place}: the validator's own words: {message}"
            assert WAY_OUT.search(message), f"{place}: no way out: {message}"
            assert len(message) < 700 and "\n" not in message
            assert not (broken.secret and SECRET[:20] in message), f"{place}: a secret is repeated: {message}"
        seen |= {broken.keyword, *({"pattern"} if broken.keyword == "propertyNames" else ())}
    used = {keyword for one in subschemas(schema) for keyword in one if one is not schema or keyword != "$defs"}
    silent = {"$schema", "$defs", "$ref", "title", "description", "properties", "items", "writeOnly", "if", "then", "else", "not"}
    unbroken = used - seen - silent - {"oneOf", "const"}
    assert not unbroken, f"nothing breaks {unbroken}"


OBJECT: dict[str, Any] = {"type": "object"}
SENTENCES: list[tuple[Any, dict[str, Any], list[tuple[str, str]]]] = [
    ({"for": "5m"}, {"oneOf": [{"required": ["at_least"]}, {"required": ["at_most"]}]},
     [("", "has neither at_least nor at_most: write one of them.")]),
    ({"a": 1, "b": 2}, {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, [("", "has a and b: keep one of them.")]),
    ({"a": 1}, {"oneOf": [{"required": ["a", "b"]}, {"required": ["c"]}]}, [("b", "is missing: write it.")]),
    ({"b": 1}, {"oneOf": [{"required": ["a", "b"]}, {"required": ["c"]}]}, [("", "has neither a nor c: write one of them.")]),
    ({}, {"anyOf": [{"required": ["a"]}, {"required": ["b"]}, {"required": ["c"]}]},
     [("", "has none of a, b, c: write one of them.")]),
    ([1], {"minItems": 3}, [("", "has 1 of at least 3: add 2.")]),
    ([], {"minItems": 3}, [("", "is empty: 3 or more are wanted.")]),
    ([1, 2, 3], {"maxItems": 2}, [("", "has 3 where 2 may be: take 1 out.")]),
    ({"a": 1}, {"minProperties": 2}, [("", "has 1 of at least 2: add 1.")]),
    (["mon", "mon"], {"uniqueItems": True}, [("", "lists something twice: keep it once.")]),
    ("3", {"enum": [3, 7]}, [("", '"3" is text: write 3 without quotes.')]),
    ("colum", {"enum": ["column", "row"]}, [("", '"colum" is none of column, row. Did you mean column?')]),
    (None, {"enum": ["column", "row"]}, [("", "is empty: one of column, row is wanted.")]),
    (["x"], {"enum": ["column", "row"]}, [("", "is a list; one of column, row is wanted.")]),
    ("2", {"const": "1.0"}, [("", '"2" stands where only "1.0" may: write that.')]),
    ("unassigned", {"not": {"const": "unassigned"}}, [("", '"unassigned" is kept for something else: write another.')]),
    (True, {"type": "string"}, [("", 'true is true or false: quote it ("true").')]),
    (0, {"exclusiveMinimum": 0}, [("", "0 is too low: write more than 0.")]),
    (7, {"anyOf": [{"type": "string"}, {"type": "array"}]}, [("", "is a number; text or a list is wanted.")]),
    (7, {"type": ["string", "null"]}, [("", "7 is a number; text or nothing is wanted.")]),
    ("x" * 200, {"pattern": "^y", "description": "the letter y"}, [("", f'"{"x" * 57}…" has the wrong form. The letter y.')]),
    ({"type": "smoke"}, {"oneOf": [{**OBJECT, "properties": {"type": {"const": "inbox"}}},
                                   {**OBJECT, "properties": {"type": {"const": "webhook"}}}]},
     [("type", '"smoke" is none of inbox, webhook.')]),
    ({"type": "webhook", "url": 7}, {"oneOf": [{**OBJECT, "properties": {"type": {"const": "inbox"}}},
                                               {"properties": {"type": {"const": "webhook"}, "url": {"type": "array"}}}]},
     [("url", "7 is a number; a list is wanted.")]),
    ("https://hooks.example/" + SECRET, {"type": "object", "properties": {"hook": {"type": "string", "writeOnly": True}}},
     [("", "is text; a mapping is wanted.")]),
]  # fmt: skip


@pytest.mark.parametrize(("document", "schema", "sentences"), SENTENCES)
def test_each_use_of_a_keyword_has_a_sentence_that_is_true(
    document: Any, schema: dict[str, Any], sentences: list[tuple[str, str]]
) -> None:
    assert told(copy.deepcopy(document), schema) == sentences
