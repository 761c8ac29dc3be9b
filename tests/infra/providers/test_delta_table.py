"""A table is made once, where there is none; what became of it since, other writers' versions included, is left alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from pulumi.dynamic import CreateResult

from infra.providers.delta_table import FIRST_VERSION, DeltaTableProvider, first_version
from tests.infra.providers.fake_service import TOKEN
from tests.support.fake_blobs import FakeBlobs, fake_blobs

COLUMNS = {"alertId": "string", "severity": "long", "value": "double", "startedAt": "timestamp"}
LOG = f"Alerts/{FIRST_VERSION}"
PROVIDER = DeltaTableProvider()


@pytest.fixture
def blobs(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBlobs]:
    monkeypatch.setenv("ROOMPULSE_ACCESS_TOKEN", TOKEN)
    with fake_blobs() as container:
        yield container


def inputs(blobs: FakeBlobs, **more: Any) -> dict[str, Any]:
    return {"containerUrl": blobs.url(), "table": "Alerts", "columns": COLUMNS, **more}


def made(blobs: FakeBlobs) -> CreateResult:
    return PROVIDER.create(inputs(blobs))


def test_others_read_the_table_empty_with_its_columns_and_as_old_a_protocol_as_the_service_writes(
    blobs: FakeBlobs, tmp_path: Path
) -> None:
    made(blobs)
    (tmp_path / LOG).parent.mkdir(parents=True)
    (tmp_path / LOG).write_bytes(blobs.content(LOG))
    table = DeltaTable(str(tmp_path / "Alerts"))
    assert (table.version(), table.file_uris()) == (0, [])
    assert {field.name: field.type.type for field in table.schema().fields} == COLUMNS
    assert (table.protocol().min_reader_version, table.protocol().min_writer_version) == (1, 2)
    assert table.metadata().partition_columns == []


def test_a_table_that_is_there_stays_as_it_is(blobs: FakeBlobs) -> None:
    blobs.put(LOG, b"of somebody else")
    made(blobs)
    assert blobs.content(LOG) == b"of somebody else"


def test_deleting_leaves_the_history(blobs: FakeBlobs) -> None:
    PROVIDER.delete("any", dict(made(blobs).outs or {}))
    assert blobs.names() == [LOG]


def test_another_place_is_another_table_and_other_columns_are_not(blobs: FakeBlobs) -> None:
    olds = inputs(blobs)
    assert PROVIDER.diff("id", olds, olds).changes is False
    assert PROVIDER.diff("id", olds, inputs(blobs, table="Other")).replaces == ["table"]
    more = PROVIDER.diff("id", olds, inputs(blobs, columns=COLUMNS | {"text": "string"}))
    assert (more.changes, more.replaces) == (True, [])


def test_a_column_more_is_said_with_the_statement_that_adds_it(blobs: FakeBlobs, caplog: pytest.LogCaptureFixture) -> None:
    identifier = made(blobs).id
    with caplog.at_level(logging.WARNING, "roompulse.providers"):
        PROVIDER.update(identifier, inputs(blobs), inputs(blobs, columns=COLUMNS | {"text": "string", "n": "long"}))
    assert f"ALTER TABLE delta.`{blobs.url()}/Alerts` ADD COLUMNS (text STRING, n LONG)" in caplog.text
    assert json.loads(blobs.content(LOG).splitlines()[1])["metaData"]["schemaString"].count("alertId") == 1


def test_columns_of_types_that_nothing_writes_are_refused() -> None:
    with pytest.raises(AssertionError):
        first_version("Alerts", {"details": "struct"})
