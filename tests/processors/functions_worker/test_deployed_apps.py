"""Both function apps as they are deployed: built by our packager, loaded and called by Microsoft's Functions worker."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from event_hubs_local.server import EventHubsServer
from infra.packaging import PackageContent
from tests.processors.alert_fanout.conftest import Receiver, alert_row, body, serving
from tests.processors.functions_worker.worker import (
    Interpreter,
    Worker,
    events,
    interpreters,
    request,
    timer,
    unpacked,
    working,
)
from tests.support.application_insights import ERROR, WARNING, ApplicationInsights, ingesting
from tests.support.hub_reader import events_in
from tests.support.scripted_webex import TRACKING_ID, ScriptedWebex, device, error, location, workspace
from tests.support.tiers import TIERS

RULES = {"device-offline": {"meaning": "A room device is offline.", "runbook": "docs/runbooks/device-offline.md"}}
RUBBISH = [b"", b"not json", b"\xff\xfe\x00", b"[1, 2", b'{"alertId": 7}', b"null", b"[]" * 50_000]


@pytest.fixture(params=interpreters(), ids=lambda interpreter: interpreter.name)
def interpreter(request: pytest.FixtureRequest) -> Interpreter:
    """Ours, and the deployed Python where this machine has it."""
    found: Interpreter = request.param
    return found


@pytest.fixture
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test run share."""
    folder = tmp_path_factory.getbasetemp().parent / "function-packages"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def estate(webex: ScriptedWebex) -> ScriptedWebex:
    """Three devices in three rooms of Lyon."""
    webex.listings["/locations"] = [location(1, "Lyon Part-Dieu")]
    webex.listings["/workspaces"] = [workspace(number) for number in (1, 2, 3)]
    webex.listings["/devices"] = [device(number) for number in (1, 2, 3)]
    return webex


@pytest.fixture
def ingest_environment(estate: ScriptedWebex, event_hubs: EventHubsServer, tmp_path: Path) -> dict[str, str]:
    """The ingest's app settings, with its settings in a file."""
    city = {"name": "Lyon", "timeZone": "Europe/Paris", "webexLocations": ["Lyon Part-Dieu"], "rules": []}
    rhythm = {"pollSeconds": 10, "snapshotMinutes": 15, "metricRequestsPerPoll": 0, "metrics": []}
    settings = {**rhythm, **TIERS, "cities": {"lyon": city}}
    (tmp_path / "ingest.json").write_text(json.dumps(settings), encoding="utf-8")
    return {
        "WEBEX_API_BASE": estate.base,
        "WEBEX_ACCESS_TOKEN": "token",
        "INGEST_SETTINGS": str(tmp_path / "ingest.json"),
        "EVENT_HUBS": event_hubs.connection_string,
        "STATE_FOLDER": str(tmp_path / "state"),
        "POLL_SCHEDULE": "*/10 * * * * *",
    }


@pytest.fixture
def ingest(interpreter: Interpreter, ingest_environment: dict[str, str], packages: Path) -> Iterator[Worker]:
    """The worker on the ingest's package, indexed."""
    with working(interpreter, unpacked("ingest", packages), ingest_environment) as worker:
        assert worker.index().fault is None
        yield worker


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook."""
    with serving(Receiver()) as kept:
        yield kept


@pytest.fixture
def fan_out_environment(receiver: Receiver, tmp_path: Path) -> dict[str, str]:
    """The fan-out's app settings, with its settings in a file: every city tells the receiver."""
    hours = {"days": ["mon"], "from": "08:00", "to": "18:00"}
    city = {"name": "Any", "timeZone": "UTC", "officeHours": hours, "channels": [{"type": "webhook", "url": receiver.url}]}
    (tmp_path / "fanout.json").write_text(json.dumps({"rules": RULES, "cities": {"*": city}}), encoding="utf-8")
    return {
        "FANOUT_SETTINGS": str(tmp_path / "fanout.json"),
        "STATE_FOLDER": str(tmp_path / "state"),
        "TEND_SCHEDULE": "*/2 * * * * *",
        "ALERTS_HUB": "alerts",
        "ALERTS_GROUP": "fanout",
    }


@pytest.fixture
def fan_out(interpreter: Interpreter, fan_out_environment: dict[str, str], packages: Path) -> Iterator[Worker]:
    """The worker on the fan-out's package, indexed."""
    with working(interpreter, unpacked("alert_fanout", packages), fan_out_environment) as worker:
        assert worker.index().fault is None
        yield worker


