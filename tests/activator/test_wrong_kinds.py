"""Whatever stands where, stacks, rules, layouts and the model are refused with their faults: no check stumbles."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from activator.declarations import DeclarationError, read_yaml
from activator.rules import load_rules
from infra.settings.stack import load_stack
from powerbi.layout import read_layout
from powerbi.real_time_dashboard import dashboard
from powerbi.semantic_model import read_model
from tests.support.rules import RULES
from tests.support.shared_data import REPOSITORY

WRONG: tuple[Any, ...] = (None, [["x"]], {"x": ["y"]}, {1: 2}, 7, "x")
LONGEST_LIST = 1
"""Entries of one list are much alike."""


def places(document: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield way
    if isinstance(document, dict):
        for key, value in document.items():
            yield from places(value, (*way, key))
    elif isinstance(document, list):
        for index, value in enumerate(document[:LONGEST_LIST]):
            yield from places(value, (*way, index))


def changed(document: Any, way: tuple[Any, ...], value: Any) -> Any:
    if not way:
        return value
    whole = copy.deepcopy(document)
    inner = whole
    for step in way[:-1]:
        inner = inner[step]
    inner[way[-1]] = value
    return whole


def stack() -> dict[str, Any]:
    """The fabric stack with one city of everything."""
    document: dict[str, Any] = read_yaml(REPOSITORY / "Pulumi.fabric.yaml", "")
    cities = document["config"]["roompulse:cities"]
    slug = next(iter(cities))
    override = {"threshold": 30, "because": "new chillers", "until": "2027-03-31"}
    hooks = [{"addressSecret": "hook", "template": "servicenow", "secret": "key"}]
    hours = {"days": ["mon"], "from": "08:00", "to": "18:00"}
    contacts = {"email": [{"to": "a@b.example", "severities": [1]}], "sms": ["+33123456789"], "webhook": hooks, "teams": ["room"]}
    city = {**cities[slug], "alerts": {"room-too-warm": override}, "contacts": contacts, "officeHours": hours}
    document["config"]["roompulse:cities"] = {slug: city}
    return document


def rule() -> dict[str, Any]:
    document: dict[str, Any] = read_yaml(REPOSITORY / "activator/rules/pipeline-stale.yaml", "")
    return document


def smaller(path: str) -> Callable[[], Any]:
    """A declared layout with its last page."""

    def read() -> Any:
        document = read_yaml(REPOSITORY / path, "")
        document["pages"] = dict(list(document["pages"].items())[-1:])
        return document

    return read


DECLARED: dict[str, tuple[str, Callable[[], Any], Callable[[Path], object]]] = {
    "stack": ("Pulumi.fabric.yaml", stack, lambda path: load_stack(path, RULES)),
    "rule": ("pipeline-stale.yaml", rule, lambda path: load_rules(path.parent)),
    "report": ("city.yaml", smaller("powerbi/reports/city.yaml"), read_layout.__wrapped__),
    "dashboard": ("layout.yaml", smaller("powerbi/dashboard/layout.yaml"), dashboard),
}


@pytest.mark.parametrize("kind", DECLARED)
def test_a_wrong_kind_of_value_anywhere_is_refused_or_good(kind: str, tmp_path: Path) -> None:
    name, document, load = DECLARED[kind]
    path, good = tmp_path / name, document()
    path.write_text(yaml.safe_dump(good, allow_unicode=True), encoding="utf-8")
    load(path)
    for way in places(good):
        for value in WRONG:
            path.write_text(yaml.safe_dump(changed(good, way, value), allow_unicode=True), encoding="utf-8")
            try:
                load(path)
            except DeclarationError as refusal:
                assert refusal.faults
            except Exception as fault:  # noqa: BLE001 - which one is what the test is about
                pytest.fail(f"{value!r} at {'/'.join(map(str, way))}: {fault!r}")


@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize("way", [("relationships",), ("relationships", 0), ("relationships", 0, 0), ("measures",), ("tables",)])
def test_a_model_of_the_wrong_kind_is_refused(way: tuple[Any, ...], value: Any, tmp_path: Path) -> None:
    good = read_yaml(REPOSITORY / "powerbi/semantic_model/model.yaml", "")
    path = tmp_path / "model.yaml"
    path.write_text(yaml.safe_dump(changed(good, way, value)), encoding="utf-8")
    with pytest.raises(DeclarationError):
        read_model.__wrapped__(path)
