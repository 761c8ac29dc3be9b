"""The published package as a resource, end to end: Pulumi's provider server against an app that behaves as Flex Consumption
does."""

from __future__ import annotations

import base64
import json
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from pulumi.runtime import rpc

from infra.providers.function_package import FunctionPackageProvider
from tests.infra.providers.fake_function_app import NO_STORAGE_ROLE, App, Deployment, FakeFunctionApps
from tests.infra.providers.fake_service import TOKEN, Answer, Fault
from tests.infra.providers.provider_server import ProviderServer, error_text

FAILED, CANCELLED, CONFLICT, PARTIAL = 3, -1, 5, 6


@pytest.fixture(scope="module")
def service() -> Iterator[FakeFunctionApps]:
    service = FakeFunctionApps()
    yield service
    service.close()


@pytest.fixture(scope="module")
def shared_server(service: FakeFunctionApps, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderServer]:
    server = ProviderServer(FunctionPackageProvider(), tmp_path_factory.mktemp("elsewhere"), **service.environment())
    yield server
    server.close()


@pytest.fixture
def azure(service: FakeFunctionApps) -> FakeFunctionApps:
    for memory in (service.apps, service.faults, service.requests, service.endings):
        memory.clear()
    service.says, service.starts, service.lists_ids = 202, True, True
    return service


@pytest.fixture
def server(shared_server: ProviderServer, azure: FakeFunctionApps) -> ProviderServer:
    return shared_server


@pytest.fixture
def app_name() -> str:
    return f"func-{uuid.uuid4().hex[:8]}"


def package(folder: Path, app_name: str, content: str) -> dict[str, Any]:
    """Declared properties, with a package of that content on disk."""
    path = folder / f"{content[:8]}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("content.json", json.dumps({"sha256": content}))
    return {"appName": app_name, "packagePath": str(path), "sha256": content}


FIRST, SECOND = "1" * 64, "2" * 64


@pytest.fixture
def props(tmp_path: Path, app_name: str) -> dict[str, Any]:
    return package(tmp_path, app_name, FIRST)


def running(azure: FakeFunctionApps, app_name: str) -> str:
    return azure.apps[app_name].content


class TestPublishing:
    @pytest.mark.parametrize("says", [200, 202])
    def test_done_means_that_the_app_answers_with_the_content(
        self, server: ProviderServer, azure: FakeFunctionApps, props: dict[str, Any], app_name: str, says: int
    ) -> None:
        azure.says = says
        identifier, outs = server.create(props)
        assert (identifier, outs) == (app_name, props)
        assert running(azure, app_name) == FIRST and azure.uploads() == 1

    def test_new_content_is_published_over_the_old(
        self, server: ProviderServer, azure: FakeFunctionApps, props: dict[str, Any], app_name: str, tmp_path: Path
    ) -> None:
        identifier, outs = server.create(props)
        news = package(tmp_path, app_name, SECOND)
        assert server.update(identifier, outs, news) == news
        assert running(azure, app_name) == SECOND

    def test_an_app_that_runs_the_content_already_is_left_alone(
        self, server: ProviderServer, azure: FakeFunctionApps, props: dict[str, Any], app_name: str
    ) -> None:
        azure.apps[app_name] = App(content=FIRST)
        server.create(props)
        assert azure.uploads() == 0

    def test_deleting_leaves_the_code_to_its_app(
        self, server: ProviderServer, azure: FakeFunctionApps, props: dict[str, Any]
    ) -> None:
        identifier, outs = server.create(props)
        azure.requests.clear()
        server.delete(identifier, outs)
        assert azure.requests == []


