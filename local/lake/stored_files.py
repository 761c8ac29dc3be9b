"""The files of a Delta table as paths, and SQL that reads them: a path is neither a URI nor SQL, whatever characters it has."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from deltalake import DeltaTable


def unusable_part_of(folder: Path) -> str | None:
    """What in a folder's path delta-rs reads as something else whatever it is given, so that a table there is lost: `%41` is an A
    to it, a backslash a slash. None for a good path.
    """
    found = re.search(r"%[0-9A-Fa-f]{2}|\\", str(folder.absolute()))
    return found[0] if found else None


def stored_file(table: Path, path: str) -> str:
    """The file that a Delta log calls so: there a path is relative to the table and URL-encoded (Delta protocol, Add File)."""
    return str(table / unquote(path))


def stored_files(folder: Path) -> list[str]:
    """The files of the table in a folder as it is now; none where there is no table."""
    return files_of(DeltaTable(str(folder)), folder) if DeltaTable.is_deltatable(str(folder)) else []


def files_of(table: DeltaTable, folder: Path) -> list[str]:
    """The files of the version of a table that is loaded. `DeltaTable.file_uris` gives URIs, which name no file where a folder
    has a space.
    """
    return [stored_file(folder, str(path)) for path in table.get_add_actions(flatten=True)["path"].to_pylist()]


def parquet(files: Iterable[str], options: str = "") -> str:
    """The SQL table function that reads Parquet files; `options` are DuckDB's, `name = value, ...`."""
    literals = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    return f"read_parquet([{literals}]{', ' if options else ''}{options})"
