"""Stack files as people break them, and every line they are told: where, what is wrong, what to write instead.

The expected lines are whole, so that a change of wording is read here as a newcomer would read it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from activator.declarations import DeclarationError
from infra.settings.sizing import size
from infra.settings.stack import load_stack
from tests.support.rules import RULES

KNOWN_RULES = ", ".join(sorted(rule.id for rule in RULES))
GOOD = """\
config:
  roompulse:azure:
    location: westeurope
    organisation: contoso
    operations: { email: [platform@example.com] }
  roompulse:poll: { seconds: 60 }
  roompulse:cities:
    lyon:
      name: Lyon
      timeZone: Europe/Paris
      webexLocations: ["Lyon Part-Dieu"]
      contacts: { email: [av@example.com] }
    oslo:
      name: Oslo
      timeZone: Europe/Oslo
      webexLocations: ["Oslo Bjørvika"]
      contacts: { email: [av-oslo@example.com] }
"""
LYON_CONTACTS = "contacts: { email: [av@example.com] }"
SLUG = (
    "is no good name: a city's slug has 2 to 24 lower-case letters, digits and hyphens, because Azure resources are named after "
    "it, and starts with a letter, such as new-york."
)
SECRET_NAME = (
    "has the wrong form. The name of a secret (2 to 40 lower-case letters, digits and hyphens; none of the ingest's, which begin "
    "with webex-token-set, webex-client-secret or webex-integration), never the secret itself: its "
    "value goes into Key Vault, locally into the environment."
)

Change = Callable[[str], str]


def edit(*edits: tuple[str, str]) -> Change:
    """Texts of the good file, each replaced by another."""

    def change(text: str) -> str:
        for old, new in edits:
            assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in the good file"
            text = text.replace(old, new)
        return text

    return change


def azure(line: str) -> Change:
    """More lines under roompulse:azure."""
    return edit(("    organisation: contoso\n", f"    organisation: contoso\n{line}\n"))


def lyon(line: str) -> Change:
    """More lines under Lyon."""
    return edit((f"      {LYON_CONTACTS}\n", f"      {LYON_CONTACTS}\n{line}\n"))


def contacts(written: str) -> Change:
    """Other contacts of Lyon."""
    return edit((LYON_CONTACTS, f"contacts: {written}"))


def override(rule: str, written: str) -> Change:
    """Something Lyon changes in a rule."""
    return lyon(f"      alerts: {{ {rule}: {{ {written} }} }}")


def instead(text: str) -> Change:
    """Another file altogether."""
    return lambda _: text


BROKEN: dict[str, tuple[Change, list[str]]] = {
    "a location in two cities": (
        edit(("Oslo Bjørvika", "lyon  part-dieu")),
        ['cities/oslo/webexLocations/0  "lyon  part-dieu" is already in city lyon: take one of the two out.'],
    ),
    "a location twice in one city": (
        edit(('["Lyon Part-Dieu"]', '["Lyon Part-Dieu", "Lyon Confluence", "Lyon Part-Dieu"]')),
        ['cities/lyon/webexLocations/2  "Lyon Part-Dieu" is already in city lyon: take one of the two out.'],
    ),
    "a slug that ends its line": (
        edit(("    oslo:\n", '    "oslo\\n":\n')),
        ["cities  has a key that holds U+000A a control character: write it without.", f"cities/oslo\n  {SLUG}"],
    ),
    "a time zone with a typo": (
        edit(("Europe/Paris", "Europe/Pariss")),
        ['cities/lyon/timeZone  "Europe/Pariss" is not an IANA time zone. Did you mean Europe/Paris?'],
    ),
    "a time zone nobody knows": (
        edit(("Europe/Paris", "Rhône")),
        ['cities/lyon/timeZone  "Rhône" is not an IANA time zone. Take one of the IANA list, such as Europe/Paris.'],
    ),
    "a threshold below zero": (
        override("room-too-warm", 'threshold: -1, because: new chillers, until: "2027-03-31"'),
        ["cities/lyon/alerts/room-too-warm/threshold  -1 is below 0: write 0 or more."],
    ),
    "a threshold that is never reached": (
        override("device-offline", 'threshold: 2, because: new switches, until: "2027-03-31"'),
        ["cities/lyon/alerts/device-offline/threshold  "
         "2 is never reached: offline is 0 to 1. The rule's own is 1; mute: true silences it."],
    ),
    "a telephone number without quotes": (
        contacts("{ email: [av@example.com], sms: [+33155550101] }"),
        ['cities/lyon/contacts/sms/0  33155550101 is a number: quote it ("+33155550101").'],
    ),
    "a telephone number without its country": (
        contacts('{ email: [av@example.com], sms: ["0155550101"] }'),
        ['cities/lyon/contacts/sms/0  "0155550101" has the wrong form. A telephone number as +country and digits, quoted.'],
    ),
    "nobody for severity 1 at night": (
        contacts("{ email: [{ to: av@example.com, when: office-hours }] }"),
        ["cities/lyon/contacts  nobody is notified when it matters: a deployed city needs a contact for severity 1 outside "
         "office hours whom an alert reaches (email, sms, webex, teams, slack, or a webhook with a template)."],
    ),
    "no contacts at all": (contacts("{}"), [
        "cities/lyon/contacts  is empty. Who is notified: email, sms, webhook, webex, teams, slack.",
        "cities/lyon/contacts  nobody is notified when it matters: a deployed city needs a contact for severity 1 whom an alert "
        "reaches (email, sms, webex, teams, slack, or a webhook with a template).",
    ]),
    "a slug too long for the names of resources": (
        edit(("    lyon:", "    lyon-and-all-its-suburbs-east:")),
        [f"cities/lyon-and-all-its-suburbs-east  {SLUG}"],
    ),
    "a slug with a space": (edit(("    lyon:", "    new lyon:")), [f"cities/new lyon  {SLUG}"]),
    "a slug with a capital": (edit(("    lyon:", "    Lyon:")), [f"cities/Lyon  {SLUG}"]),
    "a slug that YAML reads as a number": (
        edit(("    lyon:", "    69:")),
        ["cities/69  is not text: a city's slug starts with a letter, such as new-york."],
    ),
    "a slug that RoomPulse uses itself": (
        edit(("    lyon:", "    unassigned:")),
        ["cities/unassigned  is what rooms of no city are filed under: take another slug."],
    ),
    "a key with a typo": (
        edit(("      timeZone: Europe/Paris", "      timezone: Europe/Paris")),
        ["cities/lyon/timeZone  is missing: an IANA time zone such as Europe/Paris.",
         "cities/lyon/timezone  is not a setting here. Did you mean timeZone? "
         "Known: alerts, contacts, controlHubSecret, devices, name, officeHours, organisation, push, quietHours, readers, "
         "timeZone, webexLocations."],
    ),
    "a key without its prefix": (
        edit(("roompulse:poll", "poll")),
        ['poll  lacks its prefix: write "roompulse:poll".'],
    ),
    "a missing key": (
        edit(("    location: westeurope\n", "")),
        ['azure/location  is missing: an Azure region as `az account list-locations --query "[].name"` writes it, '
         "such as westeurope."],
    ),
    "text where a list is wanted": (
        edit(('["Lyon Part-Dieu"]', "Lyon Part-Dieu")),
        ['cities/lyon/webexLocations  "Lyon Part-Dieu" is text; a list is wanted. '
         "Names or ids of the Webex locations in this city."],
    ),
    "a number in quotes": (
        lyon('      devices: "200"'),
        ['cities/lyon/devices  "200" is text; a whole number is wanted. '
         "About how many devices the city has; sizing counts on it."],
    ),
    "yes for true": (
        azure("    zones: yes"),
        ['azure/zones  "yes" is text; true or false is wanted. Spread over availability zones what can be.'],
    ),
    "a city of which nothing is said": (
        edit(("    oslo:\n", "    bergen:\n    oslo:\n")),
        ["cities/bergen  is empty: a mapping is wanted."],
    ),
    "an override of a rule that is none": (
        override("room-too-worm", 'threshold: 30, because: new chillers, until: "2027-03-31"'),
        [f"cities/lyon/alerts/room-too-worm  is not an alert rule. Did you mean room-too-warm? Known: {KNOWN_RULES}."],
    ),
    "an override that changes nothing": (
        override("room-too-warm", 'because: new chillers, until: "2027-03-31"'),
        ["cities/lyon/alerts/room-too-warm  "
         "changes nothing: give threshold, forMinutes, severity or mute: true, or take it out."],
    ),
    "an override that mutes nothing": (
        override("room-too-warm", 'mute: false, because: new chillers, until: "2027-03-31"'),
        ["cities/lyon/alerts/room-too-warm  "
         "changes nothing: give threshold, forMinutes, severity or mute: true, or take it out."],
    ),
    "an override without a reason or an end": (override("room-too-warm", "threshold: 30"), [
        "cities/lyon/alerts/room-too-warm/because  is missing: the reason, for the people who review alerts.",
        "cities/lyon/alerts/room-too-warm/until  is missing: the last day it holds, as YYYY-MM-DD.",
    ]),
    "a reason that is none": (
        override("room-too-warm", 'threshold: 30, because: hot, until: "2027-03-31"'),
        ['cities/lyon/alerts/room-too-warm/because  "hot" is shorter than 5 characters. '
         "The reason, for the people who review alerts."],
    ),
    "a day that is in no calendar": (
        override("room-too-warm", 'threshold: 30, because: new chillers, until: "2027-02-30"'),
        ['cities/lyon/alerts/room-too-warm/until  "2027-02-30" is not a day of the calendar: '
         "write the last day it holds, as YYYY-MM-DD."],
    ),
    "a day as people write it": (
        override("room-too-warm", 'threshold: 30, because: new chillers, until: "31.03.2027"'),
        ['cities/lyon/alerts/room-too-warm/until  "31.03.2027" has the wrong form. The last day it holds, as YYYY-MM-DD.'],
    ),
    "a severity that does not exist": (
        override("room-too-warm", 'severity: 5, because: new chillers, until: "2027-03-31"'),
        ["cities/lyon/alerts/room-too-warm/severity  5 is above 4: write 4 or less."],
    ),
    "most units below the least": (
        azure("    eventHubs: { throughputUnits: 5, maximumThroughputUnits: 2 }"),
        ["azure/eventHubs/maximumThroughputUnits  2 is below throughputUnits (5): raise it to 5."],
    ),
    "a development cluster over zones": (
        azure("    zones: true\n    kusto: { enabled: true }"),
        ["azure/kusto/sku  Dev(No SLA)_Standard_E2a_v4 can't span zones: take Standard_E2ads_v5, or zones: false."],
    ),
    "more hot days than kept days": (
        azure("    kusto: { enabled: true, hotDays: 90, keepDays: 30 }"),
        ["azure/kusto/hotDays  90 is more than keepDays (30): what is gone can't be in the cache. Write 30 or less."],
    ),
    "route fabric without a capacity": (
        azure("    route: fabric\n    fabric: { enabled: true }"),
        ["azure/fabric/capacity  is missing: the name or GUID of a capacity, "
         "or let the stack make one (azure.fabricCapacity)."],
    ),
    "a cadence that does not divide a minute": (
        edit(("seconds: 60", "seconds: 7")),
        ["poll/seconds  7 is none of 5, 10, 15, 20, 30, 60. How often Webex is polled; a divisor of 60."],
    ),
    "more devices than the capacity carries": (
        edit(("contoso\n", "contoso\n    eventHubs: { maximumThroughputUnits: 1 }\n"),
             ("name: Lyon\n", "name: Lyon\n      devices: 5000\n")),
        ["azure/eventHubs/maximumThroughputUnits  throughput units at most: 2 needed, 1 declared, because "
         "a snapshot of 5,200 devices in 5 s is 1,056 observations/s."],
    ),
    "an office that closes before it opens": (
        lyon('      officeHours: { from: "18:00", to: "08:00" }'),
        ["cities/lyon/officeHours  closes (08:00) before it opens (18:00): hours within one day are wanted, "
         'such as from: "08:00", to: "18:00".'],
    ),
    "an hour as a number": (
        lyon("      officeHours: { from: 8 }"),
        ['cities/lyon/officeHours/from  8 is a number; text is wanted. A time of day as "HH:MM", quoted.'],
    ),
    "a webhook without an address": (
        contacts("{ email: [av@example.com], webhook: [{ severities: [1] }] }"),
        ["cities/lyon/contacts/webhook/0/to  is missing: an http or https address, or addressSecret, the name of a secret."],
    ),
    "PagerDuty without a secret": (
        contacts("{ webhook: [{ template: pagerduty }] }"),
        ["cities/lyon/contacts/webhook/0/secret  is missing: the name of the secret that holds the routing key of the "
         "service's Events API v2 integration."],
    ),
    "the address of a Teams workflow in plain": (
        contacts('{ email: [av@example.com], teams: ["https://prod-01.logic.azure.com/x?sig=hunter2"] }'),
        [f"cities/lyon/contacts/teams/0  {SECRET_NAME}"],
    ),
    "the tokens of Webex in plain": (
        edit(("config:\n", "config:\n  roompulse:webexTokenSet: hunter2\n")),
        ["webexTokenSet  is in plain: take it out of the file and out of its history, get a new one, "
         "then pulumi config set --secret webexTokenSet."],
    ),
    "a tab": (
        edit(("      name: Lyon", "\tname: Lyon")),
        ["line 9, column 1  indented with a tab: YAML takes spaces only."],
    ),
    "a key with one space too few": (
        edit(("      timeZone: Europe/Paris", "     timeZone: Europe/Paris")),
        ["line 10, column 6  indented unlike the lines above: keys of one level start in one column."],
    ),
    "a colon inside a name": (
        edit(("name: Lyon", "name: Lyon: south")),
        ["line 9, column 17  a colon in the middle of a value: put the value in quotes."],
    ),
    "a city twice": (
        edit(("    oslo:", "    lyon:")),
        ['line 13, column 5  "lyon" is given twice (first on line 8): keep one of them.'],
    ),
    "an empty file": (
        instead(""),
        ['config  is missing: the file starts with "config:" and under it the roompulse:* keys (docs/configuration.md).'],
    ),
    "a file that is a list": (
        instead("- lyon\n"),
        ['config  is missing: the file starts with "config:" and under it the roompulse:* keys (docs/configuration.md).'],
    ),
    "a character of another program": (
        edit(("name: Lyon", "name: Ly\0on")),
        ["line 9  has a character that text can't have (U+0000): take it out, and save the file as UTF-8."],
    ),
    "several things at once": (
        edit(("Europe/Paris", "Europe/Pariss"), ("Oslo Bjørvika", "Lyon Part-Dieu"), ("seconds: 60", "second: 60"),
             ("contoso", "Contoso Ltd")),
        ['azure/organisation  "Contoso Ltd" has the wrong form. 2 to 8 lower-case letters and digits that make the names of '
         "this deployment unique in the world.",
         "poll/second  is not a setting here. Did you mean seconds? Known: bookings, locationMinutes, "
         "metricRequestsPerPoll, metricSeconds, metrics, personalDevices, priorityTags, removalHoldHours, requestsPerSecond, "
         "seconds, snapshotMinutes, xapiRequestsPerSecond, xapiSeconds.",
         'cities/lyon/timeZone  "Europe/Pariss" is not an IANA time zone. Did you mean Europe/Paris?',
         'cities/oslo/webexLocations/0  "Lyon Part-Dieu" is already in city lyon: take one of the two out.'],
    ),
}  # fmt: skip


def told(path: Path) -> DeclarationError:
    """What somebody is told who plans this stack."""
    with pytest.raises(DeclarationError) as caught:
        size(load_stack(path, RULES))
    return caught.value


def test_the_file_they_start_from_is_good(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.test.yaml"
    path.write_text(GOOD, encoding="utf-8")
    assert len(size(load_stack(path, RULES)).needs) > 0


@pytest.mark.parametrize(("change", "lines"), BROKEN.values(), ids=BROKEN)
def test_a_broken_stack_is_told_in_these_lines(tmp_path: Path, change: Change, lines: list[str]) -> None:
    path = tmp_path / "Pulumi.test.yaml"
    path.write_text(change(GOOD), encoding="utf-8")
    fault = told(path)
    assert [f"{one.path}  {one.message}" for one in fault.faults] == lines
    assert "hunter2" not in str(fault)


def test_a_stack_whose_name_is_too_long_is_told_why(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.preproduction.yaml"
    path.write_text(GOOD, encoding="utf-8")
    assert str(told(path)) == (
        "Pulumi.preproduction.yaml is not a valid stack (1 fault):\n"
        "  azure  a stack named \"preproduction\" can't be deployed: its name is part of a storage account's, which has 24 "
        "characters. Give the file another: 2 to 8 lower-case letters and digits, like Pulumi.prod.yaml. "
        "(Pulumi.preproduction.yaml:2)"
    )


@pytest.mark.parametrize(
    ("encoding", "line"),
    [
        ("latin-1", "  line 16  is not UTF-8: save the file as UTF-8."),
        ("utf-16", "  line 1  is not UTF-8: save the file as UTF-8."),
        ("utf-16-le", "  line 1  has a character that text can't have (U+0000): take it out, and save the file as UTF-8."),
    ],
)
def test_a_file_in_another_encoding_is_told_where(tmp_path: Path, encoding: str, line: str) -> None:
    path = tmp_path / "Pulumi.test.yaml"
    path.write_bytes(GOOD.replace("ø", "o" if encoding == "utf-16-le" else "ø").encode(encoding))
    assert str(told(path)).splitlines()[1:] == [line]


def test_what_is_told_lines_up(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.test.yaml"
    path.write_text(override("room-too-warm", "mute: true")(edit(("Europe/Paris", "Paris"))(GOOD)), encoding="utf-8")
    first, *lines = str(told(path)).splitlines()
    assert first == "Pulumi.test.yaml is not a valid stack (3 faults):"
    assert [line.split()[0] for line in lines] == [
        "cities/lyon/timeZone",
        "cities/lyon/alerts/room-too-warm/because",
        "cities/lyon/alerts/room-too-warm/until",
    ]
    assert {line.index(word) for line, word in zip(lines, ('"Paris"', "is missing", "is missing"), strict=True)} == {44}
    assert [line.rsplit(" ", 1)[1] for line in lines] == [f"(Pulumi.test.yaml:{number})" for number in (10, 13, 13)]


def test_whoever_mistypes_a_stack_reads_which_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for stack in ("prod", "dev"):
        (tmp_path / f"Pulumi.{stack}.yaml").write_text(GOOD, encoding="utf-8")
    with pytest.raises(DeclarationError) as refused:
        load_stack(tmp_path / "Pulumi.porduction.yaml", RULES)
    assert str(refused.value).splitlines() == [
        "Pulumi.porduction.yaml is missing (1 fault):",
        "  Pulumi.porduction.yaml  write the settings of stack porduction here, or take a stack that is there: dev, prod",
    ]
