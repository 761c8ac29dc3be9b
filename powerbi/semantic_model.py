"""The semantic model: read from semantic_model/model.yaml, rendered to TMDL. It asks Kusto for every visual (DirectQuery).

The model is shared by all reports and names no city. Row-level security is one dynamic role: a reader sees the cities whose rows
name them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from activator.declarations import DeclarationError, Fault, did_you_mean, placed, read_yaml, schema_faults
from powerbi.ids import stable_id
from powerbi.items import FabricItem, Reference
from powerbi.platform_file import SCHEMAS, as_json, platform_file

MODEL = "RoomPulse"
ROLE = "CityReader"
DATABASE = "roompulse"
KUSTO_URI = Reference("KQLDatabase", DATABASE, "queryServiceUri").placeholder
DECLARATION = Path(__file__).parent / "semantic_model" / "model.yaml"
DATA_TYPES = {"string": "string", "datetime": "dateTime", "long": "int64", "real": "double", "bool": "boolean"}
"""TMDL type by Kusto type."""
COMPATIBILITY_LEVEL = 1702
_SCHEMA = json.loads((Path(__file__).parent / "semantic-model.schema.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Column:
    """A column: its Kusto type, what it means, how it is shown; `hidden` from people who build reports; `key` of its table.

    `label` is its name for people who read reports, `sort_by` the column that orders its values, `colour` the measure of theirs.
    """

    name: str
    type: str
    description: str
    format: str | None
    hidden: bool
    key: bool
    label: str
    sort_by: str | None
    colour: str | None


@dataclass(frozen=True)
class Measure:
    """A named DAX expression of a table; `label` is its name for people who read reports."""

    name: str
    dax: str
    description: str
    format: str
    label: str = ""
    hidden: bool = False


@dataclass(frozen=True)
class Table:
    """A table: the Kusto function whose rows it has, its columns and measures; `dates`: it is the model's table of days."""

    name: str
    function: str
    description: str
    hidden: bool
    dates: bool
    columns: Mapping[str, Column]
    measures: Mapping[str, Measure]


@dataclass(frozen=True)
class Relationship:
    """Many rows of one table belong to one of the other; `security`: a filter by row-level security also goes the other way."""

    many: tuple[str, str]
    one: tuple[str, str]
    security: bool

    @property
    def name(self) -> str:
        """A stable GUID."""
        return stable_id(MODEL, "relationship", *self.many, *self.one)


@dataclass(frozen=True)
class Model:
    """Tables by name, and how they belong together."""

    tables: Mapping[str, Table]
    relationships: tuple[Relationship, ...]


@cache
def read_model(path: Path = DECLARATION) -> Model:
    """The declared model. Raises DeclarationError with every fault of the file."""
    document = read_yaml(path, "the semantic model")
    faults = schema_faults(document, _SCHEMA) or list(_meaning_faults(document))
    if faults:
        raise DeclarationError(f"{path.name} is not a valid semantic model", placed(faults, path))
    tables = {name: _table(name, body, document["measures"].get(name, {})) for name, body in document["tables"].items()}
    return Model(tables, tuple(_relationship(entry) for entry in document["relationships"]))


def semantic_model(model: Model | None = None) -> FabricItem:
    """The item: TMDL, with the address of the database as a reference."""
    model = model or read_model()
    parts = {
        ".platform": platform_file("SemanticModel", MODEL),
        "definition.pbism": as_json(
            {"$schema": f"{SCHEMAS}item/semanticModel/definitionProperties/1.0.0/schema.json", "version": "4.2", "settings": {}}
        ),
        "definition/database.tmdl": f"database {MODEL}\n\tcompatibilityLevel: {COMPATIBILITY_LEVEL}\n",
        "definition/model.tmdl": _model_file(model),
        "definition/expressions.tmdl": _expressions(),
        "definition/relationships.tmdl": "\n".join(_relationship_lines(model)),
        f"definition/roles/{ROLE}.tmdl": _role(),
    }
    parts |= {f"definition/tables/{name}.tmdl": _table_file(table) for name, table in model.tables.items()}
    return FabricItem("SemanticModel", MODEL, parts)


def _meaning_faults(document: Mapping[str, Any]) -> Iterator[Fault]:
    """What a schema can't say: relationships and measures are of tables and columns that are there."""
    tables = document["tables"]
    for table in document["measures"]:
        if table not in tables:
            yield Fault(
                f"measures/{table}", f"there is no table {table}.{did_you_mean(table, tables)} Known: {', '.join(tables)}."
            )
    yield from _column_faults(document)
    for index, (*ends, last) in enumerate(document["relationships"]):
        security = ends[1:] and last == "security"
        for place, end in enumerate(ends if security else [*ends, last]):
            table, _, column = end.partition(".")
            path = f"relationships/{index}/{place}"
            if place == 2 or not column:
                yield Fault(
                    path, f'"{end}" stands where {"security may" if place == 2 else "Table.column is wanted"}: write that.'
                )
            elif table not in tables:
                hint = did_you_mean(table, tables)
                yield Fault(path, f'"{end}": there is no table {table}.{hint} Known: {", ".join(tables)}.')
            elif column not in tables[table]["columns"]:
                columns = tables[table]["columns"]
                hint = did_you_mean(column, columns)
                yield Fault(path, f'"{end}": {table} has no column {column}.{hint} Known: {", ".join(columns)}.')


