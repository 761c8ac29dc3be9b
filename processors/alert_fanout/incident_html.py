"""The pages of incidents as HTML: what is wrong, where, since when, who was notified, what became of it, and what can be done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from processors.alert_fanout import acts as facts
from processors.alert_fanout.acting import Found
from processors.alert_fanout.channel_kinds import label
from processors.alert_fanout.html_text import Html, element, together
from processors.alert_fanout.incidents import Entry
from processors.alert_fanout.notice import Line
from processors.alert_fanout.render import as_it_is_now, marked, notice, title_of
from processors.alert_fanout.runbooks import runbook_html
from processors.alert_fanout.settings import City, FanoutSettings
from processors.alert_fanout.steps import Step
from processors.alert_fanout.whether import Place
from processors.alert_fanout.why import Verdict, timeline, verdicts
from processors.alert_fanout.wording import counted, lasting, moment
from processors.contracts.facts import ANY_OTHER_CITY, SEVERITY_NAMES
from processors.timestamps import TIME, format_time, parse_time

DURATIONS = {"30m": timedelta(minutes=30)} | {f"{hours}h": timedelta(hours=hours) for hours in (1, 2, 4, 8, 24, 72, 168)}
"""For how long something may be asked for here."""
_SPOKEN = {"30m": "30 minutes", "1h": "1 hour", "24h": "1 day", "72h": "3 days", "168h": "7 days"}
NEIGHBOURS_SHOWN = 12
_RUNBOOK = "runbook"
"""The runbook's place on the page."""
STYLE = (Path(__file__).parent / "templates" / "incident.css").read_text(encoding="utf-8")


class Form(NamedTuple):
    """What every form of a page carries: the token of the session, and an id that makes what it does once."""

    token: str
    nonce: str


Beside = Sequence[tuple[str, str]]
"""Other pages at the address of these, to which every one of them leads: words and path of each."""


def list_page(
    found: Sequence[Found], faults: Sequence[Exception], settings: FanoutSettings, now: datetime, beside: Beside
) -> str:
    """The incidents of all cities, open ones first, the worst of them first; before them, why those of some can't be shown."""
    shown = [replace(one, incident=as_it_is_now(one.incident, settings, _city(one, settings))) for one in found]
    ordered = sorted(shown, key=lambda one: (one.incident.lead.severity, one.incident.lead.started_at))
    known = " where they can be read" if faults else ""
    open_, over = ([one for one in ordered if one.incident.open is state] for state in (True, False))
    return _document(
        "Incidents",
        beside,
        element("h1", f"{counted(len(open_), 'incident')} open{known}" if open_ else f"No open incidents{known}"),
        *(element("section", element("p", str(fault)), class_="refusal", role="alert") for fault in faults),
        *([_listed(open_, settings, now)] if open_ else []),
        *([element("h2", f"Over: {len(over)}"), _listed(over, settings, now)] if over else []),
    )


def _listed(found: Sequence[Found], settings: FanoutSettings, now: datetime) -> Html:
    rows = (_listed_row(one, _city(one, settings), now) for one in found)
    return element("section", element("table", *rows, class_="list"))


def _listed_row(found: Found, city: City, now: datetime) -> Html:
    incident = found.incident
    since = f"since {_at(incident.lead.started_at, city)} ({city.time_zone})"
    age = lasting(incident.lead.started_at, format_time(now)) if incident.open else ""
    name = element("a", marked(incident, title_of(incident, city)), href=f"/incidents/{incident.handle}")
    return element(
        "tr",
        element("td", _severity(incident.lead.severity)),
        element("td", element("strong", name), element("span", f"{age}, {since}" if age else since, class_="below")),
        element("td", ", ".join(_states(found, now))),
    )


def _severity(severity: int) -> Html:
    return element("span", SEVERITY_NAMES[severity], class_=f"state s{severity}")


def message_page(title: str, text: str, beside: Beside) -> str:
    """A page that says one thing."""
    back = element("p", element("a", "All incidents", href="/incidents"))
    return _document(title, beside, element("h1", title), element("section", element("p", text), back))


