"""The measures of the emitted model (TMDL) over given rows, by a DAX engine that runs offline (PyPI pbix-mcp).

What the engine can't evaluate fails the test: it would be BLANK, like "no data".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pbix_mcp.dax import engine
from pbix_mcp.formats.tmdl_reader import assemble_model, parse_tmdl_document

from powerbi.layout import Field
from powerbi.semantic_model import read_model, semantic_model
from tests.support.report_store import ReportStore, Row


class Measures:
    """The model with rows in its tables (by the tables' names)."""

    def __init__(self, rows: Mapping[str, Sequence[Row]], model: Mapping[str, Any] | None = None) -> None:
        """`model` as `parsed_model` has it, where it is another than the deployed one."""
        self._model = model or parsed_model()
        self._tables: dict[str, Any] = {
            name: {"columns": columns, "rows": [[row[column] for column in columns] for row in rows.get(name, ())]}
            for name, columns in self._model["columns"].items()
        }

    def value(self, measure: str, **filters: str | Sequence[Any]) -> Any:
        """A measure as a visual shows it; `filters` by column of a table, as `Cities__city="Lyon"`. None is BLANK."""
        chosen = {key.replace("__", "."): [one] if isinstance(one, str) else list(one) for key, one in filters.items()}
        return self._evaluated([measure], chosen, {})[measure]

    def values(self, measures: Sequence[str], filters: Mapping[Field, Sequence[Any]]) -> dict[str, Any]:
        """Several measures at once, in one row of a visual."""
        return self._evaluated(measures, _by_name(filters), {})

    def rows_of(self, table: str, filters: Mapping[Field, Sequence[Any]]) -> int:
        """How many rows of a table the filters leave, through its relationships too."""
        counted = f"Rows of {table}"
        return self._evaluated([counted], _by_name(filters), {counted: f"COUNTROWS ( '{table}' )"})[counted] or 0

    def of_expression(self, dax: str) -> Any:
        """The value of an expression that is not a measure of the model."""
        return self._evaluated(["Asked"], {}, {"Asked": dax})["Asked"]

    def _evaluated(self, measures: Sequence[str], chosen: dict[str, list[Any]], more: Mapping[str, str]) -> dict[str, Any]:
        model = self._model
        running = engine._engine
        for faults in (running.eval_errors, running.unsupported_functions, running.timed_out):
            faults.clear()
        found: dict[str, Any] = engine.evaluate_measures_smart(
            list(measures),
            self._tables,
            model["measures"] | more,
            chosen,
            relationships=model["relationships"],
            simulate_row_context=False,
            measure_tables=model["homes"] | dict.fromkeys(more, "Cities"),
            model_columns={name: set(columns) for name, columns in model["columns"].items()},
        )
        faults = [running.eval_errors, running.unsupported_functions, running.timed_out]
        assert not any(faults), f"{list(measures)} can't be evaluated: {faults}"
        return found


def _by_name(filters: Mapping[Field, Sequence[Any]]) -> dict[str, list[Any]]:
    return {f"{field.table}.{field.name}": list(values) for field, values in filters.items()}


def measures_of(store: ReportStore) -> Measures:
    """The model over a live store: every table filled by its own function."""
    return Measures({name: store.rows(f"{table.function}()") for name, table in read_model().tables.items()})


@cache
def assembled_model() -> Mapping[str, Any]:
    """Our TMDL as pbix-mcp reads it."""
    texts = [text for path, text in semantic_model().parts.items() if path.endswith(".tmdl") and isinstance(text, str)]
    found: Mapping[str, Any] = assemble_model([node for text in texts for node in parse_tmdl_document(text)])
    return found


@cache
def parsed_model() -> Mapping[str, Any]:
    """What the engine reads in our TMDL: columns by table, measures and their tables, relationships."""
    model = assembled_model()
    tables = model["tables"]
    return {
        "columns": {table["name"]: [column["name"] for column in table["columns"]] for table in tables},
        "measures": {measure["name"]: measure["expression"] for table in tables for measure in table["measures"]},
        "homes": {measure["name"]: table["name"] for table in tables for measure in table["measures"]},
        "relationships": [_relationship(one) for one in model["relationships"]],
    }


def _relationship(read: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "FromTable": read["from_table"],
        "FromColumn": read["from_column"],
        "ToTable": read["to_table"],
        "ToColumn": read["to_column"],
        "IsActive": int(read["is_active"]),
        "CrossFilteringBehavior": read["cross_filtering_behavior"],
        "FromCardinality": read["from_cardinality"],
        "ToCardinality": read["to_cardinality"],
    }