class TestDifference:
    def test_the_same_content_is_no_change_wherever_the_package_lies(
        self, server: ProviderServer, azure: FakeFunctionApps, props: dict[str, Any]
    ) -> None:
        identifier, outs = server.create(props)
        assert not server.diff(identifier, outs, {**props, "packagePath": "output/packages/elsewhere.zip"}).changes

    def test_other_content_is_an_update(self, server: ProviderServer, azure: FakeFunctionApps, props: dict[str, Any]) -> None:
        identifier, outs = server.create(props)
        difference = server.diff(identifier, outs, {**props, "sha256": SECOND})
        assert difference.changes and difference.replaces == []

    def test_another_app_is_another_resource_unless_its_name_is_not_known_yet(
        self, server: ProviderServer, azure: FakeFunctionApps, props: dict[str, Any]
    ) -> None:
        identifier, outs = server.create(props)
        assert server.diff(identifier, outs, {**props, "appName": "func-other"}).replaces == ["appName"]
        difference = server.diff(identifier, outs, {**props, "appName": rpc.UNKNOWN})
        assert difference.changes and difference.replaces == []

    def test_going_back_after_a_publication_that_did_not_start_is_an_update(
        self, server: ProviderServer, azure: FakeFunctionApps, props: dict[str, Any], app_name: str, tmp_path: Path
    ) -> None:
        identifier, outs = server.create(props)
        azure.apps[app_name].content = ""  # the second content was published, and its code doesn't start
        assert server.diff(identifier, outs, props).changes
        server.update(identifier, outs, props)
        assert running(azure, app_name) == FIRST

    def test_drift_shows_the_content_that_runs(
        self, server: ProviderServer, azure: FakeFunctionApps, props: dict[str, Any], app_name: str
    ) -> None:
        identifier, outs = server.create(props)
        assert server.read(identifier, outs) == (identifier, outs)
        azure.apps[app_name].content = SECOND
        _, live = server.read(identifier, outs)
        assert live["sha256"] == SECOND and server.diff(identifier, live, props).changes


