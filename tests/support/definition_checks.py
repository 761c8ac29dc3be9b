"""What a definition must hold besides its schema: roles, fields, places, words; TMDL and DAX; references of dashboard and Reflex.

Every check yields sentences; none means that nothing is wrong. The DAX check knows tokens, parentheses, names and functions of a
list, not the grammar or types of the language.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import combinations
from typing import Any

from jsonschema import Draft202012Validator

from powerbi.semantic_model import DATA_TYPES, Model
from tests.support.pbir_schemas import schema_faults
from tests.support.shared_data import shared_data

Parts = Mapping[str, str]
PHONE_WIDTH = 324
"""The width of Power BI Desktop's canvas for phones."""
GUID = "00000000-0000-0000-0000-000000000000"
FUNCTIONS = {
    "AVERAGE", "CALCULATE", "COALESCE", "COUNT", "COUNTROWS", "DIVIDE", "IF",
    "ISBLANK", "LOWER", "MAX", "MIN", "NOT", "SELECTEDVALUE", "SUM", "SUMX", "SWITCH", "TREATAS", "TRUE",
    "USERPRINCIPALNAME", "VALUES",
}  # fmt: skip
KEYWORDS = {"VAR", "RETURN", "IN", "NOT"}
_TOKEN = re.compile(
    r"""(?P<text>"(?:[^"]|"")*")|(?P<column>(?:'[^']+'|\w+)\[[^\]]+\])|(?P<measure>\[[^\]]+\])"""
    r"""|(?P<number>\d+(?:\.\d+)?)|(?P<word>'[^']+'|[A-Za-z_]\w*)|(?P<sign>==|<=|>=|<>|&&|\|\||[-+*/=<>(){},&])|(?P<space>\s+)"""
)


@cache
def capabilities() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        shared_data("fabric/powerbi-core-visual-schema-0.1.1/capabilities.json").read_text(encoding="utf-8")
    )
    return found


def report_faults(parts: Parts, model: Model) -> list[str]:
    """Everything wrong with a report's definition."""
    faults = list(schema_faults(parts))
    pages = json.loads(parts["definition/pages/pages.json"])["pageOrder"]
    found = {path.split("/")[2] for path in parts if path.endswith("/page.json")}
    if set(pages) != found:
        faults.append(f"pages.json names {sorted(set(pages) ^ found)} or misses it")
    filters: list[str] = []
    for page in sorted(found):
        folder = f"definition/pages/{page}"
        document = json.loads(parts[f"{folder}/page.json"])
        desktop, phone = (_by_folder(parts, f"{folder}/visuals/", name) for name in ("visual.json", "mobile.json"))
        visuals = list(desktop.values())
        faults += _page_faults(document, visuals, model)
        faults += _phone_faults(document["displayName"], desktop, phone)
        filters += [one["name"] for one in document.get("filterConfig", {}).get("filters", [])]
    filters += [one["name"] for one in json.loads(parts["definition/report.json"]).get("filterConfig", {}).get("filters", [])]
    faults += [f"filter {name} is there twice" for name, count in Counter(filters).items() if count > 1]
    return faults


def _by_folder(parts: Parts, folder: str, file: str) -> dict[str, dict[str, Any]]:
    return {
        path.split("/")[-2]: json.loads(part) for path, part in parts.items() if path.startswith(folder) and path.endswith(file)
    }


def _phone_faults(where: str, desktop: Mapping[str, Any], phone: Mapping[str, Any]) -> Iterator[str]:
    """Every visual is on the phone's canvas too, under nothing else, in the order of the keyboard."""
    yield from (f"{where} {name}: is on one of the two layouts only" for name in desktop.keys() ^ phone.keys())
    places = {name: document["position"] for name, document in phone.items()}
    for name, at in places.items():
        if at["x"] < 0 or at["y"] < 0 or at["x"] + at["width"] > PHONE_WIDTH:
            yield f"{where} {name}: outside the phone"
    yield from (f"{where}: {a} overlaps {b} on the phone" for a, b in combinations(places, 2) if _overlap(places[a], places[b]))
    orders = [sorted(of, key=lambda name: of[name]["position"]["tabOrder"]) for of in (desktop, phone)]
    if orders[0] != orders[1] or orders[1] != sorted(places, key=lambda name: places[name]["y"]):
        yield f"{where}: the phone has another order"


