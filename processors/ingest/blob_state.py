"""The state in a blob: read when the turn is taken, written at the end of every poll, under a lease that one instance holds.

The blob is gzipped JSON lines: one that names format and version, one with the names of the records' fields, then a line per
record. It is written once a poll and whole, so an instance that dies in a poll leaves what the poll before it left. What that
poll had sent already is not in it: whoever reads the blob takes the state as doubtful and sends every device once, under the same
ids where it is the same.
"""

from __future__ import annotations

import gzip
import io
import json
import logging
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from processors.azure_blobs import Blob, BlobChanged, BlobContainer, BlobError, Lease, LeaseLost
from processors.ingest.state import Change, IngestState, StateError, StateUnavailable, TurnLost
from processors.ingest.state_records import Records
from processors.timestamps import format_time, parse_time

STATE_BLOB = "ingest-state.jsonl.gz"
CONSENT_BLOB = "ingest-accepted.json"
"""What a person has accepted: a blob of its own, because the state's is leased."""
_FORMAT, _VERSION = "roompulse ingest state", 1
"""The version stays while an older release can read what is written: it keeps the fields and records that it does not know."""
_NAMES = "end"
"""The kind of the line with the names: the release from before there were any skips such a line, so it can be gone back to."""
_MARK = "mark"
_COMPRESSION = 1
"""The fastest: a higher level makes the blob of 100,000 devices smaller by a fiftieth."""
_LINES_AT_ONCE = 500

log = logging.getLogger("roompulse.ingest.state")


class BlobState(IngestState):
    """The state in a blob of a container. The instance that holds the lease has the turn; an instance that dies loses it after
    60 s at the latest."""

    def __init__(self, container: BlobContainer) -> None:
        super().__init__()
        self._container = container
        self._lease: Lease | None = None
        self._etag: str | None = None
        self._dirty = False
        self._records = Records()
        self._strange: list[list[Any]] = []
        """Records of kinds that this release does not know."""

    def begin(self) -> bool:
        """See IngestState.begin."""
        if self._lease is not None and self._lease.held:
            return True
        try:
            return self._take_turn()
        except BlobError as fault:
            raise StateUnavailable(f"{fault} The state is in the container that STATE_BLOB_URL names.") from fault

    def finish(self) -> None:
        """See IngestState.finish."""
        if not self._dirty:
            return
        try:
            content = b"".join(_document(self, self._records, self._strange))
            self._etag = self._container.write(STATE_BLOB, content, self._etag, self._lease)
        except (BlobChanged, LeaseLost) as fault:
            raise self._lost(str(fault)) from fault
        except BlobError as fault:
            raise StateUnavailable(f"{fault} What was not remembered is sent again.") from fault
        self._dirty = False

    def consents(self) -> Mapping[str, str]:
        """See IngestState.consents."""
        try:
            return consents_in(self._container)
        except BlobError as fault:
            raise StateUnavailable(f"{fault} It is what roompulse ingest accept writes.") from fault

    def close(self) -> None:
        """See IngestState.close."""
        try:
            if self._lease is not None:
                self._lease.release()
        except BlobError as fault:
            log.warning("the lease ends by itself", extra={"ids": {"fault": str(fault)}})
        self._lease = None
        self._container.close()

    def _take_turn(self) -> bool:
        if self._container.etag_of(STATE_BLOB) is None:
            self._make_blob()
        self._lease = self._container.acquire(STATE_BLOB)
        if self._lease is None:
            log.info("another instance has the state", extra={"ids": {"blob": STATE_BLOB}})
            return False
        blob = self._container.read(STATE_BLOB)
        if blob is None:
            raise StateUnavailable(f"{self._container.url}/{STATE_BLOB} has been deleted just now. The next poll starts anew.")
        self._forget()
        try:
            self._records, self._strange = _read(blob, self)
        except (ValueError, TypeError, LookupError, OSError, EOFError, zlib.error) as fault:
            self._lease.release()
            raise StateError(self._unreadable(fault)) from fault
        self._etag, self._dirty, self.doubtful = blob.etag, False, True
        self._lease.keep()
        return True

    def _make_blob(self) -> None:
        """A lease needs a blob. When another instance makes it at the same time, theirs is as good."""
        try:
            self._container.write(STATE_BLOB, b"".join(_document(IngestState(), Records(), [])), None)
        except (BlobChanged, LeaseLost):
            log.info("another instance made the state", extra={"ids": {"blob": STATE_BLOB}})

    def _save(self, change: Change) -> None:
        """Nothing is written before the end of the poll; but without the lease, going on would be double work."""
        if self._lease is None or not self._lease.held:
            raise self._lost("the lease was lost in the middle of a poll")
        for key in change.removed:
            self._records.forget(key)
        for pair in change.ended:
            self._records.forget(pair)
        self._dirty = True

    def _lost(self, why: str) -> TurnLost:
        if self._lease is not None:
            self._lease.release()
        self._lease, self._dirty = None, False
        return TurnLost(f"Another instance goes on with the ingest's state ({why}). This one waits for its turn.")

    def _unreadable(self, fault: Exception) -> str:
        name = f"{self._container.url}/{STATE_BLOB}"
        return (
            f"{name} is not a state this ingest can use ({fault}). Deploy the version that wrote it; or delete it "
            f"(az storage blob delete --auth-mode login --blob-url {name}): the next poll sends every device once more, "
            "and nothing else is lost."
        )