def told_after(worker: Worker, receiver: Receiver, count: int) -> list[str]:
    """The titles told once the timer has run until there are so many: what is held is told two seconds later."""
    for _ in range(40):
        if len(receiver.got) >= count:
            break
        assert worker.call("tend", {"timer": timer()}).fault is None
        worker.pause(0.1)
    return receiver.titles()


@pytest.mark.parametrize("processor", ["ingest", "alert_fanout"])
def test_the_health_probe_tells_the_content_whatever_else_is_missing(
    processor: str, interpreter: Interpreter, packages: Path
) -> None:
    with working(interpreter, unpacked(processor, packages), {}) as worker:
        assert worker.index().fault is None
        answer = worker.call("health", {"req": request("GET", "https://app.example/api/health")})
        failed = worker.call("poll" if processor == "ingest" else "tend", {"timer": timer()}).fault or ""
    assert answer.fault is None and answer.http is not None
    assert json.loads(answer.http["body"]) == {"sha256": PackageContent(processor).sha256}
    assert (answer.http["status"], answer.http["headers"]["content-type"]) == ("200", "application/json")
    missing = {"ingest": ("INGEST_SETTINGS", "WEBEX_ACCESS_TOKEN", "EVENT_HUBS"), "alert_fanout": ("FANOUT_SETTINGS",)}[processor]
    assert failed.startswith("EnvironmentFault: ") and all(variable in failed for variable in (*missing, "STATE_FOLDER"))


def test_the_ingest_is_found_and_polls_on_time_and_past_due(ingest: Worker, event_hubs: EventHubsServer) -> None:
    assert set(ingest.functions) == {"poll", "health"}
    (binding,) = ingest.functions["poll"]["bindings"]
    assert (binding["type"], binding["name"], binding["schedule"]) == ("timerTrigger", "timer", "%POLL_SCHEDULE%")
    for past_due, observations in ((False, 3 + 2), (True, 3 + 2 + 2)):
        assert ingest.call("poll", {"timer": timer(past_due=past_due)}).fault is None
        read = events_in(event_hubs.connection_string, "observations", observations)
    entities = [json.loads(event.body)["data"]["entity"] for event in read]
    assert {entity: entities.count(entity) for entity in set(entities)} == {"device": 3, "location": 2, "city": 2}


