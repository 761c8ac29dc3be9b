"""Events: canonical, with ids that depend on nothing but the content."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from processors.ingest.cloud_events import OBSERVATION_TYPE, sealed
from tests.processors.ingest.conftest import KeptEvents, MakePoller
from tests.support.scripted_webex import ScriptedWebex, device

texts = st.text(st.characters(exclude_categories=["Cs"]))
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
datas = st.dictionaries(texts, texts | numbers | st.lists(texts) | st.booleans())
TIME = "2026-11-24T10:00:00.000Z"


@given(datas, texts)
def test_the_id_is_the_hash_of_the_canonical_content(data: dict[str, str | float | list[str] | bool], subject: str) -> None:
    body = json.loads(sealed(OBSERVATION_TYPE, subject, TIME, data).body)
    canonical = json.dumps({"type": OBSERVATION_TYPE, "time": TIME, "data": data}, sort_keys=True, separators=(",", ":"))
    assert body["id"] == hashlib.sha256(canonical.encode()).hexdigest()[:32]
    assert (body["data"], body["subject"], body["time"], body["type"]) == (data, subject, TIME, OBSERVATION_TYPE)


@given(datas)
def test_the_order_of_fields_does_not_matter(data: dict[str, str | float | list[str] | bool]) -> None:
    shuffled = dict(reversed(data.items()))
    assert sealed(OBSERVATION_TYPE, "a", TIME, data) == sealed(OBSERVATION_TYPE, "a", TIME, shuffled)


def test_another_time_is_another_event() -> None:
    ids = {json.loads(sealed(OBSERVATION_TYPE, "a", time, {"x": 1}).body)["id"] for time in (TIME, "2026-11-24T10:00:10.000Z")}
    assert len(ids) == 2


class TestTheCloudEventsSdk:
    """Our events as the CloudEvents project's own SDK reads them."""

    @given(datas, texts.filter(bool))
    def test_it_reads_every_attribute_as_we_meant_it(self, data: dict[str, str | float | list[str] | bool], subject: str) -> None:
        event = JSONFormat().read(CloudEvent, sealed(OBSERVATION_TYPE, subject, TIME, data).body)
        assert (event.get_type(), event.get_subject()) == (OBSERVATION_TYPE, subject)
        assert event.get_time() == datetime(2026, 11, 24, 10, tzinfo=UTC)
        assert event.get_data() == data and event.get_id() and event.get_source()

    def test_it_takes_everything_a_poll_sends(self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents) -> None:
        estate.listings["/devices"] += [device(9, displayName=""), {"displayName": "no id"}]
        make_poller(metric_requests=4).poll()
        sent = [event for hub in kept.events.values() for event in hub]
        assert {event["type"] for event in sent} == {OBSERVATION_TYPE, "roompulse.quarantined.v1"}
        for event in sent:
            JSONFormat().read(CloudEvent, json.dumps(event))
