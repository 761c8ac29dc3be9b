"""What the visuals of a report show over given rows: their queries answered by the deployed functions and the DAX engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from powerbi.layout import Field
from powerbi.preview import Query, Row
from powerbi.semantic_model import read_model
from tests.support.dax_engine import Measures
from tests.support.report_store import ReportStore

Filters = Mapping[Field, tuple[Any, ...]]


class Figures:
    """Answers the queries of visuals over a live store, as Power BI asks: rows by the columns, figures by the rows."""

    def __init__(self, store: ReportStore) -> None:
        self._rows = {name: store.rows(f"{table.function}()") for name, table in read_model().tables.items()}
        self._measures = Measures(self._rows)

    def __call__(self, query: Query) -> Sequence[Row]:
        """The rows of a visual, in its order."""
        columns = [field for field in query.fields if not field.is_measure]
        figures = [field for field in query.fields if field.is_measure]
        rows = [row for row in self._combinations(columns, query.filters) if _fits(self._where(query, row))]
        rows = [row | self._figures(figures, query.filters, row) for row in rows]
        colours = {name for table in read_model().tables.values() for name in table.measures if name.endswith("colour")}
        told = [field for field in figures if field.name not in colours]
        return _ordered([row for row in rows if not told or not columns or any(row[field] is not None for field in told)], query)

    def _combinations(self, columns: Sequence[Field], filters: Filters) -> list[dict[Field, Any]]:
        """What the columns hold together: within a table what its rows have, of several tables everything with everything."""
        tables = dict.fromkeys(field.table for field in columns)
        parts = [self._distinct([field for field in columns if field.table == table], filters) for table in tables]
        return [{field: value for part in chosen for field, value in part.items()} for chosen in product(*parts)]

    def _distinct(self, columns: Sequence[Field], filters: Filters) -> list[dict[Field, Any]]:
        table = columns[0].table
        orders = {by for column in columns if (by := read_model().tables[table].columns[column.name].sort_by)}
        fields = [*columns, *(Field(table, name, False) for name in orders)]
        own = {field: values for field, values in filters.items() if field.table == table}
        there = [row for row in self._rows[table] if all(row[field.name] in values for field, values in own.items())]
        found = dict.fromkeys(tuple(row[field.name] for field in fields) for row in there)
        rows = [dict(zip(fields, values, strict=True)) for values in found]
        return [row for row in rows if self._measures.rows_of(table, {**filters, **_chosen(row)})]

    def _where(self, query: Query, row: Row) -> float | None:
        if not query.where:
            return 1
        found: float | None = self._figures([query.where], query.filters, row)[query.where]
        return found

    def _figures(self, measures: Sequence[Field], filters: Filters, row: Row) -> dict[Field, Any]:
        values = self._measures.values([one.name for one in measures], {**filters, **_chosen(row)}) if measures else {}
        return {one: values[one.name] for one in measures}


def _chosen(row: Row) -> dict[Field, tuple[Any, ...]]:
    return {field: (value,) for field, value in row.items() if not field.is_measure}


def _fits(value: float | None) -> bool:
    return value is not None and value > 0


def _ordered(rows: list[dict[Field, Any]], query: Query) -> list[dict[Field, Any]]:
    """By the query's own order, else by the first column; what is not known comes last."""
    first = tuple((field, False) for field in query.fields[:1] if not field.is_measure)
    for field, descending in reversed(query.sort or first):
        by = read_model().tables[field.table].columns[field.name].sort_by if not field.is_measure else None
        key = Field(field.table, by, False) if by else field
        known = sorted((row for row in rows if row[key] is not None), key=lambda row: row[key], reverse=descending)
        rows = [*known, *(row for row in rows if row[key] is None)]
    return rows