def test_a_poll_that_raises_fails_with_its_cause_and_the_next_ones_poll_one_after_another(
    ingest: Worker, event_hubs: EventHubsServer, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    failed = ingest.call("poll", {"timer": timer()})
    assert failed.fault is not None and failed.fault.startswith("StateError: ") and str(tmp_path / "state") in failed.fault
    (tmp_path / "state").unlink()
    calls = [ingest.begin("poll", {"timer": timer()}) for _ in range(20)]
    assert [call.result(60).fault for call in calls] == [None] * 20
    read = events_in(event_hubs.connection_string, "observations", 3 + 20 * 2)
    devices = [event for event in read if json.loads(event.body)["data"]["entity"] == "device"]
    assert len(devices) == 3, "each poll begins with what the one before has acknowledged"


def test_the_fan_out_is_found_and_tells_a_batch_in_whatever_form_the_host_gives_it(fan_out: Worker, receiver: Receiver) -> None:
    assert set(fan_out.functions) == {"deliver", "tend", "incidents", "hooks", "health"}
    (binding,) = fan_out.functions["deliver"]["bindings"]
    assert (binding["type"], binding["cardinality"], binding["eventHubName"]) == ("eventHubTrigger", "MANY", "%ALERTS_HUB%")
    assert fan_out.functions["deliver"]["retry"] == {
        "max_retry_count": "-1",
        "retry_strategy": "exponential_backoff",
        "minimum_interval": "0:00:02",
        "maximum_interval": "0:01:00",
    }
    for number, kind in enumerate(("collection_bytes", "collection_string", "json")):
        inputs, metadata = events(kind, body(alert_row(2 * number)), body(alert_row(2 * number + 1, name=f"Salle Été {number}")))
        assert fan_out.call("deliver", {"events": inputs}, metadata).fault is None, kind
    titles = told_after(fan_out, receiver, 6)
    assert len(titles) == 6 and all(sum(f"Salle Été {number}" in title for title in titles) == 1 for number in range(3))


def test_rubbish_beside_an_alert_costs_the_alert_nothing(fan_out: Worker, receiver: Receiver) -> None:
    for number, kind in enumerate(("collection_bytes", "collection_string")):
        inputs, metadata = events(kind, *RUBBISH, body(alert_row(number)))
        answer = fan_out.call("deliver", {"events": inputs}, metadata)
        assert answer.fault is None, kind
        warnings = [line for line in answer.logs if line["message"].startswith("a line is not an alert")]
        assert [line["level"] for line in warnings].count("WARNING") >= 4, kind
    assert len(told_after(fan_out, receiver, 2)) == 2


def test_a_batch_that_could_not_be_written_down_fails_and_comes_again(
    fan_out: Worker, receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    inputs, metadata = events("collection_bytes", body(alert_row(1)))
    failed = fan_out.call("deliver", {"events": inputs}, metadata)
    assert failed.fault is not None and failed.fault.startswith("StateError: ")
    (tmp_path / "state").unlink()
    assert fan_out.call("deliver", {"events": inputs}, metadata).fault is None
    assert len(told_after(fan_out, receiver, 1)) == 1


EMPTY = {"collection_bytes": [], "collection_string": [], "json": "[]"}


@pytest.mark.parametrize("kind", EMPTY)
def test_a_batch_of_nothing_is_nothing(fan_out: Worker, receiver: Receiver, kind: str) -> None:
    assert fan_out.call("deliver", {"events": {kind: EMPTY[kind]}}, events("collection_bytes")[1]).fault is None
    assert receiver.attempts == 0


@pytest.mark.parametrize("kind", ["collection_bytes", "collection_string"])
def test_an_event_of_a_megabyte_is_read_to_its_last_line(fan_out: Worker, receiver: Receiver, kind: str) -> None:
    rubbish = b"\n".join([b'{"alertId": "' + b"\xc3\xa9\xff" * 300 + b'"}'] * 1100)
    inputs, metadata = events(kind, rubbish + b"\r\n" + body(alert_row(1)), body(alert_row(2)))
    assert len(rubbish) > 900_000
    assert fan_out.call("deliver", {"events": inputs}, metadata).fault is None
    assert len(told_after(fan_out, receiver, 2)) == 2


def test_properties_that_are_no_text_cost_no_alert(fan_out: Worker, receiver: Receiver) -> None:
    """As a sender of another kind may set them; the host gives bytes as numbers."""
    inputs, _ = events("collection_bytes", body(alert_row(1)), body(alert_row(2)))
    system = [{"SequenceNumber": 0, "PartitionKey": "🏔"}, {"SequenceNumber": 1, "PartitionKey": None, "Offset": None}]
    own = [{"raw": [255, 0, 128]}, {"": None, "nested": {"raw": "\u0000"}}]
    metadata = {"SystemPropertiesArray": {"json": json.dumps(system)}, "PropertiesArray": {"json": json.dumps(own)}}
    answer = fan_out.call("deliver", {"events": inputs}, metadata)
    assert (answer.fault, len(told_after(fan_out, receiver, 2))) == (None, 2)


TIMERS = {
    "no status": {"Schedule": {"AdjustForDST": True}, "IsPastDue": False},
    "a status of null": {"Schedule": {}, "ScheduleStatus": None, "IsPastDue": True},
    "nothing": {},
}


@pytest.mark.parametrize("said", TIMERS)
def test_a_timer_whose_schedule_is_not_known_runs(fan_out: Worker, said: str) -> None:
    assert fan_out.call("tend", {"timer": {"json": json.dumps(TIMERS[said])}}).fault is None


def test_two_hosts_that_are_given_the_same_batch_at_once_notify_once(
    fan_out: Worker, interpreter: Interpreter, fan_out_environment: dict[str, str], receiver: Receiver, packages: Path
) -> None:
    inputs, metadata = events("collection_bytes", *(body(alert_row(number)) for number in range(5)))
    other = fan_out_environment | {"WEBSITE_INSTANCE_ID": "another"}
    with working(interpreter, unpacked("alert_fanout", packages), other) as second:
        assert second.index().fault is None
        calls = [host.begin("deliver", {"events": inputs}, metadata) for host in (fan_out, second) for _ in range(3)]
        assert [call.result(60).fault for call in calls] == [None] * 6
        told_after(second, receiver, 5)
        assert len(told_after(fan_out, receiver, 5)) == 5
    assert receiver.attempts == 5


HOOK_BODIES = [b"", b"\xff\xfe", b"null", b"[" * 100_000, b'{"event": ' + b"1" * 1_000_000 + b"}"]


@pytest.mark.parametrize("service", ["pagerduty", "servicenow", "control-hub", "nobody", "%00"])
def test_a_hook_refuses_whatever_has_no_signature(fan_out: Worker, service: str) -> None:
    for sent in HOOK_BODIES:
        asked = request("POST", f"https://app.example/hooks/{service}")
        asked["http"] |= {"params": {"service": service}, "body": base64.b64encode(sent).decode()}
        answer = fan_out.call("hooks", {"req": asked})
        assert answer.fault is None and answer.http is not None
        assert answer.http["status"] in ("401", "404"), (sent[:20], answer.http)


class TestTheLog:
    """What the log says on Azure: a line's fields arrive with it."""

    @pytest.fixture
    def insights(self, tmp_path: Path) -> Iterator[ApplicationInsights]:
        """Application Insights, and the managed identity that gets in."""
        with ingesting(tmp_path) as endpoint:
            yield endpoint

    def test_a_refused_request_arrives_with_city_status_and_tracking_id(
        self,
        interpreter: Interpreter,
        ingest_environment: dict[str, str],
        insights: ApplicationInsights,
        estate: ScriptedWebex,
        packages: Path,
    ) -> None:
        estate.always["/devices"] = error(403)
        with working(interpreter, unpacked("ingest", packages), ingest_environment | insights.environment) as worker:
            assert worker.index().capabilities["WorkerOpenTelemetryEnabled"] == "true"
            assert worker.call("poll", {"timer": timer()}).fault is None
            row = insights.trace("Webex answered with an error")
        assert row["Properties"].items() >= {"trackingId": TRACKING_ID, "status": "403"}.items()
        assert (row["SeverityLevel"], row["AppRoleName"]) == (WARNING, "roompulse-ingest")
        assert not insights.refused

    def test_rubbish_in_the_hub_arrives_with_its_reason_and_a_failed_channel_with_its_incident(
        self,
        interpreter: Interpreter,
        fan_out_environment: dict[str, str],
        insights: ApplicationInsights,
        receiver: Receiver,
        packages: Path,
    ) -> None:
        receiver.always = 400
        with working(interpreter, unpacked("alert_fanout", packages), fan_out_environment | insights.environment) as worker:
            worker.index()
            inputs, metadata = events("collection_bytes", b"not json", body(alert_row(1)))
            assert worker.call("deliver", {"events": inputs}, metadata).fault is None
            rubbish = insights.trace("a line is not an alert")
            for _ in range(40):
                if receiver.attempts:
                    break
                worker.call("tend", {"timer": timer()})
                worker.pause(0.1)
            failed = insights.trace("a channel failed")
        assert rubbish["Properties"]["record"] == "not json" and rubbish["Properties"]["reason"]
        assert failed["SeverityLevel"] == ERROR and failed["Properties"]["incident"] and "400" in failed["Properties"]["fault"]
        assert "secret-token" not in json.dumps(insights.envelopes), "no secret of an address leaves with a line"


BAD_APPS = {
    "a route whose parameter is not req": (
        "processors/deployed_content.py",
        ("def health(req:", "def health(request:"),
        "the following parameters are declared in Python but not in the function definition",
    ),
    "a batch annotated with list": (
        "processors/alert_fanout/function_app.py",
        ("events: List[func.EventHubEvent]", "events: list[func.EventHubEvent]"),
        "binding events has invalid non-type annotation",
    ),
}


@pytest.mark.parametrize("name", BAD_APPS)
def test_the_judge_sees(name: str, interpreter: Interpreter, packages: Path, tmp_path: Path) -> None:
    """What both apps were once deployed with, found by nothing else: no function is indexed at all."""
    path, (good, bad), fault = BAD_APPS[name]
    app = tmp_path / "app"
    shutil.copytree(unpacked("alert_fanout", packages), app, copy_function=os.link)  # the wheels, and what of them is compiled
    source = app / path
    text = source.read_text(encoding="utf-8")
    assert good in text
    source.unlink()  # the text of the link alone, not of what it is linked to
    source.write_text(text.replace(good, bad), encoding="utf-8")
    with working(interpreter, app, {}) as worker:
        answer = worker.index()
    assert answer.fault is not None and fault in answer.fault and not answer.functions
