"""AMQP 1.0 types on the wire: what a broker needs of part 1 of the OASIS standard, decoding and encoding.

It serves performatives, requests and replies, and proves what surrounds an event's body, which is never decoded (`message.py`).
"""

from __future__ import annotations

import struct
import uuid
from typing import Any, NamedTuple

UINT32 = struct.Struct(">I")
UINT64 = struct.Struct(">Q")
_INT32 = struct.Struct(">i")
_INT64 = struct.Struct(">q")
_FLOAT = struct.Struct(">f")
_DOUBLE = struct.Struct(">d")
_SIZE_AND_COUNT = struct.Struct(">II")
_MAX_DEPTH = 32

Buffer = bytes | memoryview


class AmqpError(Exception):
    """Bytes that are not AMQP."""


class Symbol(str):
    """A name from a fixed vocabulary: text to Python, a type of its own on the wire."""


class Described(NamedTuple):
    """A value with a descriptor that says what it means."""

    descriptor: Any
    value: Any


def decode(data: Buffer, start: int = 0) -> tuple[Any, int]:
    """The value that begins at `start` and the index after it; raises AmqpError."""
    try:
        return _decode(data, start, 0)
    except (IndexError, struct.error, UnicodeDecodeError, ValueError, TypeError) as fault:
        raise AmqpError(f"malformed value at byte {start}: {fault}") from fault


_FIXED: dict[int, struct.Struct] = {
    0x51: struct.Struct(">b"), 0x54: struct.Struct(">b"), 0x55: struct.Struct(">b"),
    0x50: struct.Struct(">B"), 0x52: struct.Struct(">B"), 0x53: struct.Struct(">B"),
    0x60: struct.Struct(">H"), 0x61: struct.Struct(">h"),
    0x70: UINT32, 0x71: _INT32, 0x72: _FLOAT, 0x73: UINT32,
    0x80: UINT64, 0x81: _INT64, 0x82: _DOUBLE, 0x83: _INT64,
}  # fmt: skip
_CONSTANTS: dict[int, Any] = {0x40: None, 0x41: True, 0x42: False, 0x43: 0, 0x44: 0}


def _decode(data: Buffer, at: int, depth: int) -> tuple[Any, int]:
    return _value(data[at], data, at + 1, depth)


def _value(code: int, data: Buffer, at: int, depth: int) -> tuple[Any, int]:
    """The value of type `code` whose bytes begin at `at`: in an array the type stands elsewhere."""
    if code in _CONSTANTS:
        return _CONSTANTS[code], at
    layout = _FIXED.get(code)
    if layout is not None:
        return layout.unpack_from(data, at)[0], at + layout.size
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deep")
    if code == 0x00:
        descriptor, at = _decode(data, at, depth + 1)
        value, at = _decode(data, at, depth + 1)
        return Described(descriptor, value), at
    if code == 0x45:
        return [], at
    if code == 0x56:
        if data[at] > 1:
            raise ValueError(f"a boolean of {data[at]}")
        return data[at] == 1, at + 1
    if code == 0x98:
        return uuid.UUID(bytes=bytes(data[at : at + 16])), at + 16
    if code >> 4 in (0xA, 0xB):
        return _variable(data, at, code)
    if code >> 4 in (0xC, 0xD, 0xE, 0xF):
        return _compound(data, at, code, depth + 1)
    raise ValueError(f"unknown type 0x{code:02x}")


def _variable(data: Buffer, at: int, code: int) -> tuple[Any, int]:
    if code >> 4 == 0xA:
        length, at = data[at], at + 1
    else:
        length, at = UINT32.unpack_from(data, at)[0], at + 4
    end = at + length
    if end > len(data):
        raise ValueError("runs past the end")
    raw = bytes(data[at:end])
    kind = code & 0x0F
    if kind == 0x0:
        return raw, end
    if kind == 0x1:
        return raw.decode("utf-8"), end
    if kind == 0x3:
        return Symbol(raw.decode("ascii")), end
    raise ValueError(f"unknown type 0x{code:02x}")


def _compound(data: Buffer, at: int, code: int, depth: int) -> tuple[Any, int]:
    if code >> 4 in (0xC, 0xE):
        size, count, end, at = data[at], data[at + 1], at + 1 + data[at], at + 2
    else:
        size, count = _SIZE_AND_COUNT.unpack_from(data, at)
        end, at = at + 4 + size, at + 8
    if end > len(data):
        raise ValueError("runs past the end")
    if count > end - at:
        raise ValueError("more items than bytes")
    if code in (0xE0, 0xF0):
        items, at = _array(data, at, count, depth)
    elif code in (0xC0, 0xC1, 0xD0, 0xD1):
        items = []
        for _ in range(count):
            item, at = _decode(data, at, depth)
            items.append(item)
    else:
        raise ValueError(f"unknown type 0x{code:02x}")
    if at != end:
        raise ValueError(f"items of {size} bytes that end {abs(end - at)} bytes too {'early' if at < end else 'late'}")
    if code & 0x0F == 0x1:
        return dict(zip(items[::2], items[1::2], strict=True)), end
    return items, end