def _page_faults(page: Mapping[str, Any], visuals: list[dict[str, Any]], model: Model) -> Iterator[str]:
    where = page["displayName"]
    if "pageRefresh" not in page.get("objects", {}):
        yield f"{where}: does not refresh by itself"
    for visual in visuals:
        name, body, at = visual["name"], visual["visual"], visual["position"]
        if at["x"] < 0 or at["y"] < 0 or at["x"] + at["width"] > page["width"] or at["y"] + at["height"] > page["height"]:
            yield f"{where} {name}: outside the page"
        general = body.get("visualContainerObjects", {}).get("general", [{}])[0].get("properties", {})
        if len(general.get("altText", {}).get("expr", {}).get("Literal", {}).get("Value", "")) < 12:
            yield f"{where} {name}: has no alt text"
        yield from (f"{where} {name}: {fault}" for fault in _role_faults(body, model))
    for a, b in combinations(visuals, 2):
        if _overlap(a["position"], b["position"]):
            yield f"{where}: {a['name']} overlaps {b['name']}"
    orders = Counter(visual["position"]["tabOrder"] for visual in visuals)
    yield from (f"{where}: tab order {order} is there twice" for order, count in orders.items() if count > 1)


def _role_faults(body: Mapping[str, Any], model: Model) -> Iterator[str]:
    kind = body["visualType"]
    if kind not in capabilities():
        yield f"{kind} is not a visual"
        return
    known = {role["name"]: role["kind"] for role in capabilities()[kind].get("dataRoles", [])}
    for role, state in body.get("query", {}).get("queryState", {}).items():
        if role not in known:
            yield f"{kind} has no role {role}"
            continue
        for projection in state["projections"]:
            yield from field_faults(projection["field"], model)
            if known[role] == 0 and "Measure" in projection["field"]:
                yield f"role {role} of {kind} takes columns, not measures"


def field_faults(field: Mapping[str, Any], model: Model) -> Iterator[str]:
    ((kind, body),) = field.items()
    table, name = body["Expression"]["SourceRef"]["Entity"], body["Property"]
    if table not in model.tables:
        yield f"the model has no table {table}"
    elif name not in (model.tables[table].measures if kind == "Measure" else model.tables[table].columns):
        yield f"table {table} has no {kind.lower()} {name}"


def _overlap(a: Mapping[str, int], b: Mapping[str, int]) -> bool:
    across = a["x"] < b["x"] + b["width"] and b["x"] < a["x"] + a["width"]
    return across and a["y"] < b["y"] + b["height"] and b["y"] < a["y"] + a["height"]


