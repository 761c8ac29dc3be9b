"""What is written in a stack file is shown to people: what they could not read as it is, is refused by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from activator.declarations import DeclarationError
from infra.settings.stack import load_stack
from tests.support.rules import RULES

ODD = {
    "Ly\u202eon": "U+202E RIGHT-TO-LEFT OVERRIDE",
    "Ly\u2066on": "U+2066 LEFT-TO-RIGHT ISOLATE",
    "Ly\u200fon": "U+200F RIGHT-TO-LEFT MARK",
    "Ly\non": "U+000A a control character",
    "Ly\u2028on": "U+2028 LINE SEPARATOR",
    "Ly\x00on": "U+0000 a control character",
    "Ly\x1b[31mon": "U+001B a control character",
    "Ly\u200bon": "U+200B ZERO WIDTH SPACE",
    "Ly\U000e0041on": "U+E0041 TAG LATIN CAPITAL LETTER A",
    "Ly" + "\u0301" * 9 + "on": "more than 8 marks on one letter",
}
CITY = {"name": "Lyon", "timeZone": "Europe/Paris", "webexLocations": ["Lyon"], "contacts": {"email": ["a@example.com"]}}
OVERRIDE = {"threshold": 1, "forMinutes": 8, "until": "2099-01-01"}


def refused(folder: Path, slug: str = "lyon", **changed: Any) -> set[tuple[str, str]]:
    """Faults, with their paths, of a stack with a city that is changed so."""
    path = folder / "Pulumi.dev.yaml"
    path.write_text(yaml.safe_dump({"config": {"roompulse:cities": {slug: CITY | changed}}}), encoding="utf-8")
    try:
        load_stack(path, RULES)
    except DeclarationError as told:
        return {(fault.path, fault.message) for fault in told.faults}
    return set()


@pytest.mark.parametrize(("text", "named"), ODD.items(), ids=ODD.values())
def test_what_nobody_could_read_is_refused_wherever_it_is_and_named(tmp_path: Path, text: str, named: str) -> None:
    says = f"holds {named}: write it without, in one line (>- folds several)."
    places: dict[str, dict[str, Any]] = {
        "cities/lyon/name": {"name": text},
        "cities/lyon/webexLocations/1": {"webexLocations": ["Lyon", text]},
        "cities/lyon/contacts/webex/0/to": {"contacts": {"email": ["a@example.com"], "webex": [{"to": text, "secret": "bot"}]}},
        "cities/lyon/alerts/device-offline/because": {"alerts": {"device-offline": OVERRIDE | {"because": text}}},
    }
    for path, changed in places.items():
        assert (path, says) in refused(tmp_path, **changed)


@pytest.mark.parametrize("text", [" ", "     ", "Lyon ", " Lyon", "Lyon\u00a0", "\u3000Lyon"])
def test_a_space_that_nobody_sees_is_refused_wherever_it_is(tmp_path: Path, text: str) -> None:
    says = "begins or ends with a space, which nobody sees: write it without."
    changed: dict[str, Any] = {
        "name": text,
        "webexLocations": ["Lyon", text],
        "alerts": {"device-offline": OVERRIDE | {"because": text}},
    }
    places = {"cities/lyon/name", "cities/lyon/webexLocations/1", "cities/lyon/alerts/device-offline/because"}
    assert {path for path, said in refused(tmp_path, **changed) if said == says} == places


def test_a_slug_that_nobody_could_read_is_refused(tmp_path: Path) -> None:
    says = "has a key that holds U+202E RIGHT-TO-LEFT OVERRIDE: write it without."
    assert ("cities", says) in refused(tmp_path, slug="lyon\u202e")


@pytest.mark.parametrize(("length", "taken"), [(1000, True), (1001, False), (10_000, False)])
def test_a_text_has_an_end(tmp_path: Path, length: int, taken: bool) -> None:
    told = refused(tmp_path, alerts={"device-offline": OVERRIDE | {"because": "x" * length}})
    where = "cities/lyon/alerts/device-offline/because"
    assert told == (set() if taken else {(where, f"has {length:,} characters: 1,000 at most.")})


@pytest.mark.parametrize(("length", "taken"), [(100, True), (101, False)])
def test_a_city_has_a_name_that_is_shown_whole(tmp_path: Path, length: int, taken: bool) -> None:
    assert (refused(tmp_path, name="x" * length) == set()) is taken


@pytest.mark.parametrize("name", ["São Paulo", "תל אביב", "東京", "दिल्ली", "میلان\u200cها", "Hà Nội", "Lyon 👩\u200d💻"])
def test_names_of_every_script_are_taken(tmp_path: Path, name: str) -> None:
    assert refused(tmp_path, name=name) == set()
