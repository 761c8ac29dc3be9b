"""Whatever a plan accepts, both processors accept; what they would refuse is refused before, where people can fix it."""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activator.declarations import DeclarationError
from infra.plan import plan_of
from infra.settings import processor_settings
from infra.settings.contacts import audiences
from infra.settings.handover import HandedOver, handed_over
from infra.settings.processor_settings import MAILED, Piece, deployed_fanout_settings, fanout_settings, ingest_settings
from infra.settings.stack import StackSettings, load_stack
from local.run import read_declarations, run_settings, write_files, write_pieces
from local.run_settings import RunSettings
from processors.alert_fanout.channel_kinds import CHANNEL_KINDS
from processors.alert_fanout.channels.webhook import WebhookChannel
from processors.alert_fanout.settings import load_fanout_settings
from processors.contracts.facts import RESERVED_SLUGS, WEEKDAYS, normalised
from processors.contracts.validation import FANOUT_SETTINGS, INGEST_SETTINGS, is_web_address, schema
from processors.ingest.settings import ingest_settings_of
from processors.settings_source import settings_at
from tests.support.rules import RULES

TODAY = "2026-11-24"
LYON: dict[str, Any] = {
    "name": "Lyon",
    "timeZone": "Europe/Paris",
    "webexLocations": ["Lyon Part-Dieu"],
    "contacts": {"email": ["av@example.com"]},
}
AZURE = {"location": "westeurope", "organisation": "contoso", "operations": {"email": ["platform@example.com"]}}


def loaded(folder: Path, config: dict[str, Any]) -> StackSettings:
    path = folder / "Pulumi.test.yaml"
    path.write_text(yaml.safe_dump({"config": {f"roompulse:{key}": value for key, value in config.items()}}), encoding="utf-8")
    return load_stack(path, RULES)


def planned(stack: StackSettings) -> HandedOver:
    """What a plan, a preview and `pulumi up` hand over."""
    return handed_over(stack, ingest_settings(stack, RULES, TODAY), deployed_fanout_settings(stack, RULES))


def faults_of(make: Callable[[], object]) -> dict[str, str]:
    with pytest.raises(DeclarationError) as caught:
        make()
    return {fault.path: fault.message for fault in caught.value.faults}


# Whatever a plan accepts, both loaders accept


def mostly(good: st.SearchStrategy[Any], *odd: Any) -> st.SearchStrategy[Any]:
    """Something a person may write, and now and then one of several things that only slips of the hand write."""
    return st.sampled_from([good] * 50 + [st.sampled_from(odd)]).flatmap(lambda chosen: chosen)