def _array(data: Buffer, at: int, count: int, depth: int) -> tuple[list[Any], int]:
    """The items of an array, whose type stands once before them."""
    code, descriptor = data[at], None
    at += 1
    if described := code == 0x00:
        descriptor, at = _decode(data, at, depth)
        code = data[at]
        at += 1
        if code == 0x00:
            raise ValueError("an array of values described twice")
    items = []
    for _ in range(count):
        item, at = _value(code, data, at, depth)
        items.append(Described(descriptor, item) if described else item)
    return items, at


NULL, TRUE, FALSE = b"\x40", b"\x41", b"\x42"
EMPTY_LIST = b"\x45"


def text(value: str) -> bytes:
    """A string."""
    raw = value.encode("utf-8")
    return (b"\xa1" + bytes((len(raw),)) if len(raw) < 256 else b"\xb1" + UINT32.pack(len(raw))) + raw


def symbol(value: str) -> bytes:
    """A symbol of at most 255 ASCII characters."""
    raw = value.encode("ascii")
    return b"\xa3" + bytes((len(raw),)) + raw


def binary(value: bytes) -> bytes:
    """Bytes."""
    return (b"\xa0" + bytes((len(value),)) if len(value) < 256 else b"\xb0" + UINT32.pack(len(value))) + value


def ubyte(value: int) -> bytes:
    """An unsigned 8-bit number."""
    return b"\x50" + bytes((value,))


def ushort(value: int) -> bytes:
    """An unsigned 16-bit number."""
    return b"\x60" + value.to_bytes(2, "big")


def uint(value: int) -> bytes:
    """An unsigned 32-bit number."""
    return b"\x70" + UINT32.pack(value)


def ulong(value: int) -> bytes:
    """An unsigned 64-bit number."""
    return b"\x80" + UINT64.pack(value)


def int32(value: int) -> bytes:
    """A signed 32-bit number."""
    return b"\x71" + _INT32.pack(value)


def long(value: int) -> bytes:
    """A signed 64-bit number."""
    return b"\x81" + _INT64.pack(value)


def timestamp(milliseconds: int) -> bytes:
    """A moment: milliseconds since the Unix epoch."""
    return b"\x83" + _INT64.pack(milliseconds)


def boolean(value: bool) -> bytes:
    """True or false."""
    return TRUE if value else FALSE


def list_of(*items: bytes) -> bytes:
    """A list of encoded items."""
    body = b"".join(items)
    return b"\xd0" + _SIZE_AND_COUNT.pack(len(body) + 4, len(items)) + body


def map_of(*keys_and_values: bytes) -> bytes:
    """A map of encoded keys and values, alternating."""
    body = b"".join(keys_and_values)
    return b"\xd1" + _SIZE_AND_COUNT.pack(len(body) + 4, len(keys_and_values)) + body


def array_of_text(values: list[str]) -> bytes:
    """An array of strings."""
    return _array_of(b"\xb1", values)


def array_of_symbols(values: list[str]) -> bytes:
    """An array of symbols."""
    return _array_of(b"\xb3", values)


def _array_of(constructor: bytes, values: list[str]) -> bytes:
    encoded = [value.encode("utf-8") for value in values]
    body = constructor + b"".join(UINT32.pack(len(raw)) + raw for raw in encoded)
    return b"\xf0" + _SIZE_AND_COUNT.pack(len(body) + 4, len(values)) + body


def described(code: int, value: bytes) -> bytes:
    """An encoded value under one of the standard's numeric descriptors (below 256)."""
    return b"\x00\x53" + bytes((code,)) + value


def encode(value: Any) -> bytes:
    """Encode a value that `decode` gave: to echo sources, targets, filters and message ids."""
    if value is None:
        return NULL
    if isinstance(value, bool):
        return boolean(value)
    if isinstance(value, Symbol):
        return symbol(value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bytes):
        return binary(value)
    if isinstance(value, uuid.UUID):
        return b"\x98" + value.bytes
    if isinstance(value, int):
        return ulong(value) if value >= 0 else long(value)
    if isinstance(value, float):
        return b"\x82" + _DOUBLE.pack(value)
    if isinstance(value, Described):
        return b"\x00" + encode(value.descriptor) + encode(value.value)
    if isinstance(value, dict):
        return map_of(*(encode(item) for pair in value.items() for item in pair))
    return list_of(*(encode(item) for item in value))
