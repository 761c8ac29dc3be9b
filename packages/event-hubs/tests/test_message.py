"""Messages are walked over, not decoded: batches split, keys found, the broker's annotations stamped."""

from __future__ import annotations

from typing import Any

import pytest
from azure.eventhub import EventData
from azure.eventhub._pyamqp._decode import decode_payload
from hypothesis import example, given, settings
from hypothesis import strategies as st

from event_hubs_local import amqp
from event_hubs_local.amqp import AmqpError, Symbol, decode, encode
from event_hubs_local.message import (
    ANNOTATIONS,
    APPLICATION_PROPERTIES,
    BATCH_FORMAT,
    DATA,
    HEADER,
    PROPERTIES,
    Event,
    bodies,
    parse_transfer,
    sections,
    with_delivery_annotations,
)

KEY = Symbol("x-opt-partition-key")


def message(body: bytes, annotations: dict[Any, Any] | None = None, *, header: bool = False) -> bytes:
    parts = [amqp.described(HEADER, amqp.list_of(amqp.TRUE))] if header else []
    if annotations is not None:
        parts.append(amqp.described(ANNOTATIONS, encode(annotations)))
    parts.append(amqp.described(PROPERTIES, encode([None, "id"])))
    return b"".join((*parts, amqp.described(DATA, amqp.binary(body))))


def batch(*messages: bytes, key: str | None = None) -> bytes:
    envelope = amqp.described(ANNOTATIONS, encode({KEY: key})) if key is not None else b""
    return envelope + b"".join(amqp.described(DATA, amqp.binary(inner)) for inner in messages)


def annotations_of(encoded: bytes) -> dict[Any, Any]:
    (section,) = [section for section in sections(encoded) if section.code == ANNOTATIONS]
    found: dict[Any, Any] = decode(encoded, section.value)[0]
    return found


@settings(deadline=None)
@given(st.binary(max_size=600), st.booleans(), st.dictionaries(st.text("abc", min_size=1).map(Symbol), st.text(max_size=9)))
def test_stamping_adds_place_and_time_and_keeps_everything_else(body: bytes, header: bool, own: dict[Any, Any]) -> None:
    (event,) = parse_transfer(message(body, own, header=header), None).events
    stamped = event.stamped(7, 4242, 1_700_000_000_123)
    assert bodies(stamped) == body
    place = {"x-opt-sequence-number": 7, "x-opt-offset": "4242", "x-opt-enqueued-time": 1_700_000_000_123}
    assert annotations_of(stamped) == {**own, **place}
    assert [section.code for section in sections(stamped)] == [*([HEADER] if header else []), ANNOTATIONS, PROPERTIES, DATA]


def test_a_message_without_annotations_gets_the_brokers() -> None:
    (event,) = parse_transfer(message(b"x"), None).events
    assert set(annotations_of(event.stamped(0, 0, 0))) == {"x-opt-sequence-number", "x-opt-offset", "x-opt-enqueued-time"}


def test_an_event_that_is_sent_on_does_not_keep_its_old_place() -> None:
    old = {Symbol("x-opt-sequence-number"): 99, Symbol("x-opt-offset"): "99", Symbol("mine"): 1}
    (event,) = parse_transfer(message(b"x", old), None).events
    found = annotations_of(event.stamped(1, 2, 3))
    assert (found["x-opt-sequence-number"], found["x-opt-offset"], found["mine"]) == (1, "2", 1)
    assert event.annotation_count == 2


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20))
def test_a_batch_is_split_into_its_events_in_order(contents: list[bytes]) -> None:
    transfer = parse_transfer(batch(*map(message, contents)), BATCH_FORMAT)
    assert [bodies(event.stamped(0, 0, 0)) for event in transfer.events] == contents
    assert transfer.partition_key is None


def test_the_key_of_a_batch_is_on_each_of_its_events_once() -> None:
    transfer = parse_transfer(batch(message(b"a"), message(b"b", {KEY: "room"}), key="room"), BATCH_FORMAT)
    assert transfer.partition_key == b"room"
    assert [annotations_of(event.stamped(0, 0, 0))[KEY] for event in transfer.events] == ["room", "room"]
    assert [event.annotation_count for event in transfer.events] == [2, 2]


def test_delivery_annotations_follow_the_header() -> None:
    codes = [section.code for section in sections(with_delivery_annotations(message(b"x", header=True), amqp.map_of()))]
    assert codes == [HEADER, 0x71, PROPERTIES, DATA]


