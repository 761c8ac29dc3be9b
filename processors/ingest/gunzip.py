"""Unpacks gzip as it arrives, and never much more than is wanted: a small answer can unpack to more than there is memory."""

from __future__ import annotations

import zlib

_GZIP = 31
"""What zlib calls a window of the largest size with the header and end of gzip."""


class Unpacked:
    """One gzip body, which may have several members. zlib.error and EOFError are raised for one that is broken."""

    def __init__(self, limit: int) -> None:
        """`limit`: so many bytes and one more are unpacked in all; whoever gets more than `limit` should give up."""
        self._room = limit + 1
        self._member = zlib.decompressobj(_GZIP)

    def more(self, packed: bytes) -> bytes:
        """What a further portion unpacks to, as far as there is room."""
        found = b""
        while packed and self._room > 0:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)
            part = self._member.decompress(packed, self._room)
            self._room -= len(part)
            found += part
            packed = self._member.unused_data
        return found

    def end(self) -> None:
        """There are no further portions: raises EOFError when the last member is not whole."""
        if not self._member.eof:
            raise EOFError("the compressed answer ended before its end")