def some(required: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=30)
slugs = mostly(st.from_regex(r"\A[a-z][a-z0-9-]{1,23}\Z"), *sorted(RESERVED_SLUGS), "lyon\n")
secrets = mostly(st.from_regex(r"\A[a-z][a-z0-9-]{7,30}\Z"), "webex-bot\n")
hosts = st.text(string.ascii_letters + string.digits + ".-_*[]:@%é", min_size=1, max_size=20)
ends = st.sampled_from(["", ":0", ":x", ":70000", "/a?b=c"])
addresses = st.sampled_from(["https://example.com", "http://[::1]:8080/a?b=c"]) | st.builds(
    "{}://{}{}".format, st.sampled_from(["http", "https"]), hosts, ends
).filter(is_web_address)
severities = mostly(
    st.lists(st.sampled_from([1, 2, 3, 4]), min_size=1, max_size=4, unique=True), [], [1.0], [True], [0], [1, 1], [5]
)
terms = {"severities": severities, "when": st.sampled_from(["always", "office-hours", "off-hours"])}
odd_addresses = (
    "https://[x]",
    "https://example.com:70000",
    "https://example.com:x",
    "https://*.example.com",
    "https://example.com\n",
)
webhooks = mostly(
    st.one_of(
        addresses,
        some({"to": addresses}, secret=secrets, **terms),
        some({"addressSecret": secrets}, template=st.just("roompulse"), **terms),
        some({"secret": secrets, "template": st.just("pagerduty")}, **terms),
        some({"secret": secrets, "template": st.just("servicenow"), "to": addresses}, **terms),
    ),
    *odd_addresses,
    {},
)
rooms = st.just("av@example.com") | st.from_regex(r"\A[A-Za-z0-9_-]{20,30}\Z")
contacts = some(
    {"email": st.lists(st.just("av@example.com") | some({"to": st.just("av@example.com")}, **terms), min_size=1, max_size=2)},
    sms=st.lists(st.just("+33155550101") | some({"to": st.just("+33155550101")}, **terms), max_size=2),
    webhook=st.lists(webhooks, max_size=3),
    webex=st.lists(some({"to": rooms}, bot=secrets, **terms), max_size=2),
    teams=st.lists(secrets | some({"addressSecret": secrets}, **terms), max_size=2),
)
overrides = st.sampled_from([rule for rule in RULES if not rule.by_platform]).flatmap(
    lambda rule: st.fixed_dictionaries(
        {
            rule.id: some(
                {
                    "because": texts.map(lambda text: f"because {text}"),
                    "until": mostly(st.sampled_from(["2026-11-23", "2030-01-01"]), "2030-02-30", "2030-01-01\n"),
                    "threshold": mostly(st.just(rule.threshold), 1e308, float("inf"), float("nan"), 10**400, 1e-9),
                },
                forMinutes=mostly(st.floats(0, 1440), 1e-9, float("inf")),
                severity=mostly(st.integers(1, 4), 1.0, True, 9),
                mute=st.booleans(),
            )
        }
    )
)
hours = st.builds("{:02}:{:02}".format, st.integers(0, 11), st.integers(0, 59))
later = st.builds("{:02}:{:02}".format, st.integers(12, 23), st.integers(0, 59)) | st.just("24:00")
days = mostly(st.lists(st.sampled_from(WEEKDAYS), min_size=1, unique=True), [], ["day"])
cities = some(
    {
        "name": texts,
        "timeZone": mostly(st.sampled_from(["Europe/Paris", "UTC", "Asia/Kathmandu"]), "Europe", "Asia/Nowhere", "UTC\n"),
        "webexLocations": st.lists(texts, min_size=1, max_size=3, unique_by=normalised),
        "contacts": contacts,
    },
    officeHours=some({}, days=days, **{"from": mostly(hours, "08:00\n", "25:00"), "to": mostly(later, "18:00\n", "24:01")}),
    alerts=overrides,
)
rates = mostly(st.floats(0.5, 20), 0.5, 50, 0, float("inf"), 1e308)
polls = some(
    {},
    seconds=mostly(st.sampled_from([5, 60]), 60.0, 7, 0),
    snapshotMinutes=mostly(st.sampled_from([1, 60]), 0, 1.0),
    metricRequestsPerPoll=mostly(st.sampled_from([0, 500]), True, -1),
    metrics=mostly(st.lists(st.sampled_from(["temperature", "peopleCount", "tvoc"]), unique=True), ["tvoc", "tvoc"]),
    requestsPerSecond=rates,
    xapiRequestsPerSecond=rates,
    xapiSeconds=mostly(st.sampled_from([10, 3600]), 10.0, 0),
    metricSeconds=st.sampled_from([60, 14400]),
    locationMinutes=st.sampled_from([1, 10080]),
    priorityTags=st.lists(texts, max_size=2, unique=True),
    personalDevices=st.booleans(),
    bookings=st.booleans(),
    removalHoldHours=mostly(st.sampled_from([1, 720]), 0, 1.5),
)
stacks = some({"cities": st.dictionaries(slugs, cities, min_size=1, max_size=2)}, poll=polls)


