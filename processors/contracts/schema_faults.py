"""What a JSON Schema refuses, in words: where, what is there, what may be there, what to write instead.

The one translation for every schema of the repository (stack files, alert rules, layouts, settings, messages): no text of the
validator reaches a person. A value that may be secret (`writeOnly`, in the schema or below it) is never repeated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

Schema = Mapping[str, Any]
Explained = tuple[str, str]
"""A path such as `cities/lyon/timeZone` (empty for the whole document), and what is wrong there."""
LONGEST_SHOWN = 60
"""Characters of a value that are repeated."""
SPEAKS_THROUGH_OTHERS = frozenset(
    {
        *("$defs", "$ref", "$schema", "default", "description", "title", "writeOnly"),
        *("allOf", "else", "if", "items", "properties", "then"),
    }
)
"""Keywords that refuse nothing themselves: what is within them does."""
_KINDS: Mapping[type, str] = {
    dict: "a mapping",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "nothing",
}
_WANTED = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "nothing",
}


def strict_validator(schema: Schema) -> Any:
    """A validator of the schema, to which `$` is the end of a text: Python's lets a line feed follow."""
    from jsonschema import Draft202012Validator, validators  # 60 ms: not while a function app starts

    return validators.extend(Draft202012Validator, {"pattern": _check_pattern})(schema)


def _check_pattern(validator: Any, pattern: str, instance: object, _schema: object) -> Iterator[Any]:
    from jsonschema import ValidationError

    if validator.is_type(instance, "string") and not _matches(pattern, str(instance)):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _matches(pattern: str, text: str) -> bool:
    return re.search(re.sub(r"\$$", r"\\Z", pattern), text) is not None


def explained(errors: Iterable[ValidationError], root: Schema) -> list[Explained]:
    """Every error of a validator of the schema `root` in words, each once."""
    return list(dict.fromkeys(said for error in errors for said in _explain(error, root)))