def _column_faults(document: Mapping[str, Any]) -> Iterator[Fault]:
    """Columns are ordered by columns and coloured by measures that are there."""
    for table, body in document["tables"].items():
        for column, entry in body["columns"].items():
            for word, known in (("sortBy", body["columns"]), ("colour", document["measures"].get(table, {}))):
                if word in entry and entry[word] not in known:
                    hint = did_you_mean(entry[word], known)
                    text = f'"{entry[word]}" is not there.{hint} Known: {", ".join(known) or "none"}.'
                    yield Fault(f"tables/{table}/columns/{column}/{word}", text)


def _table(name: str, body: Mapping[str, Any], measures: Mapping[str, Any]) -> Table:
    columns = {
        column: Column(
            column,
            entry.get("type", "string"),
            entry["description"],
            entry.get("format"),
            entry.get("hidden", body.get("hidden", False)),
            entry.get("key", False),
            entry.get("label", column),
            entry.get("sortBy"),
            entry.get("colour"),
        )
        for column, entry in body["columns"].items()
    }
    return Table(
        name,
        body["function"],
        body["description"],
        body.get("hidden", False),
        body.get("dates", False),
        columns,
        {measure: _measure(measure, entry) for measure, entry in measures.items()},
    )


def _measure(name: str, entry: Mapping[str, Any]) -> Measure:
    label = entry.get("label", name)
    return Measure(name, entry["dax"], entry["description"], entry["format"], label, entry.get("hidden", False))


def _relationship(entry: list[str]) -> Relationship:
    many, one, *more = entry
    (many_table, many_column), (one_table, one_column) = many.split("."), one.split(".")
    return Relationship((many_table, many_column), (one_table, one_column), more == ["security"])


def _model_file(model: Model) -> str:
    lines = [
        "model Model",
        "\tculture: en-US",
        "\tdefaultPowerBIDataSourceVersion: powerBI_V3",
        "\tdiscourageImplicitMeasures",
        "\tsourceQueryCulture: en-US",
        "",
        "annotation __PBI_TimeIntelligenceEnabled = 0",
        "",
        *(f"ref table {name}" for name in model.tables),
        "",
        f"ref role {ROLE}",
        "",
    ]
    return "\n".join(lines)


def _expressions() -> str:
    meta = 'meta [IsParameterQuery=true, Type="Text", IsParameterQueryRequired=true]'
    parameters = {"KustoUri": KUSTO_URI, "KustoDatabase": DATABASE}
    return "\n".join(
        f'expression {name} = "{value}" {meta}\n\tlineageTag: {stable_id(MODEL, "expression", name)}\n'
        for name, value in parameters.items()
    )


def _relationship_lines(model: Model) -> Iterator[str]:
    for relationship in model.relationships:
        yield f"relationship {relationship.name}"
        if relationship.security:
            yield "\tcrossFilteringBehavior: bothDirections"
            yield "\tsecurityFilteringBehavior: bothDirections"
        yield f"\tfromColumn: {'.'.join(relationship.many)}"
        yield f"\ttoColumn: {'.'.join(relationship.one)}"
        yield ""


def _role() -> str:
    """The role with an id of its own: members are the service's, and a role without one may come back without them."""
    return (
        "/// A reader sees the cities whose rows name them. People of the workspace's roles above Viewer see everything.\n"
        f"role {ROLE}\n\tmodelPermission: read\n\n"
        "\ttablePermission Readers = Readers[userPrincipalName] == LOWER ( USERPRINCIPALNAME () )\n\n"
        f"\tannotation PBI_Id = {stable_id(MODEL, 'role', ROLE).replace('-', '')}\n"
    )


def _table_file(table: Table) -> str:
    lines = [f"/// {table.description}", f"table {table.name}"]
    lines += ["\tdataCategory: Time"] if table.dates else []
    lines += ["\tisHidden"] if table.hidden else []
    lines += [f"\tlineageTag: {stable_id(MODEL, table.name)}", ""]
    for measure in table.measures.values():
        lines += _measure_lines(table, measure)
    for column in table.columns.values():
        lines += _column_lines(table, column)
    lines += [
        f"\tpartition {table.name} = m",
        "\t\tmode: directQuery",
        "\t\tsource =",
        "\t\t\t\tlet",
        f'\t\t\t\t\tSource = AzureDataExplorer.Contents(KustoUri, KustoDatabase, "{table.function}()", [])',
        "\t\t\t\tin",
        "\t\t\t\t\tSource",
        "",
    ]
    return "\n".join(lines)


def _measure_lines(table: Table, measure: Measure) -> list[str]:
    dax = measure.dax.strip().splitlines()
    expression = (
        [f"\tmeasure '{measure.name}' = {dax[0]}"]
        if len(dax) == 1
        else [f"\tmeasure '{measure.name}' =", *(f"\t\t\t{line}" for line in dax)]
    )
    return [
        f"\t/// {measure.description}",
        *expression,
        f"\t\tformatString: {measure.format}",
        *(["\t\tisHidden"] if measure.hidden else []),
        f"\t\tlineageTag: {stable_id(MODEL, table.name, 'measure', measure.name)}",
        "",
    ]


def _column_lines(table: Table, column: Column) -> list[str]:
    lines = [f"\t/// {column.description}", f"\tcolumn {column.name}", f"\t\tdataType: {DATA_TYPES[column.type]}"]
    lines += ["\t\tisHidden"] if column.hidden else []
    lines += ["\t\tisKey"] if column.key else []
    lines += [f"\t\tformatString: {column.format}"] if column.format else []
    return [
        *lines,
        f"\t\tlineageTag: {stable_id(MODEL, table.name, column.name)}",
        "\t\tsummarizeBy: none",
        *([f"\t\tsortByColumn: {column.sort_by}"] if column.sort_by else []),
        f"\t\tsourceColumn: {column.name}",
        "",
    ]