def consents_in(container: BlobContainer) -> dict[str, str]:
    """What the blob of a container says is accepted; nothing where there is none, or it can't be understood. Raises BlobError."""
    blob = container.read(CONSENT_BLOB)
    try:
        document = json.loads(blob.content) if blob else {}
    except ValueError:
        document = None
    if not isinstance(document, dict):
        log.warning("the blob with what is accepted can't be understood", extra={"ids": {"blob": CONSENT_BLOB}})
        return {}
    return {str(name): str(text) for name, text in document.items()}


def _document(state: IngestState, records: Records, strange: list[list[Any]]) -> Iterator[bytes]:
    """The blob's content, compressed portion by portion: 100,000 devices are 55 MB of text."""
    packer = zlib.compressobj(_COMPRESSION, wbits=31)
    lines: list[str] = []
    for record in _lines(state, records, strange):
        lines.append(json.dumps(record))
        if len(lines) == _LINES_AT_ONCE:
            yield packer.compress("\n".join([*lines, ""]).encode())
            lines.clear()
    yield packer.compress("\n".join([*lines, ""]).encode())
    yield packer.flush()


def _lines(state: IngestState, records: Records, strange: list[list[Any]]) -> Iterator[list[Any]]:
    yield [_FORMAT, _VERSION]
    yield [_NAMES, records.names]
    if state.last_snapshot:
        yield ["snapshot", format_time(state.last_snapshot)]
    for slug, time in state.cities_seen.items():
        yield ["city", slug, format_time(time)]
    for name, text in state.marks.items():
        yield [_MARK, name, text]
    for pair, watermark in state.watermarks.items():
        yield ["watermark", *pair, *records.watermark_values(pair, watermark)]
    yield ["uncertain", *sorted(state.uncertain)]
    for key, known in state.devices.items():
        yield ["device", key, *records.device_values(key, known)]
    yield from strange
    yield ["end"]


def marks_in(container: BlobContainer) -> dict[str, str]:
    """The notes of the state in a container, for somebody who does not poll. Raises BlobError, StateError."""
    blob, state = container.read(STATE_BLOB), IngestState()
    try:
        if blob is not None:
            _read(blob, state)
    except (ValueError, TypeError, LookupError, OSError, EOFError, zlib.error) as fault:
        raise StateError(f"{container.url}/{STATE_BLOB} is not a state this program can read ({fault}).") from fault
    return state.marks


def _read(blob: Blob, state: IngestState) -> tuple[Records, list[list[Any]]]:
    """Fill the state with what the blob holds; gives how its records are written, and those of an unknown kind.

    Raises ValueError and the like when the blob holds no state.
    """
    records, strange = Records(), []
    with gzip.open(io.BytesIO(blob.content), "rt", encoding="utf-8") as lines:
        first = json.loads(next(iter(lines), "null"))
        if not isinstance(first, list) or first[:1] != [_FORMAT]:
            raise ValueError("it is something else")
        if first[1:] != [_VERSION]:
            raise ValueError(f"it has version {first[1:]}, this program writes version {_VERSION}")
        record: list[Any] = []
        for line in lines:
            record = json.loads(line)
            if record[0] == _NAMES and len(record) > 1:
                records = Records(record[1])
            elif not _remember(state, records, *record):
                strange.append(record)
    if record != ["end"]:
        raise ValueError("its end is missing")
    return records, strange


def _remember(state: IngestState, records: Records, kind: str, *fields: Any) -> bool:
    """Take a record into the state; False when it is of a kind that this release does not know."""
    if kind == "device":
        state.devices[fields[0]] = records.device_from(fields[0], fields[1:])
    elif kind == "watermark":
        state.watermarks[fields[0], fields[1]] = records.watermark_from((fields[0], fields[1]), fields[2:])
    elif kind == "city":
        time = parse_time(fields[1])
        if time is not None:
            state.cities_seen[fields[0]] = time
    elif kind == "uncertain":
        state.uncertain.update(fields)
    elif kind == "snapshot":
        state.last_snapshot = parse_time(fields[0])
    elif kind == _MARK:
        state.marks[fields[0]] = fields[1]
    else:
        return kind == "end"
    return True
