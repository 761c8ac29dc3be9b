"""Microsoft's best-practice rules for semantic models: those of BPARules.json (microsoft/Analysis-Services, commit 50e8ce5).

Their expressions are C# that Tabular Editor runs (.NET, Windows); nothing that is to be had here can. So each is written anew
below its id, over what another reader (pbix-mcp) finds in our TMDL; or it is of something that the model has not. Waivers name
the objects and the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest

from powerbi.semantic_model import semantic_model
from tests.support.dax_engine import assembled_model

Node = Mapping[str, Any]


@dataclass(frozen=True)
class Facts:
    """What the rules ask of: tables, columns with their table, measures, relationships and the filters of roles."""

    tables: tuple[Node, ...]
    columns: tuple[tuple[Node, Node], ...]
    measures: tuple[tuple[Node, Node], ...]
    relationships: tuple[Node, ...]
    filters: Mapping[str, str]
    texts: str

    def ends(self, side: str) -> set[tuple[str, str]]:
        """Columns on a side (`from`, `to`) of relationships."""
        return {(one[f"{side}_table"], one[f"{side}_column"]) for one in self.relationships}

    @property
    def dax(self) -> Iterator[tuple[str, str]]:
        """Every DAX expression by the name of its object."""
        yield from ((measure["name"], measure["expression"]) for _, measure in self.measures)
        yield from self.filters.items()


@cache
def facts() -> Facts:
    model = assembled_model()
    tables = tuple(model["tables"])
    texts = "\n".join(part for path, part in semantic_model().parts.items() if path.endswith(".tmdl") and isinstance(part, str))
    return Facts(
        tables,
        tuple((table, column) for table in tables for column in table["columns"]),
        tuple((table, measure) for table in tables for measure in table["measures"]),
        tuple(model["relationships"]),
        dict(re.findall(r"^\ttablePermission (\w+) = (.+)$", texts, re.MULTILINE)),
        texts,
    )


Findings = Iterator[str]


def says(pattern: str) -> Callable[[Facts], Findings]:
    """A rule that some words in an expression break."""
    return lambda model: (name for name, dax in model.dax if re.search(pattern, dax))


def of_columns(breaks: Callable[[Facts, Node, Node], Any]) -> Callable[[Facts], Findings]:
    return lambda model: (f"{table['name']}[{column['name']}]" for table, column in model.columns if breaks(model, table, column))


def of_measures(breaks: Callable[[Facts, Node, Node], Any]) -> Callable[[Facts], Findings]:
    return lambda model: (measure["name"] for table, measure in model.measures if breaks(model, table, measure))


def of_tables(breaks: Callable[[Facts, Node], Any]) -> Callable[[Facts], Findings]:
    return lambda model: (table["name"] for table in model.tables if breaks(model, table))


def of_relationships(breaks: Callable[[Node], Any]) -> Callable[[Facts], Findings]:
    return lambda model: (f"{one['from_table']}.{one['from_column']}" for one in model.relationships if breaks(one))


MANY, BOTH, NONE = 2, 2, 2
NUMBERS = ("Int64", "Decimal", "Double")
VISIBLE_NUMBER = ("COUNT", "COUNTBLANK", "SUM", "AVERAGE", "VALUES", "DISTINCT", "DISTINCTCOUNT", "MIN", "MAX")
TIME_INTELLIGENCE = (
    r"\b(CLOSINGBALANCE\w+|OPENINGBALANCE\w+|DATEADD|DATESBETWEEN|DATESINPERIOD|DATES[MQY]TD|(END|START)OF(MONTH|QUARTER|YEAR)"
    r"|(FIRST|LAST)(DATE|NONBLANK|NONBLANKVALUE)|(NEXT|PREVIOUS)(DAY|MONTH|QUARTER|YEAR)|PARALLELPERIOD|SAMEPERIODLASTYEAR"
    r"|TOTAL[MQY]TD)\s*\("
)
SLOW_IN_M = ("Combine", "Join", "NestedJoin", "AddColumn", "Group", "Sort", "Pivot", "Unpivot", "UnpivotOtherColumns", "Distinct")


def names(model: Facts) -> Iterator[str]:
    """What tables, columns and measures are called."""
    yield from (one["name"] for one in model.tables)
    yield from (one["name"] for _, one in (*model.columns, *model.measures))


def used(model: Facts, table: Node, column: Node) -> bool:
    """Whether DAX, a relationship or an order needs a column."""
    here = (table["name"], column["name"])
    sorts = {(one["name"], of["sort_by_column"]) for one, of in model.columns}
    named = f"{table['name']}[{column['name']}]"
    return here in model.ends("from") | model.ends("to") | sorts or any(named in dax for _, dax in model.dax)


def hidden(table: Node, thing: Node) -> bool:
    return bool(table["is_hidden"] or thing["is_hidden"])


def is_dates(table: Node) -> bool:
    return any(column["is_key"] and column["data_type"] == "DateTime" for column in table["columns"])


def marked(model: Facts, table: Node) -> bool:
    return re.search(rf"^table {table['name']}\n\tdataCategory: Time$", model.texts, re.MULTILINE) is not None


def counted(model: Facts, table: Node, column: Node) -> bool:
    name = re.escape(f"{table['name']}[{column['name']}]")
    return any(re.search(rf"\b({'|'.join(VISIBLE_NUMBER)})\s*\(\s*{name}\s*\)", dax) for _, dax in model.dax)


CHECKED: Mapping[str, Callable[[Facts], Findings]] = {
    "SNOWFLAKE_SCHEMA_ARCHITECTURE": of_tables(
        lambda model, table: {table["name"]} <= {name for name, _ in model.ends("from")} & {name for name, _ in model.ends("to")}
    ),
    "MODEL_SHOULD_HAVE_A_DATE_TABLE": lambda model: iter(
        [] if any(is_dates(table) and marked(model, table) for table in model.tables) else ["Model"]
    ),
    "DATE/CALENDAR_TABLES_SHOULD_BE_MARKED_AS_A_DATE_TABLE": of_tables(
        lambda model, table: re.search("date|calendar", table["name"], re.I) and not (is_dates(table) and marked(model, table))
    ),
    "AVOID_EXCESSIVE_BI-DIRECTIONAL_OR_MANY-TO-MANY_RELATIONSHIPS": lambda model: iter(
        ["Model"]
        if sum(one["cross_filtering_behavior"] == BOTH for one in model.relationships) > 0.3 * len(model.relationships)
        else []
    ),
    "LIMIT_ROW_LEVEL_SECURITY_(RLS)_LOGIC": lambda model: (
        name for name, dax in model.filters.items() if re.search(r"\b(RIGHT|LEFT|UPPER|LOWER|FIND)\s*\(", dax)
    ),
    "MINIMIZE_POWER_QUERY_TRANSFORMATIONS": of_tables(
        lambda _, table: [
            step
            for partition in table["partitions"]
            for step in (*(f"Table.{name}(" for name in SLOW_IN_M), "Value.NativeQuery", "OleDb.Query", "Odbc.Query")
            if step in partition["source"]
        ]
    ),
    "AVOID_USING_MANY-TO-MANY_RELATIONSHIPS_ON_TABLES_USED_FOR_DYNAMIC_ROW_LEVEL_SECURITY": of_relationships(
        lambda one: one["from_cardinality"] == one["to_cardinality"] == MANY
    ),
    "MANY-TO-MANY_RELATIONSHIPS_SHOULD_BE_SINGLE-DIRECTION": of_relationships(
        lambda one: one["from_cardinality"] == one["to_cardinality"] == MANY and one["cross_filtering_behavior"] == BOTH
    ),
    "REMOVE_REDUNDANT_COLUMNS_IN_RELATED_TABLES": of_columns(
        lambda model, table, column: (
            (table["name"], column["name"]) not in model.ends("from") | model.ends("to")
            and any(
                column["name"] in {other["name"] for of, other in model.columns if of["name"] == one["to_table"]}
                for one in model.relationships
                if one["from_table"] == table["name"]
            )
        )
    ),
    "MEASURES_USING_TIME_INTELLIGENCE_AND_MODEL_IS_USING_DIRECT_QUERY": says(TIME_INTELLIGENCE),
    "CHECK_IF_BI-DIRECTIONAL_AND_MANY-TO-MANY_RELATIONSHIPS_ARE_VALID": of_relationships(
        lambda one: one["cross_filtering_behavior"] == BOTH or one["from_cardinality"] == one["to_cardinality"] == MANY
    ),
    "CHECK_IF_DYNAMIC_ROW_LEVEL_SECURITY_(RLS)_IS_NECESSARY": lambda model: (
        name for name, dax in model.filters.items() if re.search(r"USER(PRINCIPAL)?NAME\s*\(", dax)
    ),
    "DAX_COLUMNS_FULLY_QUALIFIED": lambda model: (
        name
        for name, dax in model.dax
        for found in re.findall(r"(?<![\w'])\[([^\]]+)\]", dax)
        if found not in {measure["name"] for _, measure in model.measures}
    ),
    "DAX_MEASURES_UNQUALIFIED": lambda model: (
        name
        for name, dax in model.dax
        for found in re.findall(r"[\w']\[([^\]]+)\]", dax)
        if found in {measure["name"] for _, measure in model.measures}
    ),
    "AVOID_DUPLICATE_MEASURES": of_measures(
        lambda model, _, measure: [
            other
            for _, other in model.measures
            if other is not measure and "".join(other["expression"].split()) == "".join(measure["expression"].split())
        ]
    ),
    "USE_THE_TREATAS_FUNCTION_INSTEAD_OF_INTERSECT": says(r"(?i)\bINTERSECT\s*\("),
    "USE_THE_DIVIDE_FUNCTION_FOR_DIVISION": says(r"[\])]\s*/(?![/*])"),
    "AVOID_USING_THE_IFERROR_FUNCTION": says(r"(?i)\bIFERROR\s*\("),
    "MEASURES_SHOULD_NOT_BE_DIRECT_REFERENCES_OF_OTHER_MEASURES": says(r"^\s*\[[^\]]+\]\s*$"),
    "FILTER_COLUMN_VALUES": says(r"(?i)CALCULATE(TABLE)?\s*\([^,]*,\s*FILTER\s*\(\s*'?[\w ]+'?\s*,\s*'?[\w ]+'?\["),
    "FILTER_MEASURE_VALUES_BY_COLUMNS": says(r"(?i)CALCULATE(TABLE)?\s*\([^,]*,\s*FILTER\s*\(\s*'?[\w ]+'?\s*,\s*\["),
    "INACTIVE_RELATIONSHIPS_THAT_ARE_NEVER_ACTIVATED": of_relationships(lambda one: not one["is_active"]),
    "AVOID_USING_'1-(X/Y)'_SYNTAX": says(r"(?i)\d\s*[-+]\s*\(*\s*(DIVIDE\s*\(|SUM\s*\([^)]*\)\s*/)"),
    "EVALUATEANDLOG_SHOULD_NOT_BE_USED_IN_PRODUCTION_MODELS": says(r"(?i)EVALUATEANDLOG\s*\("),
    "DATA_COLUMNS_MUST_HAVE_A_SOURCE_COLUMN": of_columns(lambda _model, _table, column: not column["source_column"]),
    "EXPRESSION_RELIANT_OBJECTS_MUST_HAVE_AN_EXPRESSION": of_measures(lambda _model, _, one: not one["expression"].strip()),
    "AVOID_THE_USERELATIONSHIP_FUNCTION_AND_RLS_AGAINST_THE_SAME_TABLE": says(r"(?i)USERELATIONSHIP\s*\("),
    "RELATIONSHIP_COLUMNS_SAME_DATA_TYPE": lambda model: (
        f"{one['from_table']}.{one['from_column']}"
        for kinds in [{(table["name"], column["name"]): column["data_type"] for table, column in model.columns}]
        for one in model.relationships
        if kinds[one["from_table"], one["from_column"]] != kinds[one["to_table"], one["to_column"]]
    ),
    "AVOID_INVALID_NAME_CHARACTERS": lambda model: (name for name in names(model) if re.search(r"[\x00-\x1f]", name)),
    "AVOID_INVALID_DESCRIPTION_CHARACTERS": lambda model: iter(
        re.findall(r"^\s*///.*[\x00-\x08\x0b-\x1f].*$", model.texts, re.M)
    ),
    "UNNECESSARY_COLUMNS": of_columns(lambda model, table, column: hidden(table, column) and not used(model, table, column)),
    "UNNECESSARY_MEASURES": of_measures(
        lambda model, table, one: hidden(table, one) and not any(f"[{one['name']}]" in dax for _, dax in model.dax)
    ),
    "REMOVE_ROLES_WITH_NO_MEMBERS": lambda model: (
        role for role in re.findall(r"^role (\w+)", model.texts, re.MULTILINE) if "\tmember " not in model.texts
    ),
    "ENSURE_TABLES_HAVE_RELATIONSHIPS": of_tables(
        lambda model, table: table["name"] not in {name for name, _ in model.ends("from") | model.ends("to")}
    ),
    "OBJECTS_WITH_NO_DESCRIPTION": lambda model: (
        found[1] for found in re.finditer(r"(?<!///)(?:^|\n)(?!\s*///)[^\n]*\n\t?(?:table|column|measure) ([^\n]+)", model.texts)
    ),
    "PARTITION_NAME_SHOULD_MATCH_TABLE_NAME_FOR_SINGLE_PARTITION_TABLES": of_tables(
        lambda _, table: [one["name"] for one in table["partitions"]] != [table["name"]]
    ),
    "SPECIAL_CHARS_IN_OBJECT_NAMES": lambda model: (name for name in names(model) if re.search(r"[\t\n\r]", name)),
    "TRIM_OBJECT_NAMES": lambda model: (name for name in names(model) if name != name.strip()),
    "OBJECTS_SHOULD_NOT_START_OR_END_WITH_A_SPACE": lambda model: (name for name in names(model) if name != name.strip()),
    "FORMAT_FLAG_COLUMNS_AS_YES/NO_VALUE_STRINGS": of_columns(
        lambda _, table, one: (
            not hidden(table, one)
            and ((one["name"].startswith("Is") and one["data_type"] == "Int64") or one["name"].endswith(" Flag"))
        )
    ),
    "DATECOLUMN_FORMATSTRING": of_columns(
        lambda _model, _, one: (
            "date" in one["name"].lower() and one["data_type"] == "DateTime" and one["format_string"] != "mm/dd/yyyy"
        )
    ),
    "MONTHCOLUMN_FORMATSTRING": of_columns(
        lambda _model, _, one: (
            "month" in one["name"].lower() and one["data_type"] == "DateTime" and one["format_string"] != "MMMM yyyy"
        )
    ),
    "PROVIDE_FORMAT_STRING_FOR_MEASURES": of_measures(
        lambda _, table, one: not hidden(table, one) and not (one["format_string"] or "").strip()
    ),
    "NUMERIC_COLUMN_SUMMARIZE_BY": of_columns(
        lambda _, table, one: one["data_type"] in NUMBERS and one["summarize_by"] != NONE and not hidden(table, one)
    ),
    "PERCENTAGE_FORMATTING": of_measures(
        lambda _model, _, one: "%" in one["format_string"] and one["format_string"] != "#,0.0%;-#,0.0%;#,0.0%"
    ),
    "INTEGER_FORMATTING": of_measures(
        lambda _model, _, one: not re.search("[$%]", one["format_string"]) and one["format_string"] not in ("#,0", "#,0.0")
    ),
    "RELATIONSHIP_COLUMNS_SHOULD_BE_OF_INTEGER_DATA_TYPE": of_columns(
        lambda model, table, one: (
            (table["name"], one["name"]) in model.ends("from") | model.ends("to") and one["data_type"] != "Int64"
        )
    ),
    "ADD_DATA_CATEGORY_FOR_COLUMNS": of_columns(
        lambda _model, _, one: (
            re.search("country|continent|city", one["name"], re.I) and one["data_type"] == "String" and not one["data_category"]
        )
    ),
    "HIDE_FOREIGN_KEYS": of_columns(
        lambda model, table, one: (table["name"], one["name"]) in model.ends("from") and not one["is_hidden"]
    ),
    "MARK_PRIMARY_KEYS": of_columns(
        lambda model, table, one: (table["name"], one["name"]) in model.ends("to") and not one["is_key"]
    ),
    "HIDE_FACT_TABLE_COLUMNS": of_columns(
        lambda model, table, one: not one["is_hidden"] and one["data_type"] in NUMBERS and counted(model, table, one)
    ),
    "FIRST_LETTER_OF_OBJECTS_MUST_BE_CAPITALIZED": lambda model: (
        one["name"] for one in (*model.tables, *(measure for _, measure in model.measures)) if one["name"][0].islower()
    ),
    "MONTH_(AS_A_STRING)_MUST_BE_SORTED": of_columns(
        lambda _model, _, one: "month" in one["name"].lower() and one["data_type"] == "String" and not one["sort_by_column"]
    ),
    "UNPIVOT_PIVOTED_(MONTH)_DATA": of_tables(
        lambda _, table: {"jan", "feb", "mar"} <= {column["name"].lower()[:3] for column in table["columns"]}
    ),
    "MODEL_USING_DIRECT_QUERY_AND_NO_AGGREGATIONS": of_tables(
        lambda model, table: table["partitions"][0]["mode"] == "directquery" and "alternateOf" not in model.texts
    ),
    "AVOID_FLOATING_POINT_DATA_TYPES": of_columns(lambda _model, _, column: column["data_type"] == "Double"),
}
"""A rule, as what breaks it."""


ABSENT: Mapping[str, tuple[str, ...]] = {
    r"^\t(column \S+|table \S+) = |= calculated$": (
        "REDUCE_USAGE_OF_CALCULATED_COLUMNS_THAT_USE_THE_RELATED_FUNCTION",
        "REDUCE_NUMBER_OF_CALCULATED_COLUMNS",
        "REDUCE_USAGE_OF_CALCULATED_TABLES",
        "REMOVE_AUTO-DATE_TABLE",
    ),
    r"^\s*isAvailableInMdx": ("SET_ISAVAILABLEINMDX_TO_TRUE_ON_NECESSARY_COLUMNS",),
    r"^\s*dataSource ": (
        "AVOID_STRUCTURED_DATA_SOURCES_WITH_PROVIDER_PARTITIONS",
        "REMOVE_DATA_SOURCES_NOT_REFERENCED_BY_ANY_PARTITIONS",
    ),
    r"^\s*perspective": ("PERSPECTIVES_WITH_NO_OBJECTS",),
    r"^\s*calculationGroup": ("CALCULATION_GROUPS_WITH_NO_CALCULATION_ITEMS",),
    r"mode: import": (
        "AVOID_BI-DIRECTIONAL_RELATIONSHIPS_AGAINST_HIGH-CARDINALITY_COLUMNS",
        "REDUCE_USAGE_OF_LONG-LENGTH_COLUMNS_WITH_HIGH_CARDINALITY",
        "SPLIT_DATE_AND_TIME",
        "LARGE_TABLES_SHOULD_BE_PARTITIONED",
        "FIX_REFERENTIAL_INTEGRITY_VIOLATIONS",
        "ISAVAILABLEINMDX_FALSE_NONATTRIBUTE_COLUMNS",
    ),
}
"""Rules of what the model has not, by what would be there; the last, of what is kept in memory, go by what an engine counted."""
WAIVED: Mapping[str, tuple[str, str]] = {
    "SNOWFLAKE_SCHEMA_ARCHITECTURE": (
        "Devices|Workspaces",
        "a room is of a city, and its hours are of it through the room: a second way would be ambiguous",
    ),
    "LIMIT_ROW_LEVEL_SECURITY_(RLS)_LOGIC": ("Readers", "Kusto compares texts by case, and Entra gives names in any"),
    "REMOVE_REDUNDANT_COLUMNS_IN_RELATED_TABLES": (
        r"RoomHours\[(humidity|temperature|inUse)\]",
        "means of an hour, not the newest reading",
    ),
    "CHECK_IF_BI-DIRECTIONAL_AND_MANY-TO-MANY_RELATIONSHIPS_ARE_VALID": (
        "Readers.cityId",
        "it is how readers limit cities; a row a reader",
    ),
    "CHECK_IF_DYNAMIC_ROW_LEVEL_SECURITY_(RLS)_IS_NECESSARY": (
        "Readers",
        "a role per city would change the model with each city",
    ),
    "UNNECESSARY_COLUMNS": (r"CityMinutes\[minute\]|RoomHours\[hour\]", "axes of the reports, which the rule does not know"),
    "UNNECESSARY_MEASURES": (
        r".* colour|.* by minute|.* of (rooms|devices|alerts)",
        "the reports use them, which the rule does not know",
    ),
    "REMOVE_ROLES_WITH_NO_MEMBERS": ("CityReader", "no deployment can put members in (docs/decisions/0513)"),
    "PERCENTAGE_FORMATTING": (".*", "a share of rooms to a tenth of a percent would claim what a few dozen rooms don't say"),
    "INTEGER_FORMATTING": (r"Call .*|Mean .*|Temperature .*|Newest .*|.* colour", "readings below 100, a time and colours"),
    "RELATIONSHIP_COLUMNS_SHOULD_BE_OF_INTEGER_DATA_TYPE": (
        r".*\[(\w+Id|localDay)\]",
        "Webex's ids are texts; nothing is kept in memory",
    ),
    "ADD_DATA_CATEGORY_FOR_COLUMNS": (r".*\[city(Id)?\]", "names a company gives its sites: a map would put them anywhere"),
    "HIDE_FACT_TABLE_COLUMNS": (
        r"Alerts\[minutes\]|Devices\[(drops|firmwareBehind)\]|Workspaces\[unattendedMinutes\]",
        "shown in lists, row by row",
    ),
    "MODEL_USING_DIRECT_QUERY_AND_NO_AGGREGATIONS": (".*", "the live store sums up (docs/decisions/0514)"),
    "AVOID_FLOATING_POINT_DATA_TYPES": (".*", "Kusto's real is a double, and readings are not a money"),
}
"""Rules that the model breaks on purpose: which objects may, and why."""
RULES = 71
"""How many there are in Microsoft's file."""