@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
@given(stacks)
def test_whatever_a_stack_file_may_say_both_processors_can_be_told(
    tmp_path_factory: pytest.TempPathFactory, config: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("stack")
    try:
        stack = loaded(folder, config)
    except DeclarationError:
        return
    try:
        deployed = planned(stack)
        local = handed_over(stack, ingest_settings(stack, RULES, TODAY), fanout_settings(stack, RULES, inbox="inbox.sqlite"))
    except DeclarationError as refused:
        # Where a pattern ends, the schema of the stack lets a line feed pass: that alone is left to the second look.
        assert all("\\n" in fault.message for fault in refused.faults)
        return
    assert_both_can_read(folder, deployed, stack)
    assert {piece.path for piece in local.fanout} == {piece.path for piece in deployed.fanout}


def assert_both_can_read(folder: Path, pieces: HandedOver, stack: StackSettings) -> None:
    ingest = ingest_settings_of(read_back(folder / "ingest", pieces.ingest, INGEST_SETTINGS))
    assert {city.slug for city in ingest.cities} == {city.slug for city in stack.cities}
    write_pieces(folder / "fanout", pieces.fanout)
    fanout = load_fanout_settings(folder / "fanout")
    assert set(fanout.cities) == {"*", *(city.slug for city in stack.cities)}
    for city in stack.cities:
        told = fanout.cities[city.slug].channels
        mailed = sum(len(audiences(city.contacts, kind)) for kind in MAILED)
        itself = [contact for contact in city.contacts if contact.kind not in MAILED]
        assert len(told) == len(itself) + mailed
        for channel in told:
            assert channel.key
            if isinstance(channel, WebhookChannel) and channel.url:
                requests.Request("POST", channel.url).prepare()


def read_back(folder: Path, pieces: list[Piece], kind: str) -> dict[str, Any]:
    write_pieces(folder, pieces)
    for path in folder.rglob("*.json"):
        json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    source = settings_at(folder, kind)
    document = source.document()
    assert source.broken == {}
    return document


# What a stack file may not say, and where that is told


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "a slug that the ingest keeps for itself": (
        {"cities": {"unassigned": LYON}}, "cities/unassigned", "is what rooms of no city are filed under: take another slug."),
    "a slug under which the fan-out keeps rejected lines": (
        {"cities": {"rejected": LYON}},
        "cities/rejected", "is where the alert fan-out keeps lines that were not alerts: take another slug."),
    "a slug under which the fan-out keeps the book of other cities": (
        {"cities": {"any-other-city": LYON}},
        "cities/any-other-city", "is where the alert fan-out keeps its book of cities that no stack lists: take another slug."),
    "a webhook whose host is none": (
        {"cities": {"lyon": LYON | {"contacts": {"webhook": ["https://[hunter2]/x"]}}}},
        "cities/lyon/contacts/webhook/0", "is not an address that a request could be made to: see its host and port."),
    "a webhook whose port is none": (
        {"cities": {"lyon": LYON | {"contacts": {"webhook": [{"to": "https://example.com:70000/hunter2"}]}}}},
        "cities/lyon/contacts/webhook/0/to", "is not an address that a request could be made to: see its host and port."),
    "half a character": (
        {"cities": {"lyon": LYON | {"name": "Lyon \ud83d"}}},
        "cities/lyon/name", 'holds half a character (an escape such as "\\ud83d"): write the character itself.'),
    "half a character in a name of something": (
        {"cities": {"lyon\ud83d": LYON}},
        "cities", 'has a key with half a character (an escape such as "\\ud83d"): write the character itself.'),
}  # fmt: skip


@pytest.mark.parametrize(("config", "path", "message"), REFUSED.values(), ids=REFUSED)
def test_what_a_processor_could_not_use_is_told_with_the_rest_of_the_file(
    tmp_path: Path, config: dict[str, Any], path: str, message: str
) -> None:
    found = faults_of(lambda: loaded(tmp_path, config))
    assert found == {path: message}
    assert "hunter2" not in str(found)


def test_a_number_that_json_can_not_carry_is_told_where_it_is(tmp_path: Path) -> None:
    text = yaml.safe_dump({"config": {"roompulse:cities": {"lyon": LYON | {"devices": "MANY"}}}}).replace("MANY", "1.0e400")
    (tmp_path / "Pulumi.test.yaml").write_text(text, encoding="utf-8")
    found = faults_of(lambda: load_stack(tmp_path / "Pulumi.test.yaml", RULES))
    assert found == {"cities/lyon/devices": "is not a number that JSON can carry: write a smaller one."}