def model_faults(model: Model, function_columns: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Everything wrong with the declared model; `function_columns` are the columns of Kusto's functions with their types."""
    names = Counter(measure.casefold() for table in model.tables.values() for measure in table.measures)
    yield from (f"measure {name} is there twice" for name, count in names.items() if count > 1)
    for table in model.tables.values():
        if clash := {name.casefold() for name in table.columns} & names.keys():
            yield f"{table.name}: {sorted(clash)} is a column and a measure"
        expected = {name: {"int": "long"}.get(kind, kind) for name, kind in function_columns.get(table.function, {}).items()}
        declared = {name: column.type for name, column in table.columns.items()}
        if declared != expected:
            yield f"{table.name} differs from {table.function}: {sorted(set(declared.items()) ^ set(expected.items()))}"
        for measure in table.measures.values():
            yield from (f"[{measure.name}]: {fault}" for fault in dax_faults(measure.dax, model))
            if not measure.description or not measure.format:
                yield f"[{measure.name}] has no description or no format"
    ends = [end for relationship in model.relationships for end in (relationship.many, relationship.one)]
    for table_name, column in ends:
        if table_name not in model.tables or column not in model.tables[table_name].columns:
            yield f"a relationship names {table_name}.{column}, which is not there"
    yield from (f"{r.one} is not a key" for r in model.relationships if not _is_key(model, *r.one))
    yield from _ambiguities(model)


def _is_key(model: Model, table: str, column: str) -> bool:
    return table in model.tables and column in model.tables[table].columns and model.tables[table].columns[column].key


def _ambiguities(model: Model) -> Iterator[str]:
    """Two ways from one table to another: Power BI refuses a second active one."""
    onwards: dict[str, list[str]] = {}
    for relationship in model.relationships:
        onwards.setdefault(relationship.many[0], []).append(relationship.one[0])

    def ends(table: str) -> Iterable[str]:
        for following in onwards.get(table, []):
            yield following
            yield from ends(following)

    for table in model.tables:
        for end, count in Counter(ends(table)).items():
            if count > 1:
                yield f"there are {count} ways from {table} to {end}"


def dax_faults(dax: str, model: Model) -> Iterator[str]:
    measures = {measure for table in model.tables.values() for measure in table.measures}
    depth, position, variables = 0, 0, set(re.findall(r"\bVAR\s+(\w+)\s*=", dax))
    while position < len(dax):
        token = _TOKEN.match(dax, position)
        if token is None:
            yield f"{dax[position]!r} at {position} is not a DAX we know"
            return
        position = token.end()
        depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(token[0], 0)
        if depth < 0:
            yield "a parenthesis closes that was not opened"
            return
        if token["column"]:
            table, column = token[0].replace("'", "").rstrip("]").split("[")
            if table not in model.tables or column not in model.tables[table].columns:
                yield f"there is no column {token[0]}"
        elif token["measure"] and token[0][1:-1] not in measures:
            yield f"there is no measure {token[0]}"
        elif token["word"]:
            called = dax[position:].lstrip().startswith("(")
            if called and token[0].upper() not in FUNCTIONS | KEYWORDS:
                yield f"{token[0]} is not a function we know"
            if not called and token[0].strip("'") not in {*model.tables, *variables, *KEYWORDS}:
                yield f"{token[0]} is not a table"
    if depth:
        yield "a parenthesis is not closed"


def tmdl_faults(parts: Parts, model: Model) -> Iterator[str]:
    """Indentation, objects, references and uniqueness of the TMDL files."""
    text = {path: part for path, part in parts.items() if path.endswith(".tmdl")}
    tags = Counter(tag for part in text.values() for tag in re.findall(r"lineageTag: (\S+)", part))
    yield from (f"lineage tag {tag} is there twice" for tag, count in tags.items() if count > 1)
    for path, part in text.items():
        for number, line in enumerate(part.splitlines(), 1):
            if line.strip() and re.match(r"\t* +\S", line) and "\t\t\t" not in line:
                yield f"{path}:{number} is indented with spaces"
            if line.lstrip().startswith("//") and not line.lstrip().startswith("///"):
                yield f"{path}:{number} is a comment, which TMDL does not have"
    referred = set(re.findall(r"^ref table (\w+)$", text["definition/model.tmdl"], re.MULTILINE))
    present = {path.split("/")[-1].removesuffix(".tmdl") for path in text if "/tables/" in path}
    if referred != present or present != set(model.tables):
        yield f"model.tmdl and the tables' files differ: {sorted(referred ^ present)}"
    roles = set(re.findall(r"^ref role (\w+)$", text["definition/model.tmdl"], re.MULTILINE))
    if roles != {path.split("/")[-1].removesuffix(".tmdl") for path in text if "/roles/" in path}:
        yield "model.tmdl and the roles' files differ"
    for name in present & set(model.tables):
        part = text[f"definition/tables/{name}.tmdl"]
        columns = dict(re.findall(r"^\tcolumn (\w+)\n\t\tdataType: (\w+)$", part, re.MULTILINE))
        if columns != {column.name: DATA_TYPES[column.type] for column in model.tables[name].columns.values()}:
            yield f"{name}: columns or types differ from the model"
        if "mode: directQuery" not in part:
            yield f"{name}: asks nobody"


def dashboard_faults(part: str) -> Iterator[str]:
    """The derived schema, and the reference rules it can't say."""
    document = json.loads(re.sub(r"\{\{fabric:[^{}]+/id\}\}", GUID, part.replace(_uri_of(part), "https://x.kusto.windows.net")))
    schema = json.loads(shared_data("fabric/derived/realTimeDashboard.schema.json").read_text(encoding="utf-8"))
    for error in Draft202012Validator(schema).iter_errors(document):
        yield f"{'/'.join(map(str, error.path))}: {error.message[:150]}"
    pages, sources = ({one["id"] for one in document[key]} for key in ("pages", "dataSources"))
    queries = {query["id"]: query for query in document["queries"]}
    used = Counter(tile["queryRef"]["queryId"] for tile in document["tiles"] if "queryRef" in tile)
    used.update(one["dataSource"]["queryRef"]["queryId"] for one in document["parameters"] if "queryRef" in one["dataSource"])
    yield from (f"query {query} is used {count} times" for query, count in used.items() if count > 1)
    yield from (f"query {query} is not there or not used" for query in used.keys() ^ queries.keys())
    variables = {one["variableName"] for one in document["parameters"] if "variableName" in one}
    for query in queries.values():
        if query["dataSource"]["dataSourceId"] not in sources:
            yield f"query {query['id']} asks an unknown data source"
        written = {name for name in variables if f"'{name}'" in query["text"]}
        if written != set(query["usedVariables"]) or not written <= variables:
            yield f"query {query['id']} uses other variables than it says"
    for tile in document["tiles"]:
        at = tile["layout"]
        if tile["pageId"] not in pages:
            yield f"tile {tile['title']} is on no page"
        if at["x"] + at["width"] > 24:
            yield f"tile {tile['title']} is too wide"
    for a, b in combinations(document["tiles"], 2):
        if a["pageId"] == b["pageId"] and _overlap(a["layout"], b["layout"]):
            yield f"tile {a['title']} overlaps {b['title']}"


def _uri_of(part: str) -> str:
    found = re.search(r"\{\{fabric:[^{}]+/queryServiceUri\}\}", part)
    return found[0] if found else "\0"


def reflex_faults(part: str) -> Iterator[str]:
    """The derived schemas of entities and instances, and the reference rules they can't say."""
    entities = json.loads(re.sub(r"\{\{fabric:[^{}]+\}\}", GUID, part))
    outer, inner = (
        Draft202012Validator(json.loads(shared_data(f"fabric/derived/{name}.schema.json").read_text(encoding="utf-8")))
        for name in ("reflexEntities", "reflexInstance")
    )
    for error in outer.iter_errors(entities):
        yield f"{'/'.join(map(str, error.path))}: {error.message[:150]}"
    ids = Counter(entity["uniqueIdentifier"] for entity in entities)
    yield from (f"id {name} is there twice" for name, count in ids.items() if count > 1)
    for entity in entities:
        payload = entity["payload"]
        for key in ("parentObject", "parentContainer"):
            if key in payload and payload[key]["targetUniqueIdentifier"] not in ids:
                yield f"{payload['name']}: its {key} is not there"
        instance = payload.get("definition", {}).get("instance")
        if instance is None:
            continue
        for error in inner.iter_errors(json.loads(instance)):
            yield f"{payload['name']}: {error.message[:150]}"
        for referred in re.findall(r'"name": "entityId", "type": "string", "value": "([^"]+)"', instance):
            if referred not in ids:
                yield f"{payload['name']}: {referred} is not there"