class TestFaults:
    @pytest.mark.parametrize("status", [403, 404, 409, 429, 500, 502, 503])
    @pytest.mark.parametrize("times", [1, 4])
    def test_an_upload_refused_while_roles_and_names_are_fresh_is_tried_again(
        self, server: ProviderServer, azure: FakeFunctionApps, props: dict[str, Any], app_name: str, status: int, times: int
    ) -> None:
        azure.fail("POST", "/api/publish", Answer(status, "not yet"), times=times)
        server.create(props)
        assert running(azure, app_name) == FIRST

    def test_a_storage_role_missing_at_the_upload_is_waited_for(
        self, server: ProviderServer, azure: FakeFunctionApps, props: dict[str, Any], app_name: str
    ) -> None:
        azure.fail("POST", "/api/publish", Answer(400, "BlobUploadFailedException: " + NO_STORAGE_ROLE), times=2)
        server.create(props)
        assert running(azure, app_name) == FIRST

    @pytest.mark.parametrize("says", [200, 202])
    def test_a_storage_role_missing_in_the_deployment_is_waited_for(
        self, server: ProviderServer, azure: FakeFunctionApps, props: dict[str, Any], app_name: str, says: int
    ) -> None:
        azure.says, azure.endings = says, [(FAILED, NO_STORAGE_ROLE)] * 3
        server.create(props)
        assert running(azure, app_name) == FIRST and azure.uploads() == 4

    @pytest.mark.parametrize("older", [False, True])
    def test_a_deployment_that_is_only_the_latest_is_waited_for_too(
        self, server: ProviderServer, azure: FakeFunctionApps, props: dict[str, Any], app_name: str, older: bool
    ) -> None:
        """Flex answers 404 for the id of a deployment that could not write its storage, and says why as the latest."""
        azure.lists_ids = False
        if older:
            azure.apps[app_name] = App(deployments={"of-last-week": Deployment(FIRST, FAILED, "no such module", looks=0)})
        azure.endings = [(FAILED, NO_STORAGE_ROLE)] * 2
        server.create(props)
        assert running(azure, app_name) == FIRST and azure.uploads() == 3

    def test_why_a_deployment_failed_that_is_only_the_latest_is_told(
        self, server: ProviderServer, azure: FakeFunctionApps, props: dict[str, Any]
    ) -> None:
        azure.lists_ids, azure.endings = False, [(FAILED, "Package deployment failed: no such module.")]
        with pytest.raises(grpc.RpcError) as caught:
            server.create(props)
        told = error_text(caught.value)
        assert "no such module" in told and "still going on" not in told

    @pytest.mark.parametrize("ending", [CANCELLED, CONFLICT])
    def test_a_deployment_another_one_got_in_the_way_of_is_made_again(
        self, server: ProviderServer, azure: FakeFunctionApps, props: dict[str, Any], app_name: str, ending: int
    ) -> None:
        azure.endings = [(ending, "")]
        server.create(props)
        assert running(azure, app_name) == FIRST

    def test_a_deployment_that_is_not_listed_yet_is_waited_for(
        self, server: ProviderServer, azure: FakeFunctionApps, props: dict[str, Any], app_name: str
    ) -> None:
        azure.faults.append(
            Fault(lambda request: "/api/deployments/" in request.path, Answer(404, "No deployment found."), times=3)
        )
        server.create(props)
        assert running(azure, app_name) == FIRST and azure.uploads() == 1

    @pytest.mark.parametrize("says", [200, 202])
    @pytest.mark.parametrize("ending", [FAILED, PARTIAL])
    def test_a_deployment_that_fails_is_an_error_whatever_the_upload_said(
        self, server: ProviderServer, azure: FakeFunctionApps, props: dict[str, Any], app_name: str, says: int, ending: int
    ) -> None:
        azure.says, azure.endings = says, [(ending, "Package is invalid: host.json is missing.")]
        with pytest.raises(grpc.RpcError) as failure:
            server.create(props)
        assert f"function app {app_name}: deployment deployment-" in error_text(failure.value)
        assert "host.json is missing. Next: fix what it names" in error_text(failure.value)
        server.create(props)
        assert running(azure, app_name) == FIRST

    def test_a_page_instead_of_an_answer_is_an_error_that_shows_it(
        self, server: ProviderServer, azure: FakeFunctionApps, props: dict[str, Any]
    ) -> None:
        azure.faults.append(Fault(lambda request: "/api/deployments/" in request.path, Answer(200, "<html>proxy")))
        with pytest.raises(grpc.RpcError) as failure:
            server.create(props)
        assert "reading the deployment: the answer is not JSON ('<html>proxy')" in error_text(failure.value)

    def test_code_that_does_not_start_is_an_error_with_the_way_back(
        self, server: ProviderServer, azure: FakeFunctionApps, props: dict[str, Any], app_name: str
    ) -> None:
        azure.starts = False
        with pytest.raises(grpc.RpcError) as failure:
            server.create(props)
        assert "published, but" in error_text(failure.value) and "answers HTTP 404" in error_text(failure.value)
        assert "go back to the last good commit" in error_text(failure.value)

    def test_a_refusal_that_does_not_pass_is_an_error_at_once(
        self, server: ProviderServer, azure: FakeFunctionApps, props: dict[str, Any]
    ) -> None:
        azure.fail("POST", "/api/publish", Answer(401, ""))
        with pytest.raises(grpc.RpcError) as failure:
            server.create(props)
        assert "Next: az login" in error_text(failure.value) and azure.uploads() == 1

    def test_fresh_roles_that_never_come_are_an_error(
        self, server: ProviderServer, azure: FakeFunctionApps, props: dict[str, Any]
    ) -> None:
        azure.fail("POST", "/api/publish", Answer(403, "Forbidden"), times=10_000)
        with pytest.raises(grpc.RpcError) as failure:
            server.create(props)
        assert "publishing the package failed: HTTP 403" in error_text(failure.value)

    def test_a_package_that_is_not_what_was_declared_is_not_published(
        self, server: ProviderServer, azure: FakeFunctionApps, props: dict[str, Any], app_name: str, tmp_path: Path
    ) -> None:
        with pytest.raises(grpc.RpcError) as failure:
            server.create({**props, "sha256": SECOND})
        assert "holds other content (111111111111) than declared (222222222222)" in error_text(failure.value)
        with pytest.raises(grpc.RpcError) as failure:
            server.create({**props, "packagePath": str(tmp_path / "gone.zip")})
        assert "package gone.zip is missing" in error_text(failure.value)
        assert azure.uploads() == 0

    @pytest.mark.parametrize("afterwards", [False, True], ids=["before it took effect", "after it took effect"])
    @pytest.mark.parametrize("answer", [None, Answer(400, "Something Azure does not like.")], ids=["connection lost", "refused"])
    @pytest.mark.parametrize("number", range(1, 8))
    def test_cut_off_at_any_request_the_next_run_finishes(
        self,
        server: ProviderServer,
        azure: FakeFunctionApps,
        props: dict[str, Any],
        app_name: str,
        number: int,
        answer: Answer | None,
        afterwards: bool,
    ) -> None:
        azure.fail_nth(number, answer, afterwards=afterwards)
        try:
            server.create(props)
        except grpc.RpcError:
            server.create(props)
        assert running(azure, app_name) == FIRST


class TestSecrets:
    def test_the_pickled_provider_is_a_name_and_nothing_else(self, shared_server: ProviderServer) -> None:
        blob = base64.b64decode(shared_server.blob)
        assert b"infra.providers.function_package" in blob and len(blob) < 200

    def test_no_token_in_state_log_or_errors(
        self, server: ProviderServer, azure: FakeFunctionApps, props: dict[str, Any]
    ) -> None:
        _, outs = server.create(props)
        azure.fail("POST", "/api/publish", Answer(401, ""))
        with pytest.raises(grpc.RpcError) as failure:
            server.update("id", outs, {**props, "sha256": FIRST, "appName": "func-new"})
        assert TOKEN not in f"{outs}{server.log}{failure.value.details()}"