# Settings that the code makes wrongly are refused too: every constraint of both schemas, broken one at a time


RICH: dict[str, Any] = {
    "azure": AZURE,
    "poll": {"priorityTags": ["board"]},
    "cities": {
        "lyon": LYON
        | {
            "contacts": {
                "email": ["av@example.com"],
                "webhook": ["https://example.com/one", {"addressSecret": "hook", "secret": "key", "severities": [1, 2]}],
                "webex": [{"to": "av@example.com", "when": "off-hours"}],
                "teams": ["teams-lyon"],
            },
            "alerts": {
                "room-too-warm": {"threshold": 30, "because": "new chillers", "until": "2030-01-01"},
                "room-humidity": {"mute": True, "because": "new chillers", "until": "2030-01-01"},
            },
        }
    },
}
BREAKS: dict[str, Callable[[Any], Any]] = {
    "minimum": lambda low: low - 1,
    "maximum": lambda high: high + 1,
    "exclusiveMinimum": lambda low: low,
    "minLength": lambda _: "",
    "pattern": lambda _: "?",
    "enum": lambda _: "none of these",
    "minItems": lambda _: [],
    "uniqueItems": lambda _: ["tvoc", "tvoc"],
}
"""A value that a keyword refuses."""
Path_ = tuple[str | int, ...]


def mutations(value: Any, rules: dict[str, Any], whole: dict[str, Any], path: Path_ = ()) -> Iterator[tuple[str, Path_, Any]]:
    """Every constraint that a schema has for a document: its keyword, where it holds, and a value there that breaks it."""
    if "$ref" in rules:
        rules = whole["$defs"][rules["$ref"].rpartition("/")[2]]
    if "properties" not in rules and "oneOf" in rules:
        rules = next(form for form in rules["oneOf"] if form["properties"]["type"]["const"] == value["type"])
    yield "type", path, object
    yield from ((keyword, path, BREAKS[keyword](rules[keyword])) for keyword in BREAKS if keyword in rules)
    if isinstance(value, dict):
        if rules.get("additionalProperties") is False:
            yield "additionalProperties", (*path, "surprise"), 1
        for name in rules.get("required", ()):
            yield "required", (*path, name), REMOVED
        for name, item in value.items():
            known = rules.get("properties", {}).get(name, rules.get("additionalProperties"))
            yield from mutations(item, known, whole, (*path, name))
    if isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from mutations(item, rules["items"], whole, (*path, index))


REMOVED = object()


def changed(document: Any, path: Path_, value: Any) -> dict[str, Any]:
    """The document with another value at a path."""
    copy: dict[str, Any] = json.loads(json.dumps(document))
    place: Any = copy
    for step in path[:-1]:
        place = place[step]
    if value is REMOVED:
        del place[path[-1]]
    else:
        place[path[-1]] = None if value is object else value
    return copy


@pytest.mark.parametrize("kind", [INGEST_SETTINGS, FANOUT_SETTINGS])
def test_every_constraint_of_a_processors_schema_is_held_before_it_is_handed_over(tmp_path: Path, kind: str) -> None:
    stack = loaded(tmp_path, RICH)
    documents = {
        INGEST_SETTINGS: ingest_settings(stack, RULES[:2], TODAY),
        FANOUT_SETTINGS: deployed_fanout_settings(stack, RULES[:2]),
    }
    made = [one for one in mutations(documents[kind], schema(kind), schema(kind)) if one[1]]
    assert {keyword for keyword, _, _ in made} >= {"type", "required", "additionalProperties", "enum", "minLength", "minimum"}
    passed = []
    for keyword, path, value in made:
        mutated = documents | {kind: changed(documents[kind], path, value)}
        try:
            handed_over(stack, mutated[INGEST_SETTINGS], mutated[FANOUT_SETTINGS])
        except DeclarationError as fault:
            assert all(one.path for one in fault.faults)
        else:
            passed.append((keyword, "/".join(map(str, path)), value))
    assert passed == []


