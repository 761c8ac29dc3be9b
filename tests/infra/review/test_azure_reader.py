"""What a review reads from Azure, against a fake that answers as the documentation says."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from activator.history import Firings
from infra.review.azure_reader import AzureReader, AzureReadError, Place, place_of
from infra.review.deployed import declared_alerting, deployed_findings
from tests.infra.deployments import recording
from tests.infra.providers.fake_service import TOKEN, Answer
from tests.infra.review.fake_azure import FakeAzure, deployed_items
from tests.infra.review.worlds import NOW
from tests.support.kusto_checker import check_kql

PLACE = Place("sub", "rg-roompulse-contoso-prod", "log-roompulse", None, None)


@pytest.fixture
def azure() -> Iterator[FakeAzure]:
    service = FakeAzure(deployed_items(recording("prod")))
    yield service
    service.close()


def reader(azure: FakeAzure, live_store: bool = True) -> AzureReader:
    place = Place(PLACE.subscription, PLACE.resource_group, PLACE.workspace, azure.url if live_store else None, "roompulse")
    return AzureReader(place, lambda scope: f"{TOKEN} for {scope}", management=azure.url, logs=azure.url)


def test_what_was_just_deployed_differs_in_nothing(azure: FakeAzure) -> None:
    declared = declared_alerting(recording("prod"))
    assert list(deployed_findings(declared, reader(azure).deployed())) == []
    assert len(declared.resources) > 30, "lists of several pages were read"


def test_everything_is_looked_for_where_the_program_puts_it() -> None:
    place = place_of(recording("prod"), "sub")
    assert place.resource_group == "rg-roompulse-contoso-prod"
    assert place.live_store is not None
    assert place.live_store.endswith(".westeurope.kusto.windows.net")
    assert place.database == "roompulse"


def test_the_past_comes_from_the_live_store(azure: FakeAzure) -> None:
    azure.tables = {
        "CityMinute since": (("since",), [("2026-08-01T00:00:00Z",)]),
        "CityMinute": (("cityId", "signal", "lastSeen"), [("lyon", "offline", "2026-11-24T08:59:00Z")]),
        "Alerts": (
            ("cityId", "ruleId", "fired", "lastFired", "openSince"),
            [
                ("lyon", "device-offline", 3, "2026-11-20T10:00:00Z", None),
                ("paris", "x", 1, "2026-11-21T10:00:00Z", "2026-11-21"),
            ],
        ),
    }
    history = reader(azure).history(NOW)
    assert history.since == "2026-08-01T00:00:00Z"
    assert history.signals == {("lyon", "offline"): "2026-11-24T08:59:00Z"}
    assert history.firings[("lyon", "device-offline")] == Firings(3, "2026-11-20T10:00:00Z", None)
    assert history.firings[("paris", "x")].open_since == "2026-11-21"
    assert {request.json["db"] for request in azure.requests} == {"roompulse"}
    assert azure.requests[0].headers["Authorization"] == f"Bearer {TOKEN} for {azure.url}/.default"


def test_without_a_live_store_the_past_comes_from_the_logs(azure: FakeAzure) -> None:
    azure.tables = {
        "RoomAlerts_CL": (
            ("cityId", "ruleId", "fired", "lastFired", "openSince"),
            [("lyon", "site-outage", 2, "2026-11-20", None)],
        )
    }
    history = reader(azure, live_store=False).history(NOW)
    assert history.firings == {("lyon", "site-outage"): Firings(2, "2026-11-20", None)}
    assert history.signals is None, "the logs know nothing about signals, which is not the same as no data"
    assert "not(AlertId contains '|drill-')" in json.dumps([request.json for request in azure.requests])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(401, {}), "az login"),
        (Answer(403, {}), "Reader on resource group rg-roompulse-contoso-prod"),
        (Answer(404, {}), "is the stack deployed"),
        (Answer(500, "oh no"), "answered 500 .*: oh no"),
        (Answer(200, "<html>"), "not JSON"),
        (Answer(200, []), "not a JSON object"),
        (None, "can't be reached"),
    ],
)
def test_what_azure_would_not_tell_is_explained(azure: FakeAzure, answer: Answer | None, words: str) -> None:
    azure.fail("GET", "metricAlerts", answer)
    with pytest.raises(AzureReadError, match=words) as raised:
        reader(azure).deployed()
    assert TOKEN not in str(raised.value)


def test_a_list_that_continues_elsewhere_is_not_followed(azure: FakeAzure) -> None:
    azure.fail("GET", "actionGroups", Answer(200, {"value": [], "nextLink": "https://elsewhere.example.com/"}))
    with pytest.raises(AzureReadError, match="another host"):
        reader(azure).deployed()


@pytest.mark.kusto
def test_the_questions_are_kql_the_live_store_understands() -> None:
    from activator.history import QUERIES

    found = check_kql({path.stem: path.read_text(encoding="utf-8") for path in QUERIES.glob("*.kql")})
    assert found.faults == ()
    assert set(found.columns["fired"]) == {"cityId", "ruleId", "fired", "lastFired", "openSince"}
    assert set(found.columns["signals"]) == {"cityId", "signal", "lastSeen"}
    assert set(found.columns["since"]) == {"since"}
