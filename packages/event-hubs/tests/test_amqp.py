"""The AMQP type system: what is encoded is decoded again, and nothing else gets through unnoticed."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_hubs_local import amqp
from event_hubs_local.amqp import AmqpError, Described, Symbol, decode, encode

simple = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=300)
    | st.binary(max_size=300)
    | st.uuids()
    | st.text("abcdefghijklmnopqrstuvwxyz:-.", min_size=1, max_size=100).map(Symbol)
)
values = st.recursive(
    simple,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(max_size=20), inner, max_size=5)
        | st.builds(Described, st.integers(0, 2**63), inner)
    ),
    max_leaves=15,
)


@settings(deadline=None)
@given(values)
def test_whatever_is_encoded_is_decoded_to_the_same(value: Any) -> None:
    encoded = encode(value)
    decoded, end = decode(encoded)
    assert (decoded, end) == (value, len(encoded))
    assert type(decoded) is type(value)


@settings(deadline=None)
@given(values, st.data())
def test_a_value_that_is_cut_short_is_an_error(value: Any, data: st.DataObject) -> None:
    encoded = encode(value)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(AmqpError):
        decode(encoded[:cut])


@settings(deadline=None)
@given(st.binary(max_size=64))
def test_any_bytes_are_a_value_or_an_error(data: bytes) -> None:
    try:
        _, end = decode(data)
    except AmqpError:
        return
    assert end > 0


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        (b"\x43", 0),
        (b"\x44", 0),
        (b"\x45", []),
        (b"\x50\xff", 255),
        (b"\x51\xff", -1),
        (b"\x52\x07", 7),
        (b"\x53\x70", 0x70),
        (b"\x54\x80", -128),
        (b"\x55\x01", 1),
        (b"\x56\x01", True),
        (b"\x56\x00", False),
        (b"\x60\x01\x00", 256),
        (b"\x61\xff\xff", -1),
        (b"\x71\xff\xff\xff\xfe", -2),
        (b"\x81\xff\xff\xff\xff\xff\xff\xff\xfd", -3),
        (b"\x83\x00\x00\x00\x00\x00\x00\x00\x05", 5),
        (b"\x98" + uuid.UUID(int=5).bytes, uuid.UUID(int=5)),
        (b"\xa1\x02\xc3\xa9", "é"),
        (b"\xc0\x03\x02\x50\x01", AmqpError),
        (b"\xc0\x04\x02\x50\x01\x41", [1, True]),
        (b"\xc1\x05\x02\xa1\x01a\x41", {"a": True}),
        (b"\xe0\x04\x02\x50\x01\x02", [1, 2]),
        (b"\xe0\x03\x02\x50\x01", AmqpError),
        (b"\xe0\x06\x02\x00\x53\x10\x50\x01\x02", AmqpError),
        (b"\xe0\x07\x02\x00\x53\x10\x50\x01\x02", [Described(0x10, 1), Described(0x10, 2)]),
        (b"\xe0\x07\x01\x00\x53\x10\x00\x53\x11\x41", AmqpError),
        (b"\xf0\x00\x00\x00\x08\x00\x00\x00\x03\xa1\x01a\x00", AmqpError),
        (b"\xc0\x05\x02\x50\x01\x41\x41", AmqpError),
        (b"\x56\x02", AmqpError),
        (b"\xa2\x01a", AmqpError),
        (b"\xc2\x01\x00", AmqpError),
        (b"\x00\x53\x10\x45", Described(0x10, [])),
    ],
)
def test_compact_encodings_of_other_clients_are_understood(encoded: bytes, value: Any) -> None:
    if value is AmqpError:
        with pytest.raises(AmqpError):
            decode(encoded)
    else:
        assert decode(encoded)[0] == value


def test_nesting_without_end_is_an_error_not_a_crash() -> None:
    with pytest.raises(AmqpError, match="nested too deep"):
        decode(b"\x00" * 10_000)


def test_arrays_are_read_item_by_item() -> None:
    assert decode(amqp.array_of_text(["a", "bb", ""]))[0] == ["a", "bb", ""]
    assert decode(amqp.array_of_symbols(["x", "yy"]))[0] == [Symbol("x"), Symbol("yy")]


def test_a_long_array_takes_time_by_its_length_and_not_by_the_square_of_it() -> None:
    """400,000 one-byte items: copying the rest for each of them would move 80 GB."""
    count = 400_000
    encoded = b"\xf0" + amqp.UINT32.pack(count + 5) + amqp.UINT32.pack(count) + b"\x50" + b"\x07" * count
    began = time.process_time()
    assert decode(encoded)[0] == [7] * count
    assert time.process_time() - began < 3