def test_a_fault_is_told_where_it_can_be_mended(tmp_path: Path) -> None:
    stack = loaded(tmp_path, RICH)
    ingest, fanout = ingest_settings(stack, RULES, TODAY), deployed_fanout_settings(stack, RULES)
    rules = [rule["id"] for rule in ingest["cities"]["lyon"]["rules"]]
    wrong_ingest: list[tuple[Path_, Any]] = [
        (("pollSeconds",), 0),
        (("priorityTags", 0), ""),
        (("cities", "lyon", "timeZone"), ""),
        (("cities", "lyon", "rules", rules.index("room-too-warm"), "threshold"), "30"),
        (("cities", "lyon", "rules", rules.index("device-offline"), "severity"), 9),
    ]
    wrong_fanout: list[tuple[Path_, Any]] = [
        (("rules", "site-outage", "runbook"), ""),
        (("cities", "lyon", "officeHours", "from"), "8"),
        (("cities", "lyon", "mutes", "room-humidity"), "for ever"),
        (("cities", "lyon", "channels", 0, "audience"), ""),
        (("cities", "lyon", "channels", 1, "url"), "ftp://hunter2"),
        (("cities", "lyon", "channels", 2, "severities"), []),
        (("cities", "lyon", "channels", 3, "when"), "never"),
        (("cities", "lyon", "channels", 4, "type"), "pigeon"),
    ]
    for path, value in wrong_ingest:
        ingest = changed(ingest, path, value)
    for path, value in wrong_fanout:
        fanout = changed(fanout, path, value)
    found = faults_of(lambda: handed_over(stack, ingest, fanout))
    assert sorted(found) == [
        "activator/rules/device-offline.yaml",
        "activator/rules/site-outage.yaml",
        "cities/lyon/alerts/room-humidity/until",
        "cities/lyon/alerts/room-too-warm",
        "cities/lyon/contacts",
        "cities/lyon/contacts/teams/0",
        "cities/lyon/contacts/webex/0",
        "cities/lyon/contacts/webhook/0",
        "cities/lyon/contacts/webhook/1",
        "cities/lyon/officeHours/from",
        "cities/lyon/timeZone",
        "poll/priorityTags/0",
        "poll/seconds",
    ]
    assert found["cities/lyon/contacts/teams/0"] == (
        'the alert fan-out would refuse what is made of it: cities/lyon/channels/4/type: "pigeon" is none of '
        f"{', '.join(kind.type for kind in CHANNEL_KINDS)}. Write what it takes."
    )
    assert found["cities/lyon/contacts/webhook/0"] == (
        "the alert fan-out would refuse what is made of it: cities/lyon/channels/1/url: has the wrong form. An http or "
        "https address. Write what it takes."
    )
    assert "hunter2" not in str(found)


def test_a_kind_of_contact_that_only_the_stack_knows_stops_the_plan_and_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = processor_settings._channels
    monkeypatch.setattr(
        processor_settings, "_channels", lambda contacts: [channel | {"type": "pigeon"} for channel in known(contacts)]
    )
    stack = loaded(tmp_path, RICH)
    assert set(faults_of(lambda: plan_of(stack, RULES))) == {
        f"cities/lyon/contacts/{contact}" for contact in ("webhook/0", "webhook/1", "webex/0", "teams/0")
    }
    with pytest.raises(DeclarationError, match=r"cities/lyon/contacts/teams/0 .*pigeon.* is none of"):
        write_files(a_run(tmp_path, stack), stack, RULES)
    assert not (tmp_path / "data" / "run.json").exists()


def test_a_run_whose_own_pace_the_ingest_would_refuse_does_not_start(tmp_path: Path) -> None:
    stack, rules = read_declarations("dev")
    with pytest.raises(DeclarationError, match=r"poll/seconds .*-5"):
        write_files(a_run(tmp_path, stack, poll_seconds=-5.0), stack, rules)


def a_run(folder: Path, stack: StackSettings, poll_seconds: float = 10.0) -> RunSettings:
    (folder / "data").mkdir()
    return run_settings(
        stack, RULES, data_dir=folder / "data", devices=10, seed=1, speed=1.0, poll_seconds=poll_seconds, ports=(0, 0, 0)
    )