def speaks(keyword: str) -> bool:
    """Whether there are words for what this keyword of JSON Schema refuses."""
    return keyword in _ELSEWHERE or keyword in _SENTENCES or keyword in SPEAKS_THROUGH_OTHERS


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean X?` when a known word is close, otherwise nothing."""
    import difflib  # not while a function app starts

    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]}?" if close else ""


def _explain(error: ValidationError, root: Schema) -> Iterator[Explained]:
    path = "/".join(str(step) for step in error.absolute_path)
    if "propertyNames" in error.absolute_schema_path:
        yield _join(path, str(error.instance)), f"is no good name: {_rule_of_names(error, root)}."
    elif error.validator in _ELSEWHERE:
        yield from _ELSEWHERE[error.validator](error, path, root)
    else:
        yield path, _sentence(error, root)


def _unknown_keys(error: ValidationError, path: str, root: Schema) -> Iterator[Explained]:
    known = error.schema.get("properties", {})
    for key in map(str, error.instance):
        if key not in known:
            all_known = f"Known: {', '.join(sorted(known))}." if known else "Nothing may stand here."
            yield _join(path, key), f"is not a setting here.{did_you_mean(key, known)} {all_known}"


def _missing_keys(error: ValidationError, path: str, root: Schema) -> Iterator[Explained]:
    properties = error.schema.get("properties", {})
    for key in error.validator_value:
        if key not in error.instance:
            yield _join(path, key), f"is missing: {_what_is_wanted(_resolved(properties.get(key, {}), root))}."


def _alternatives(error: ValidationError, path: str, root: Schema) -> Iterator[Explained]:
    """None of several forms fits, or more than one: what distinguishes them decides which one is meant."""
    forms = [_resolved(form, root) for form in error.validator_value]
    keys = [form["required"][0] for form in forms if set(form) == {"required"}]
    if len(keys) == len(forms):
        yield from _form_by_keys(keys, error, path, root)
        return
    reported_by = _discriminator(forms)
    if reported_by is not None:
        yield from _form_by(reported_by, forms, error, path, root)
    elif not error.context:
        yield path, "fits several of the forms that are possible here: keep to one of them."
    else:
        yield from _nearest(error, path, root)


def _form_by_keys(keys: Sequence[str], error: ValidationError, path: str, root: Schema) -> Iterator[Explained]:
    """Forms that differ by what they require: the first key of each says which one is meant."""
    value = error.instance
    if not isinstance(value, Mapping):
        if "type" not in error.schema:  # which would say it
            yield path, f"is {_kind(value)}; a mapping with {' or '.join(keys)} is wanted."
        return
    there = [key for key in keys if key in value]
    if len(there) == 1:
        yield from _nearest(error, path, root)
    else:
        yield path, _one_key_of(keys, there)


def _one_key_of(keys: Sequence[str], there: Sequence[str]) -> str:
    if there:
        return f"has {' and '.join(there)}: keep one of them."
    lacking = f"neither {' nor '.join(keys)}" if len(keys) == 2 else f"none of {', '.join(keys)}"
    return f"has {lacking}: write one of them."


def _discriminator(forms: Sequence[Schema]) -> str | None:
    """The key whose value distinguishes the forms: each has a constant of its own there."""
    constants = [{key for key, inner in form.get("properties", {}).items() if "const" in inner} for form in forms]
    return next(iter(sorted(set.intersection(*constants))), None)


def _form_by(key: str, forms: Sequence[Schema], error: ValidationError, path: str, root: Schema) -> Iterator[Explained]:
    value = error.instance
    words = [str(form["properties"][key]["const"]) for form in forms]
    if not isinstance(value, Mapping):
        yield path, f"is {_kind(value)}; a mapping is wanted, with {key}: {', '.join(words)}."
    elif key not in value:
        yield _join(path, key), f"is missing: one of {', '.join(words)}."
    elif str(value[key]) not in words:
        yield _join(path, key), f"{_show(value[key])} is none of {', '.join(words)}.{did_you_mean(str(value[key]), words)}"
    else:
        meant = words.index(str(value[key]))
        for inner in error.context:
            if inner.relative_schema_path[0] == meant:
                yield from _explain(inner, root)


def _nearest(error: ValidationError, path: str, root: Schema) -> Iterator[Explained]:
    """Without anything that distinguishes the forms: the one that got farthest is the one that was meant."""
    by_form: dict[Any, list[ValidationError]] = {}
    for inner in error.context:
        by_form.setdefault(inner.relative_schema_path[0], []).append(inner)
    if all(len(found) == 1 and found[0].validator == "type" and not found[0].relative_path for found in by_form.values()):
        types = [kind for found in by_form.values() for kind in _listed(found[0].validator_value)]
        yield path, f"is {_kind(error.instance)}; {_any_of(types)} is wanted."
        return
    nearest = max(by_form.values(), key=lambda found: (min(len(inner.relative_path) for inner in found), -len(found)))
    for inner in nearest:
        yield from _explain(inner, root)


_ELSEWHERE: Mapping[str, Callable[[Any, str, Schema], Iterator[Explained]]] = {
    "additionalProperties": _unknown_keys,
    "anyOf": _alternatives,
    "oneOf": _alternatives,
    "required": _missing_keys,
}
"""Keywords whose fault lies at another path than the value that has it."""


@dataclass(frozen=True)
class _Refused:
    """A value, what the keyword says, the value as it is shown (empty when it may be secret or is not a scalar), and a hint."""

    value: Any
    limit: Any
    shown: str
    schema: Schema
    hint: str


def _sentence(error: ValidationError, root: Schema) -> str:
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    value = error.instance
    hidden = isinstance(value, dict | list) or _may_be_secret(schema, root)
    description = str(schema.get("description", ""))
    hint = f" {description[0].upper()}{description[1:]}." if description else ""
    refused = _Refused(value, error.validator_value, "" if hidden else _show(value), schema, hint)
    return _SENTENCES.get(str(error.validator), _unspoken)(refused)


def _type(refused: _Refused) -> str:
    wanted, value = _any_of(_listed(refused.limit)), refused.value
    if value is None:
        return f"is empty: {wanted} is wanted.{refused.hint}"
    if refused.shown and refused.limit == "string" and (quoted := _as_text(value, refused.schema)):
        return f'{_plain(value)} is {_kind(value)}: quote it ("{quoted}").'
    return f"{refused.shown} is {_kind(value)}; {wanted} is wanted.{refused.hint}".lstrip()


def _enum(refused: _Refused) -> str:
    words = [_plain(word) for word in refused.limit]
    if refused.value is None or isinstance(refused.value, dict | list):
        there = "empty:" if refused.value is None else f"{_kind(refused.value)};"
        return f"is {there} one of {', '.join(words)} is wanted.{refused.hint}"
    meant = next((word for word in refused.limit if not isinstance(word, str) and _plain(word) == refused.value), None)
    if meant is not None:
        return f"{refused.shown} is text: write {_plain(meant)} without quotes."
    guess = did_you_mean(refused.value, words) if isinstance(refused.value, str) else ""
    return f"{refused.shown} is none of {', '.join(words)}.{guess}{refused.hint}".lstrip()


def _const(refused: _Refused) -> str:
    return f"{refused.shown} stands where only {_show(refused.limit)} may: write that.{refused.hint}".lstrip()


def _pattern(refused: _Refused) -> str:
    return f"{refused.shown} has the wrong form.{refused.hint or f' Write what fits {refused.limit}.'}".lstrip()


def _short(refused: _Refused) -> str:
    if not refused.value:
        return f"is empty{'' if refused.hint else ': write something'}.{refused.hint}"
    return f"{refused.shown} is shorter than {refused.limit} characters.{refused.hint or ' Write more.'}".lstrip()


def _few(refused: _Refused) -> str:
    if not refused.value:
        wanted = "write at least one" if refused.limit == 1 else f"{refused.limit} or more are wanted"
        return f"is empty{'' if refused.hint and refused.limit == 1 else f': {wanted}'}.{refused.hint}"
    return f"has {len(refused.value)} of at least {refused.limit}: add {refused.limit - len(refused.value)}.{refused.hint}"


def _many(refused: _Refused) -> str:
    return f"has {len(refused.value)} where {refused.limit} may be: take {len(refused.value) - refused.limit} out.{refused.hint}"


def _repeated(refused: _Refused) -> str:
    return f"lists something twice: keep it once.{refused.hint}"


def _not(refused: _Refused) -> str:
    taken = refused.limit.get("const") if isinstance(refused.limit, Mapping) else None
    what = f"{_show(taken)} is kept for something else" if taken is not None else f"{refused.shown} may not stand here"
    return f"{what}: write another.{refused.hint}".lstrip()


def _unspoken(refused: _Refused) -> str:
    """For a schema `false`, and a keyword nobody wrote a sentence for (which a test finds)."""
    return f"{refused.shown} can't stand here: take it out, or write what docs/ says.{refused.hint}".lstrip()


_SENTENCES: Mapping[str, Callable[[_Refused], str]] = {
    "const": _const,
    "enum": _enum,
    "exclusiveMinimum": lambda it: f"{it.shown} is too low: write more than {it.limit}.{it.hint}",
    "maximum": lambda it: f"{it.shown} is above {it.limit}: write {it.limit} or less.{it.hint}",
    "maxItems": _many,
    "maxLength": lambda it: f"{it.shown} is longer than {it.limit} characters: shorten it.{it.hint}".lstrip(),
    "maxProperties": _many,
    "minimum": lambda it: f"{it.shown} is below {it.limit}: write {it.limit} or more.{it.hint}",
    "minItems": _few,
    "minLength": _short,
    "minProperties": _few,
    "not": _not,
    "pattern": _pattern,
    "propertyNames": _unspoken,  # its own keywords speak
    "type": _type,
    "uniqueItems": _repeated,
}


def _rule_of_names(error: ValidationError, root: Schema) -> str:
    description = error.schema.get("description")
    return str(description) if description else _sentence(error, root).removesuffix(".")


def _what_is_wanted(schema: Schema) -> str:
    if "description" in schema:
        return str(schema["description"])
    if "enum" in schema:
        return f"one of {', '.join(map(_plain, schema['enum']))} is wanted"
    if "const" in schema:
        return f"write {_show(schema['const'])}"
    return f"{_any_of(_listed(schema['type']))} is wanted" if "type" in schema else "write it"


def _resolved(schema: Any, root: Schema) -> Schema:
    """A schema without its `$ref`; what stands beside the reference goes before what it leads to."""
    found: dict[str, Any] = dict(schema) if isinstance(schema, Mapping) else {}
    while "$ref" in found:
        reference = found.pop("$ref")
        found = {**root["$defs"][reference.rsplit("/", 1)[1]], **found}
    return found


def _may_be_secret(schema: Any, root: Schema) -> bool:
    """Whether a value of this schema, or a part of it, is secret: somebody may have written it one level too high."""
    if isinstance(schema, list):
        return any(_may_be_secret(one, root) for one in schema)
    if not isinstance(schema, Mapping):
        return False
    schema = _resolved(schema, root)
    return schema.get("writeOnly") is True or any(
        _may_be_secret(inner, root) for key, inner in schema.items() if key != "$defs" and isinstance(inner, Mapping | list)
    )


def _as_text(value: Any, schema: Schema) -> str | None:
    """What to write in quotes where a number stands for text; YAML has dropped the plus of a telephone number."""
    if not isinstance(value, bool | int | float):
        return None
    texts = (_plain(value), f"+{_plain(value)}")
    return next((text for text in texts if _matches(schema.get("pattern", ""), text)), None)


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), type(value).__name__)


def _any_of(types: Iterable[str]) -> str:
    return " or ".join(_WANTED.get(kind, kind) for kind in types)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _plain(value: Any) -> str:
    """A value as it stands in a file, without the quotes of a text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _show(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= LONGEST_SHOWN else f"{shown[: LONGEST_SHOWN - 2]}…" + ('"' if isinstance(value, str) else "")


def _join(path: str, key: str) -> str:
    return f"{path}/{key}" if path else key