def incident_page(
    found: Found, settings: FanoutSettings, now: datetime, form: Form, person: str, beside: Beside, refusal: str = ""
) -> str:
    """Everything about an incident, with what can be done about it."""
    city = _city(found, settings)
    place = Place(city, settings.rules, now, found.acts)
    says = "update" if found.incident.open else "merge" if found.incident.merged_into else "close"
    message = notice(found.book, Step(found.incident.id, "", says), settings, city)
    runbook = _runbook(message.runbook)
    opens = message.link or (f"#{_RUNBOOK}" if runbook else None)
    what = _section("What it is", element("dl", *(_line(line, message.runbook, opens) for line in message.lines)))
    does = [_section("Do something", *_forms(found, now, form)), _neighbours(found, city)]
    came = [
        *runbook,
        _section("What became of it", _timeline(timeline(found.incident, found.acts), city)),
        _section("Who is notified", _notified(verdicts(found.book, found.incident, place), city)),
    ]
    return _document(
        message.title,
        beside,
        element("p", element("a", "← All incidents", href="/incidents")),
        element("h1", message.title),
        element("p", *_badges(found, now, city, message.lead.severity)),
        element("section", element("p", refusal), class_="refusal", role="alert") if refusal else "",
        element(
            "div",
            element("div", what),
            element("div", *does, class_="does"),
            element("div", *came),
            class_="columns",
        ),
        element("p", f"Signed in as {person}. Incident {found.incident.handle}.", class_="quiet"),
    )


def _city(found: Found, settings: FanoutSettings) -> City:
    return settings.cities.get(found.city) or settings.cities[ANY_OTHER_CITY]


def _document(title: str, beside: Beside, *body: str) -> str:
    links = (element("a", words, href=path) for words, path in beside)
    here = element("a", "Incidents", href="/incidents", aria_current="page" if title == "Incidents" else "true")
    top = element("header", element("strong", "RoomPulse"), element("nav", *links, here, aria_label="Pages"))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title} · RoomPulse"),
        element("style", Html(STYLE)),
    )
    return f"<!doctype html>{element('html', head, element('body', top, element('main', *body)), lang='en')}"


def _runbook(runbook: str | None) -> list[Html]:
    """The runbook itself, where it is one of ours; the link to it is among the facts."""
    found = runbook_html(runbook or "")
    return [element("section", element("h2", "Runbook"), element("div", found, class_="runbook"), id=_RUNBOOK)] if found else []


def _section(title: str, *inside: str) -> Html:
    return element("section", element("h2", title), *inside)


def _states(found: Found, now: datetime) -> list[str]:
    incident, held = found.incident, found.acts.acknowledgement(found.incident, now)
    if not incident.open:
        return ["Part of another" if incident.merged_into else "Over"]
    quiet = found.acts.silence(incident, now)
    return [f"{held.author} has it" if held else "Nobody has it", *(["kept quiet"] if quiet else [])]


def _badges(found: Found, now: datetime, city: City, severity: int) -> Iterable[Html]:
    incident, acts = found.incident, found.acts
    yield _severity(severity)
    if not incident.open:
        whole = found.book.incidents.get(incident.merged_into or "")
        words = element("a", "Part of another", href=f"/incidents/{whole.handle}") if whole else _states(found, now)[0]
        yield element("span", words, class_="state over")
        return
    held, quiet = acts.acknowledgement(incident, now), acts.silence(incident, now)
    if held:
        yield element("span", f"{held.author} has it until {_at(held.until, city)}", class_="state over")
    else:
        yield element("span", "Nobody has it", class_="state critical")
    if quiet:
        yield element("span", f"Quiet until {_at(acts.end_of(quiet), city)}: {quiet.text}", class_="state")


def _at(time: str, city: City) -> str:
    return moment(time, city.time_zone)


def _line(line: Line, runbook: str | None, opens: str | None) -> Html:
    """A fact as every channel gets it; the runbook is a link to where it opens."""
    text: str = line.text
    if opens and line.text == runbook:
        text = element("a", "on this page" if opens.startswith("#") else text, href=opens, rel="noreferrer")
    if not line.label:
        return element("dd", text, class_="wide")
    return together((element("dt", line.label), element("dd", text)))


def _timeline(entries: Iterable[Entry], city: City) -> Html:
    rows = (
        _row_of(_clock(one.at, city), one.what, f"{label(one.channel) if one.channel else ''} {_local(one.detail, city)}".strip())
        for one in entries
    )
    head = element("tr", element("th", f"when ({city.time_zone})"), element("th", "what"))
    return element("table", head, *rows)


def _row_of(about: str, what: str, more: str) -> Html:
    return element("tr", element("td", about), element("td", element("strong", what), f" {more}" if more else ""))