@pytest.mark.parametrize("rule", CHECKED)
def test_a_rule_holds_or_is_waived_for_what_is_named(rule: str) -> None:
    allowed, _ = WAIVED.get(rule, ("", ""))
    assert sorted(name for name in set(CHECKED[rule](facts())) if not re.fullmatch(allowed, name)) == []


@pytest.mark.parametrize("rule", WAIVED)
def test_a_waiver_is_needed_and_has_a_reason(rule: str) -> None:
    assert list(CHECKED[rule](facts())) and WAIVED[rule][1]


@pytest.mark.parametrize("what", ABSENT)
def test_the_model_has_nothing_of_what_the_other_rules_are_about(what: str) -> None:
    assert not re.search(what, facts().texts, re.MULTILINE)


def test_every_rule_of_the_file_is_accounted_for_once() -> None:
    known = [*CHECKED, *(rule for rules in ABSENT.values() for rule in rules)]
    assert len(known) == len(set(known)) == RULES


def changed(**changes: Any) -> Facts:
    """The model with a measure, a column or a table more."""
    model = facts()
    table = model.tables[0]
    column = {"name": "x", "data_type": "String", "source_column": "x", "is_hidden": False, "is_key": False, "format_string": "0"}
    column |= {"sort_by_column": None, "summarize_by": NONE, "data_category": None}
    if "dax" in changes:
        measure = {"name": "x", "expression": changes["dax"], "format_string": changes.get("format", "#,0"), "is_hidden": False}
        return replace(model, measures=(*model.measures, (table, measure)))
    return replace(model, columns=(*model.columns, (table, column | changes)))


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("AVOID_USING_'1-(X/Y)'_SYNTAX", {"dax": "1 - DIVIDE ( 1, 2 )"}),
        ("USE_THE_DIVIDE_FUNCTION_FOR_DIVISION", {"dax": "[Device count] / 2"}),
        ("DAX_COLUMNS_FULLY_QUALIFIED", {"dax": "SUM ( [drops] )"}),
        ("DAX_MEASURES_UNQUALIFIED", {"dax": "Devices[Device count] + 1"}),
        ("AVOID_DUPLICATE_MEASURES", {"dax": "COUNTROWS(Devices)"}),
        ("MEASURES_SHOULD_NOT_BE_DIRECT_REFERENCES_OF_OTHER_MEASURES", {"dax": "[Device count]"}),
        ("AVOID_USING_THE_IFERROR_FUNCTION", {"dax": "IFERROR ( 1, 2 )"}),
        ("FILTER_COLUMN_VALUES", {"dax": "CALCULATE ( [Device count], FILTER ( Devices, Devices[drops] = 1 ) )"}),
        ("MEASURES_USING_TIME_INTELLIGENCE_AND_MODEL_IS_USING_DIRECT_QUERY", {"dax": "DATEADD (x, 1, DAY)"}),
        ("PROVIDE_FORMAT_STRING_FOR_MEASURES", {"dax": "1", "format": ""}),
        ("FIRST_LETTER_OF_OBJECTS_MUST_BE_CAPITALIZED", {"dax": "1"}),
        ("NUMERIC_COLUMN_SUMMARIZE_BY", {"data_type": "Int64", "summarize_by": 3}),
        ("DATA_COLUMNS_MUST_HAVE_A_SOURCE_COLUMN", {"source_column": None}),
        ("TRIM_OBJECT_NAMES", {"name": "x "}),
        ("UNNECESSARY_COLUMNS", {"is_hidden": True}),
        ("DATECOLUMN_FORMATSTRING", {"name": "dateOfIt", "data_type": "DateTime"}),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_found(rule: str, change: dict[str, Any]) -> None:
    name = change.get("name", "x")
    assert [found for found in CHECKED[rule](changed(**change)) if name in found]


def test_an_object_without_a_description_is_found() -> None:
    described = facts().texts
    without = described.replace("\t/// Display name.\n", "").replace("/// Days of the last month.\n", "")
    assert set(CHECKED["OBJECTS_WITH_NO_DESCRIPTION"](replace(facts(), texts=without))) == {"device", "Dates"}
