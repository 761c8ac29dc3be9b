"""The folders on disk as programs that nobody here wrote take them: fabric-cicd, pbir-utils, pbi-parsers."""

from __future__ import annotations

import base64
import json
import logging
import re
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import fabric_cicd
import pbir_utils
import pytest
from azure.core.credentials import AccessToken
from fabric_cicd import constants
from pbi_parsers import dax, pq

from infra.settings.fabric_items import fabric_items
from powerbi.folders import THIS_WORKSPACE, write_items
from powerbi.items import FabricItem
from powerbi.report import CONSOLIDATED
from powerbi.semantic_model import read_model, semantic_model
from tests.infra.deployments import stack
from tests.infra.providers.fabric.fake_fabric import CAPACITY, FakeFabric, Item, Workspace
from tests.infra.providers.fake_service import TOKEN
from tests.support.rules import RULES

WORKSPACE = "0b0b0b0b-0000-4000-8000-00000000000b"
AT = {"queryServiceUri": "https://store.kusto.fabric.microsoft.com"}
STORE = Item("0d0d0d0d-0000-4000-8000-00000000000d", "KQLDatabase", "roompulse", "", properties=AT)
HOUSE = Item("0d0d0d0d-0000-4000-8000-00000000000e", "Eventhouse", "roompulse-follower", "", properties=AT)
WAIVED = {"Limit data fields per visual": "a list of alerts has what one acts on: eight fields, where the rule stops at six"}
"""Rules of pbir-utils that a report breaks, with the reason."""


REPORTS = (CONSOLIDATED, *(city.name for city in stack("dev").cities))


@cache
def items() -> tuple[FabricItem, ...]:
    found = fabric_items(stack("dev"), RULES, "2026-11-29")
    return (*found.shared, *(item for of_city in found.cities.values() for item in of_city))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("output")
    write_items(items(), output, eventhouse=HOUSE.name)
    return output


def test_every_report_is_looked_at() -> None:
    assert [item.name for item in items() if item.type == "Report"] == list(REPORTS)


@pytest.mark.parametrize("report", REPORTS)
def test_pbir_utils_finds_nothing_but_what_is_waived(folders: Path, report: str) -> None:
    result = pbir_utils.validate_report(str(folders / "PowerBI-reports" / f"{report}.Report"), source="all")
    assert {str(one["rule_name"]) for one in result.violations} <= WAIVED.keys()


@pytest.mark.parametrize("measure", [name for table in read_model().tables.values() for name in table.measures])
def test_another_parser_reads_every_measure(measure: str) -> None:
    (expression,) = [table.measures[measure].dax for table in read_model().tables.values() if measure in table.measures]
    assert dax.to_ast(expression) is not None


def test_another_parser_reads_every_source() -> None:
    sources = [
        part.partition("source =\n")[2]
        for path, part in semantic_model().parts.items()
        if "/tables/" in path and isinstance(part, str)
    ]
    assert len(sources) == len(read_model().tables)
    assert all(pq.to_ast(source) is not None for source in sources)


class Credential:
    """Enters the fake tenant."""

    def get_token(self, *_: str, **__: object) -> AccessToken:
        return AccessToken(TOKEN, int(time.time()) + 3600)


@pytest.fixture(scope="module")
def published(folders: Path) -> Iterator[Workspace]:
    """The workspace after fabric-cicd has published the folders into it, where the database is already."""
    tenant = FakeFabric()
    workspace = Workspace(WORKSPACE, "RoomPulse", "", CAPACITY, items={one.id: one for one in (STORE, HOUSE)})
    tenant.workspaces[WORKSPACE], tenant.page_size, tenant.operations_at = workspace, 100, tenant.url
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "DEFAULT_API_ROOT_URL", tenant.url)
        patch.setattr(constants, "FABRIC_API_ROOT_URL", tenant.url)
        patch.setattr(time, "sleep", lambda _: None)
        logging.getLogger("fabric_cicd").setLevel(logging.CRITICAL)
        target = fabric_cicd.FabricWorkspace(
            repository_directory=str(folders),
            token_credential=Credential(),
            workspace_id=WORKSPACE,
            item_type_in_scope=["SemanticModel", "Report", "KQLDashboard", "Reflex"],
        )
        fabric_cicd.publish_all_items(target)
    yield workspace
    tenant.close()


def test_fabric_cicd_publishes_every_item(published: Workspace) -> None:
    there = {(item.type, item.name) for item in published.items.values()} - {(one.type, one.name) for one in (STORE, HOUSE)}
    assert there == {(item.type, item.name) for item in items()}


def decoded(payload: str) -> str:
    return base64.b64decode(payload).decode("utf-8")


def test_what_it_published_names_what_is_in_the_workspace(published: Workspace) -> None:
    ids = {(item.type, item.name): item.id for item in published.items.values()}
    texts: Mapping[str, str] = {item.name: "".join(map(decoded, item.parts.values())) for item in published.items.values()}
    assert not [name for name, text in texts.items() if "{{fabric" in text or "CLUSTER.REGION" in text]
    assert f'"workspace": "{WORKSPACE}"' in texts["RoomPulse live"] and STORE.id in texts["RoomPulse live"]
    assert AT["queryServiceUri"] in texts["RoomPulse"]
    assert ids["SemanticModel", "RoomPulse"] in texts["Lyon"]
    rules = json.loads(
        next(decoded(item.parts["ReflexEntities.json"]) for item in published.items.values() if item.type == "Reflex")
    )
    sources = [one["payload"]["eventhouseItem"] for one in rules if one["type"] == "kqlSource-v1"]
    assert {(one["itemId"], one["workspaceId"]) for one in sources} == {(STORE.id, WORKSPACE)}
    assert not re.search(THIS_WORKSPACE, texts["Alerts Lyon"])
