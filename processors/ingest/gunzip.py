"""Unpacks gzip and deflate as they arrive, and never much more than is wanted: a little can unpack to more than fits memory."""

from __future__ import annotations

import zlib

PACKED_BY = ("gzip", "x-gzip", "deflate")
"""What HTTP calls it."""
_EITHER = 47
"""What zlib calls a window of the largest size with the header and end of gzip or of zlib, whichever comes."""


class Unpacked:
    """One packed body, which may have several members. zlib.error and EOFError are raised for one that is broken."""

    def __init__(self, limit: int) -> None:
        """`limit`: so many bytes and one more are unpacked in all; whoever gets more than `limit` should give up."""
        self._room = limit + 1
        self._member = zlib.decompressobj(_EITHER)

    def more(self, packed: bytes) -> bytes:
        """What a further portion unpacks to, as far as there is room."""
        found = b""
        while packed and self._room > 0:
            if self._member.eof:
                self._member = zlib.decompressobj(_EITHER)
            part = self._member.decompress(packed, self._room)
            self._room -= len(part)
            found += part
            packed = self._member.unused_data
        return found

    def end(self) -> None:
        """There are no further portions: raises EOFError when the last member is not whole."""
        if not self._member.eof:
            raise EOFError("the compressed answer ended before its end")