def _local(text: str, city: City) -> str:
    """A text with its times on the clocks of the city."""
    return TIME.sub(lambda found: _at(found[0], city), text)


def _clock(time: str, city: City) -> str:
    """With seconds: what follows what matters here."""
    parsed = parse_time(time)
    return f"{moment(time, city.time_zone)}:{parsed:%S}" if parsed else time


def _notified(said: Iterable[Verdict], city: City) -> Html:
    rows = [_row_of(label(one.channel), one.verdict, _local(one.why, city)) for one in said]
    head = element("tr", element("th", "channel"), element("th", "what, and why"))
    return element("table", head, *rows) if rows else element("p", "This city has no channel: nobody is notified.")


def _forms(found: Found, now: datetime, form: Form) -> Iterable[Html]:
    incident, acts = found.incident, found.acts
    if incident.open:
        held, quiet = acts.acknowledgement(incident, now), acts.silence(incident, now)
        about = _row(_for("8h"), _text("What you do about it", required=False))
        if held:
            yield _form(form, facts.UNACKNOWLEDGE, "Nobody has it any more")
            yield _folded("Take it over", _form(form, facts.TAKE, "Take it over", about))
        else:
            yield _form(form, facts.ACKNOWLEDGE, "I have it", about, first=True)
        if quiet:
            yield _form(form, facts.UNSILENCE, "End the quiet", _hidden("silence", quiet.id))
        why = _row(_for("2h"), _text("Why"))
        yield _folded("Snooze it", _form(form, facts.SNOOZE, "Snooze it", why))
        yield _folded("Silence a place or a rule", _form(form, facts.SILENCE, "Silence", _scopes(found), why))
    yield _folded("Comment", _form(form, facts.COMMENT, "Comment", _text("What there is to say")), unfolded=not incident.open)


def _folded(words: str, *inside: Html, unfolded: bool = False) -> Html:
    return element("details", element("summary", words), *inside, open=unfolded)


def _row(*fields: Html) -> Html:
    return element("div", *fields, class_="row")


def _form(form: Form, do: str, words: str, *fields: Html, first: bool = False) -> Html:
    button = element("button", words, class_="first" if first else None)
    hidden = (_hidden("token", form.token), _hidden("nonce", form.nonce), _hidden("do", do))
    return element("form", *hidden, *fields, button, method="post")


def _hidden(name: str, value: str) -> Html:
    return element("input", type="hidden", name=name, value=value)


def _text(label: str, *, required: bool = True) -> Html:
    return element("label", label, element("input", name="text", maxlength="500", required=required, autocomplete="off"))


def _for(chosen: str) -> Html:
    options = (
        element("option", _SPOKEN.get(value, f"{value[:-1]} hours"), value=value, selected=value == chosen) for value in DURATIONS
    )
    return element("label", "For", element("select", *options, name="for"))


def _scopes(found: Found) -> Html:
    lead = found.incident.lead
    known = [
        ("device", f"this device: {lead.name}", lead.entity == "device"),
        ("room", f"this room: {lead.workspace_name}", bool(lead.workspace_id)),
        ("location", f"this location: {lead.location_name}", bool(lead.location_id)),
        ("rule", f"{lead.rule_id} in the whole city", True),
        ("city", "everything in this city", True),
    ]
    options = (element("option", words, value=value) for value, words, there in known if there)
    return element("label", "What", element("select", *options, name="scope"))


def _neighbours(found: Found, city: City) -> Html:
    """Other open incidents of the same location."""
    lead, incidents = found.incident.lead, found.book.incidents.values()
    near = [
        Found(found.city, one, found.book, found.acts)
        for one in incidents
        if one.open and one.id != found.incident.id and lead.location_id and one.lead.location_id == lead.location_id
        and one.kind not in ("storm", "missed")
    ]  # fmt: skip
    links = [
        element("p", element("a", title_of(one.incident, city), href=f"/incidents/{one.incident.handle}"))
        for one in near[:NEIGHBOURS_SHOWN]
    ]
    more = [element("p", f"and {len(near) - NEIGHBOURS_SHOWN} more", class_="quiet")] if len(near) > NEIGHBOURS_SHOWN else []
    none = [element("p", "Nothing else is open at this location.", class_="quiet")]
    return _section("At the same location", *(links + more if links else none))