@pytest.mark.parametrize(
    ("payload", "message_format"),
    [
        (b"", None),
        (b"", BATCH_FORMAT),
        (b"hello", None),
        (b"\x00\x53\x75\xa0\x10short", None),
        (b"\x00\x53\x75\xb0\xff\xff\xff\xff", None),
        (batch(b"no message"), BATCH_FORMAT),
        (amqp.described(DATA, amqp.text("text is no data")), BATCH_FORMAT),
        (amqp.described(ANNOTATIONS, amqp.text("no map")), None),
    ],
)
def test_what_is_no_message_is_an_error(payload: bytes, message_format: int | None) -> None:
    with pytest.raises(AmqpError):
        parse_transfer(payload, message_format)


@settings(deadline=None)
@given(st.binary(max_size=80), st.sampled_from([None, BATCH_FORMAT]))
def test_any_bytes_are_events_or_an_error(payload: bytes, message_format: int | None) -> None:
    try:
        events = parse_transfer(payload, message_format).events
    except AmqpError:
        return
    assert events


def read_by_python(event: Event) -> tuple[bytes, dict[Any, Any]]:
    """Body and properties as the Python client makes them of what the broker sends."""
    received = EventData._from_message(decode_payload(memoryview(event.stamped(7, 4242, 1_700_000_000_123))))
    assert (received.sequence_number, received.offset) == (7, "4242")
    return b"".join(received.body), received.properties


LYING = (
    b"\xd1\x00\x00\x00\x0b\x00\x00\x00\x02\xa1\x01a\xa1\x20short",  # text that claims more bytes than its map has
    b"\xc1\x06\x02\xa1\x01a\xa1\x02",  # the same, in the short encoding
    b"\xc1\x05\x04\xa1\x01a\x41",  # more items than there are
    b"\xc1\x05\x00\xa1\x01a\x41",  # fewer
    b"\xc1\x04\x01\xa1\x01a",  # a name without a value
    b"\xc1\x06\x02\xa1\x01a\xa1\x01\xff",  # text that is not UTF-8
    b"\xc1\x05\x02\xa1\x01a\x46",  # a type there is not
    b"\x45",  # a list
)


@pytest.mark.parametrize("properties", LYING, ids=bytes.hex)
@pytest.mark.parametrize("section", [ANNOTATIONS, APPLICATION_PROPERTIES])
def test_a_value_that_lies_about_its_size_is_refused_on_the_way_in(properties: bytes, section: int) -> None:
    lying = amqp.described(section, properties) + amqp.described(DATA, amqp.binary(b"body"))
    with pytest.raises(AmqpError):
        parse_transfer(lying, None)
    with pytest.raises(AmqpError):
        parse_transfer(batch(message(b"good"), lying), BATCH_FORMAT)


def test_more_properties_than_the_standard_knows_are_refused() -> None:
    """The Python client takes them by position and fails over the fourteenth."""
    for code, most in ((HEADER, 5), (PROPERTIES, 13)):
        body = amqp.described(DATA, amqp.binary(b""))
        parse_transfer(amqp.described(code, amqp.list_of(*[amqp.NULL] * most)) + body, None)
        with pytest.raises(AmqpError, match=f"not a list of {most} fields"):
            parse_transfer(amqp.described(code, amqp.list_of(*[amqp.NULL] * (most + 1))) + body, None)


def test_a_section_named_in_the_long_form_is_read_by_clients_that_know_the_short_one() -> None:
    long = b"\x00\x80" + amqp.UINT64.pack(APPLICATION_PROPERTIES) + encode({"Table": "Alerts"})
    body = b"\x00\x80" + amqp.UINT64.pack(DATA) + amqp.binary(b"body")
    (event,) = parse_transfer(long + body, None).events
    assert read_by_python(event) == (b"body", {b"Table": b"Alerts"})


WHOLE = (
    amqp.described(HEADER, amqp.list_of(amqp.TRUE))
    + amqp.described(ANNOTATIONS, encode({KEY: "room", Symbol("list"): [1, "two", {"three": b"3"}]}))
    + amqp.described(PROPERTIES, encode(["id", b"user", "to"]))
    + amqp.described(APPLICATION_PROPERTIES, encode({"Table": "Alerts", "number": 5, "text": "ünï", "none": None}))
    + amqp.described(DATA, amqp.binary(b"body"))
)


@settings(deadline=None, max_examples=400)
@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=4))
@example(0, b"\x00")
def test_whatever_is_taken_can_be_read_by_the_python_client(at: int, wrong: bytes) -> None:
    """A whole message with some of its bytes replaced: it is refused, or the client reads it."""
    try:
        (event,) = parse_transfer(WHOLE[:at] + wrong + WHOLE[at + len(wrong) :], None).events
    except AmqpError:
        return
    read_by_python(event)
