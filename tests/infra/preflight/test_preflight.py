"""`roompulse plan --check`: what Azure says of a stack before it is deployed, against a fake in Microsoft's published shapes."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli.main import app
from infra.azure_rest import AzureRest, Unanswered
from infra.offline import Recording
from infra.preflight.check import CHECKS, preflight
from infra.preflight.findings import Finding, Verdict, passes, render
from infra.preflight.offers import ARM_TYPES
from infra.preflight.query import FIX
from infra.preflight.rights import allowed
from infra.preflight.subscription import AZURE, Stack, Subscription
from processors.contracts.plain_text import visible
from tests.infra.arm_bodies import arm_type
from tests.infra.deployments import recording
from tests.infra.preflight.fake_subscription import (
    ADMINISTRATOR,
    BLOBS,
    CONTRIBUTOR,
    PLACE,
    REGION,
    SUBSCRIPTION,
    FakeSubscription,
)
from tests.infra.providers.fake_service import TOKEN, Answer, arm_error
from tests.support.shared_data import REPOSITORY, shared_data


@cache
def deployed(name: str) -> Stack:
    """What the stack NAME would deploy: found when it is asked for, not by each worker that only collects."""
    return Stack("westeurope", recording(name))


@pytest.fixture(scope="module")
def server() -> Iterator[FakeSubscription]:
    service = FakeSubscription()
    yield service
    service.close()


@pytest.fixture
def azure(server: FakeSubscription) -> FakeSubscription:
    server.reset()
    return server


def checked(azure: FakeSubscription, of: str | Stack = "prod") -> list[Finding]:
    return preflight(subscription(azure), of if isinstance(of, Stack) else deployed(of))


def subscription(azure: FakeSubscription) -> Subscription:
    return Subscription(SUBSCRIPTION, lambda scope: f"{TOKEN} for {scope}", azure.url)


def troubles(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.verdict is not Verdict.ok]


@pytest.mark.parametrize("of", ["prod", "fabric"])
def test_where_everything_is_ready_everything_is_ok(azure: FakeSubscription, of: str) -> None:
    findings = checked(azure, of)
    assert troubles(findings) == [] and passes(findings)
    asked = set(CHECKS) - ({"quota", "query"} if of == "fabric" else set())
    assert {finding.check for finding in findings} == asked | {"account", "regions"}


def test_only_what_changes_nothing_is_asked(azure: FakeSubscription) -> None:
    checked(azure)
    posted = {request.path.rsplit("/", 1)[-1] for request in azure.requests if request.method != "GET"}
    assert posted == {"checkNameAvailability", "compileQuery"}


def test_the_query_that_is_compiled_is_the_deployed_one(azure: FakeSubscription) -> None:
    checked(azure)
    (request,) = azure.asked("/compileQuery")
    assert request.query == {"api-version": "2021-10-01-preview"}
    assert request.json == {
        "query": "\n".join(
            (REPOSITORY / "asa-queries" / name / f"{name}.asaql").read_text(encoding="utf-8") for name in ("roompulse", "history")
        ),
        "jobType": "Cloud",
        "compatibilityLevel": "1.2",
        "inputs": [{"name": name, "type": "Stream"} for name in ("incidents", "observations")],
        "functions": [],
    }


Change = Callable[[FakeSubscription], object]
COMPILE = "/providers/Microsoft.StreamAnalytics/locations/westeurope/compileQuery"
QUOTAS = "/providers/Microsoft.StreamAnalytics/locations/westeurope/quotas"
PERMISSIONS = "/providers/Microsoft.Authorization/permissions"
GEO = "/providers/Microsoft.Web/geoRegions"
TAKEN = {"nameAvailable": False, "reason": "AlreadyExists", "message": "The name is already taken."}


def body(path: str, value: Any) -> Change:
    """Another answer at a path of the subscription."""
    return lambda azure: azure.bodies.__setitem__(path, value)


def part(path: str, *way: str | int, value: Any) -> Change:
    """Another value within the answer at a path."""

    def change(azure: FakeSubscription) -> None:
        place = azure.bodies[path]
        for step in way[:-1]:
            place = place[step]
        place[way[-1]] = value

    return change


def name_taken(name: str, answer: dict[str, Any] | None = None) -> Change:
    return lambda azure: azure.taken.__setitem__(name, answer or TAKEN)


def error(**fields: Any) -> dict[str, Any]:
    return {"errors": [{"message": "Invalid syntax.", "isGlobal": False, **fields}], "warnings": [], "inputs": [], "outputs": []}


SEEN: list[tuple[str, Change, str, str, str]] = [
    ("a subscription that is off", part("", "state", value="Disabled"), "account", "Rooms is Disabled", "--subscription"),
    ("a provider that nobody registered", part("/providers/Microsoft.Kusto", "registrationState", value="NotRegistered"),
     "providers", "is NotRegistered", "az provider register --namespace Microsoft.Kusto --wait"),
    ("a provider on its way", part("/providers/Microsoft.Web", "registrationState", value="Registering"),
     "providers", "is Registering", "Microsoft.Web --wait"),
    ("a type that the region lacks", part(
        "/providers/Microsoft.StreamAnalytics", "resourceTypes", 0, "locations", value=["East US"]),
     "regions", "is not offered in westeurope", "another azure.location"),
    ("a machine that is not sold", body("/providers/Microsoft.Kusto/skus", {"value": []}),
     "sizes", "is not sold in westeurope", "another size"),
    ("a machine of another region", part("/providers/Microsoft.Kusto/skus", "value", 0, "locations", value=["East US"]),
     "sizes", "is not sold in westeurope", "another size"),
    ("a machine that is closed to us", part("/providers/Microsoft.Kusto/skus", "value", 0, "restrictions", value=[
        {"type": "Location", "values": [REGION], "reasonCode": "NotAvailableForSubscription"}]),
     "sizes", "NotAvailableForSubscription", "support request"),
    ("a redundancy that is not sold", part("/providers/Microsoft.Storage/skus", "value", 1, "name", value="Premium_LRS"),
     "sizes", "is not sold in westeurope", "another size"),
    ("no apps on Flex here", body(GEO, {"value": []}), "sizes", "are not offered in westeurope", "another azure.location"),
    ("Flex without zones", part(GEO, "value", 0, "properties", "orgDomain", value="PUBLIC;FLEXCONSUMPTION"),
     "sizes", "have no zones in westeurope", "azure.zones: false"),
    ("a subscription without zones", part("/locations", "value", 0, "availabilityZoneMappings", value=[]),
     "sizes", "0 in westeurope", "azure.zones: false"),
    ("no streaming units left", part(QUOTAS, "value", 0, "properties", value={"maxCount": 200, "currentCount": 194}),
     "quota", "7 needed, 194 of 200 used", "ask for more quota"),
    ("a name of somebody else's", name_taken("stlakecontosoprod"),
     "names", "AlreadyExists: The name is already", "azure.organisation"),
    ("a vault that was deleted", name_taken("kv-contoso-prod", {**TAKEN, "message": "Such a vault exists in deleted state."}),
     "names", "in deleted state", "az keyvault recover"),
    ("a namespace's name", name_taken("evhns-roompulse-contoso-prod", {**TAKEN, "reason": "NameInUse"}),
     "names", "NameInUse", "azure.organisation"),
    ("an app's name", name_taken("func-roompulse-ingest-contoso-prod"), "names", "AlreadyExists", "azure.organisation"),
    ("a cluster's name", name_taken("adxcontosoprod"), "names", "AlreadyExists", "azure.organisation"),
    ("no Contributor", body(PERMISSIONS, {"value": [ADMINISTRATOR, BLOBS]}),
     "roles", "may not Microsoft.Resources/subscriptions/resourceGroups/write, ", '--role "Contributor"'),
    ("no right to assign roles", body(PERMISSIONS, {"value": [CONTRIBUTOR, BLOBS]}),
     "roles", "may not Microsoft.Authorization/roleAssignments/write", '--role "Role Based Access Control Administrator"'),
    ("no right on blobs", body(PERMISSIONS, {"value": [CONTRIBUTOR, ADMINISTRATOR]}),
     "roles", "blobServices/containers/blobs/write", '--role "Storage Blob Data Contributor"'),
    ("nobody at all", body(PERMISSIONS, {"value": []}), "roles", "may not", '--role "Contributor"'),
    ("a query that does not compile", body(COMPILE, error(startLine=12, startColumn=4, endLine=12, endColumn=9)),
     "query", "line 12, column 4: Invalid syntax.", FIX),
    ("a query that is wrong as a whole", body(COMPILE, error(isGlobal=True, startLine=0)), "query", "Invalid syntax.", FIX),
    ("an output nobody declared", part(COMPILE, "outputs", value=["alerts", "lake", "processed", "cityminute", "extra"]),
     "query", "The compiler finds outputs alerts, cityminute, extra, lake, processed", "declare in asa-queries"),
    ("a compiler that says nothing", body(COMPILE, {}), "query", "The compiler finds inputs none", "declare in"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "check", "reported", "step"), [case[1:] for case in SEEN], ids=[case[0] for case in SEEN])
def test_what_would_fail_is_told_with_its_next_step(
    azure: FakeSubscription, change: Change, check: str, reported: str, step: str
) -> None:
    change(azure)
    found = troubles(checked(azure))
    assert {(finding.check, finding.verdict) for finding in found} == {(check, Verdict.fault)}, found
    assert any(reported in finding.reported for finding in found) and all(step in found[0].next_step for _ in found), found


def test_a_warning_of_the_compiler_is_told_and_stops_nobody(azure: FakeSubscription) -> None:
    azure.bodies[COMPILE]["warnings"] = ["Step 'x' has no partition key."]
    (warning,) = troubles(checked(azure))
    assert (warning.verdict, warning.reported) == (Verdict.warning, "Step 'x' has no partition key.") and passes([warning])


def with_one(token: str, **inputs: Any) -> Stack:
    """The stack `prod` with one more resource."""
    one = replace(deployed("prod").of_type("resources:ResourceGroup")[0], urn=f"urn::{token}", type=AZURE + token, inputs=inputs)
    return Stack("westeurope", Recording((*deployed("prod").recording.registrations, one), deployed("prod").recording.outputs))


def test_a_region_that_is_named_among_its_properties_is_found(azure: FakeSubscription) -> None:
    del azure.bodies[GEO]["value"][0]["name"]
    assert troubles(checked(azure)) == []


@pytest.mark.parametrize(("limit", "used", "verdict"), [(8, 6, Verdict.ok), (8, 7, Verdict.fault), (0, 0, Verdict.fault)])
def test_capacity_units_of_fabric_are_counted(azure: FakeSubscription, limit: int, used: int, verdict: Verdict) -> None:
    usages = azure.bodies["/providers/Microsoft.Fabric/locations/westeurope/usages"]["value"][0]
    usages.update(limit=limit, currentValue=used)
    findings = checked(azure, with_one("fabric:FabricCapacity", capacityName="fccontosoprod", sku={"name": "F2"}))
    (quota,) = (finding for finding in findings if finding.about == "Fabric capacity units")
    assert quota.verdict is verdict and f"2 needed, {used} of {limit} used" in quota.reported
    assert {finding.about for finding in findings} >= {"fccontosoprod", "capacities F2", "Microsoft.Fabric/capacities"}


def test_a_private_network_needs_the_provider_of_its_subnets(azure: FakeSubscription) -> None:
    azure.bodies["/providers/Microsoft.App"]["registrationState"] = "NotRegistered"
    (found,) = troubles(checked(azure, with_one("network:VirtualNetwork")))
    assert (found.check, found.about, found.verdict) == ("providers", "Microsoft.App", Verdict.fault)


class TestDeployedAlready:
    def test_what_is_ours_is_not_taken_and_its_quota_not_counted_twice(self, azure: FakeSubscription) -> None:
        azure.deployed = ["stlakecontosoprod", "KV-contoso-prod", "asa-roompulse-contoso-prod"]
        name_taken("stlakecontosoprod")(azure)
        name_taken("kv-contoso-prod")(azure)
        azure.bodies[QUOTAS]["value"][0]["properties"] = {"maxCount": 10, "currentCount": 10}
        assert troubles(checked(azure)) == []

    def test_a_job_that_outgrows_the_quota_is_at_fault_though_it_is_ours(self, azure: FakeSubscription) -> None:
        azure.deployed = ["asa-roompulse-contoso-prod"]
        azure.bodies[QUOTAS]["value"][0]["properties"] = {"maxCount": 6, "currentCount": 3}
        (found,) = troubles(checked(azure))
        assert (found.verdict, found.reported) == (Verdict.fault, "7 needed, 3 of 6 used in westeurope")

    def test_whose_it_is_stays_unknown_where_the_group_can_t_be_read(self, azure: FakeSubscription) -> None:
        azure.fail("GET", "/resources", arm_error(403, "AuthorizationFailed", "no"), times=2)
        name_taken("stlakecontosoprod")(azure)
        azure.bodies[QUOTAS]["value"][0]["properties"] = {"maxCount": 10, "currentCount": 10}
        found = {finding.about: finding for finding in troubles(checked(azure))}
        assert found.keys() == {"stlakecontosoprod", "streaming units"}
        assert {finding.verdict for finding in found.values()} == {Verdict.unknown}


ENDINGS = {
    "roles": "Microsoft.Authorization/permissions",
    "providers": "/providers/Microsoft.Kusto",
    "sizes": "Microsoft.Kusto/skus",
    "quota": "/quotas",
    "names": "Microsoft.KeyVault/checkNameAvailability",
    "query": "/compileQuery",
}
NO_ANSWERS: list[tuple[str, Answer | None, str, str]] = [
    ("refused", arm_error(403, "AuthorizationFailed", "The client may not."), r"403 \(AuthorizationFailed\): The client may not",
     "ask for Contributor"),
    ("signed out", arm_error(401, "ExpiredAuthenticationToken", "The token is old."), "401", "az login"),
    ("an API that moved", arm_error(404, "NotFound", "No."), "404", "moved this API"),
    ("throttled", arm_error(429, "TooManyRequests", "Slow.", **{"Retry-After": "17"}), "asks to wait 17 s", "check again later"),
    ("broken", Answer(500, "oh no"), "500 .*oh no", "check again later"),
    ("a page of a proxy", Answer(200, "<html>"), "not JSON", "check again later"),
    ("a list where an object belongs", Answer(200, []), "not a JSON object", "check again later"),
    ("gone away", None, "can't be reached", "check again later"),
]  # fmt: skip


@pytest.mark.parametrize("check", CHECKS)
def test_a_question_without_an_answer_hides_no_other(azure: FakeSubscription, check: str) -> None:
    azure.fail("POST" if check in ("names", "query") else "GET", ENDINGS[check], arm_error(403, "AuthorizationFailed", "No."))
    findings = checked(azure)
    (found,) = troubles(findings)
    assert (found.check, found.verdict) == (check, Verdict.unknown) and not passes(findings)
    assert {finding.check for finding in findings} == {*CHECKS, "account", "regions"}


@pytest.mark.parametrize(("answer", "reported", "step"), [case[1:] for case in NO_ANSWERS], ids=[case[0] for case in NO_ANSWERS])
def test_why_there_is_no_answer_is_said_with_the_next_step(
    azure: FakeSubscription, answer: Answer | None, reported: str, step: str
) -> None:
    azure.fail("GET", ENDINGS["providers"], answer)
    (found,) = troubles(list(CHECKS["providers"](subscription(azure), deployed("prod"))))
    assert found.verdict is Verdict.unknown and re.search(reported, found.reported) and step in found.next_step, found


SHAPELESS: list[tuple[str, Change, str]] = [
    ("a name without an answer", name_taken("kv-contoso-prod", {"message": "?"}), "names"),
    ("a provider without a state", part("/providers/Microsoft.Kusto", "registrationState", value=None), "providers"),
    ("a provider without the type", part("/providers/Microsoft.Kusto", "resourceTypes", value=[]), "regions"),
    ("a quota without figures", part(QUOTAS, "value", 0, "properties", value={}), "quota"),
    ("no such quota", body(QUOTAS, {"value": []}), "quota"),
    ("a list without entries", body(QUOTAS, {}), "quota"),
    ("permissions without data actions", body(PERMISSIONS, {"value": [{"actions": ["*"], "notActions": []}]}), "roles"),
    ("regions without ours", body("/locations", {"value": []}), "sizes"),
]


ODD: list[tuple[str, Change, str]] = [
    ("permissions that are a number", part(PERMISSIONS, "value", 0, "actions", value=5), "roles"),
    ("types that are text", part("/providers/Microsoft.Kusto", "resourceTypes", value="x"), "providers"),
    ("a type that is nothing", part("/providers/Microsoft.Kusto", "resourceTypes", 0, value=None), "providers"),
    ("restrictions that are text", part("/providers/Microsoft.Kusto/skus", "value", 0, "restrictions", value="x"), "sizes"),
    ("zones that are a number", part("/locations", "value", 0, "availabilityZoneMappings", value=5), "sizes"),
    ("a quota that is a list", part(QUOTAS, "value", 0, "properties", value=[5]), "quota"),
    ("errors that are texts", part(COMPILE, "errors", value=["x"]), "query"),
]


@pytest.mark.parametrize(("change", "check"), [case[1:] for case in ODD], ids=[case[0] for case in ODD])
def test_an_answer_in_another_form_is_unknown_and_hides_no_other_check(
    azure: FakeSubscription, change: Change, check: str
) -> None:
    change(azure)
    findings = checked(azure)
    (found,) = troubles(findings)
    assert (found.check, found.verdict, found.about) == (check, Verdict.unknown, "the rest")
    assert found.reported.startswith("Azure answered in a form that is not documented (")
    assert {finding.check for finding in findings} >= {*CHECKS, "account"} - {"regions"}


@pytest.mark.parametrize(("change", "check"), [case[1:] for case in SHAPELESS], ids=[case[0] for case in SHAPELESS])
def test_an_answer_that_says_nothing_is_unknown_and_never_good(azure: FakeSubscription, change: Change, check: str) -> None:
    change(azure)
    assert {(found.check, found.verdict) for found in troubles(checked(azure))} == {(check, Verdict.unknown)}


def test_where_nobody_answers_every_check_is_told_as_not_asked(azure: FakeSubscription) -> None:
    azure.fail("GET", SUBSCRIPTION, None)
    findings = checked(azure)
    assert [finding.check for finding in findings] == ["account", *CHECKS] and len(azure.requests) == 1
    assert all(finding.verdict is Verdict.unknown and finding.next_step for finding in findings)


def test_the_token_goes_to_resource_manager_alone_and_is_in_no_finding(azure: FakeSubscription) -> None:
    azure.fail("GET", "/quotas", Answer(200, {"value": [], "nextLink": "https://elsewhere.example.com/"}))
    findings = checked(azure)
    assert {request.headers["Authorization"] for request in azure.requests} == {
        f"Bearer {TOKEN} for https://management.azure.com/.default"
    }
    assert "continues at another host" in str(findings) and TOKEN not in str(findings)


def test_a_list_is_read_to_its_end(azure: FakeSubscription) -> None:
    path = f"{PLACE}{QUOTAS}"
    azure.fail(
        "GET", "/quotas", Answer(200, {"value": [{"name": "Other"}], "nextLink": f"{azure.url}{path}?api-version=1&page=2"})
    )
    assert troubles(checked(azure)) == [] and len(azure.asked("/quotas")) == 2


def test_a_list_without_an_end_is_left(azure: FakeSubscription) -> None:
    path = f"{azure.url}{PLACE}{QUOTAS}?api-version=1"
    azure.bodies[QUOTAS] = {"value": [], "nextLink": path}
    with pytest.raises(Unanswered, match="has no end"):
        list(AzureRest(lambda scope: TOKEN).items(path, "https://management.azure.com"))


class TestRights:
    """An action is allowed where a permission names it and does not take it away, as Azure's page on role definitions has it."""

    @pytest.mark.parametrize(
        ("permissions", "may"),
        [
            ([{"actions": ["*"], "notActions": []}], True),
            ([{"actions": ["*/write"], "notActions": []}], True),
            ([{"actions": ["microsoft.KUSTO/Clusters/*"], "notActions": []}], True),
            ([{"actions": ["Microsoft.Kusto/*"], "notActions": ["*/write"]}], False),
            ([{"actions": ["Microsoft.Kusto/*"], "notActions": ["*/write"]}, {"actions": ["*/write"], "notActions": []}], True),
            ([{"actions": ["*/read"], "notActions": []}], False),
            ([{"actions": ["Microsoft.Kusto/clusters"], "notActions": []}], False),
            ([{"actions": ["Microsoft?Kusto/clusters/write"], "notActions": []}], False),
            ([{"dataActions": ["*"], "actions": []}], False),
            ([{"actions": None, "notActions": None}], False),
            ([], False),
        ],
    )
    def test_as_azure_reads_patterns(self, permissions: list[dict[str, Any]], may: bool) -> None:
        assert allowed("Microsoft.Kusto/clusters/write", permissions, "actions") is may

    @given(st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=4), st.lists(st.sampled_from(["a", "b"]), max_size=4))
    def test_what_is_taken_away_whole_is_never_allowed(self, pattern: list[str], action: list[str]) -> None:
        permission = {"actions": ["/".join(pattern)], "notActions": ["*"]}
        assert not allowed("/".join(action), [permission], "actions")


def test_azure_s_names_of_our_types_are_those_of_its_type_definitions() -> None:
    known = {token: name for token, name in ARM_TYPES.items() if not name.startswith("Microsoft.Network/")}
    for token, name in known.items():
        assert arm_type(shared_data("arm-types"), token).split("@")[0].lower() == name.lower()


@pytest.mark.parametrize("of", ["prod", "fabric"])
def test_every_type_that_stands_in_a_region_is_checked(of: str) -> None:
    inside = {"resources:ResourceGroup", "kusto:ReadWriteDatabase", "kusto:EventHubDataConnection"}
    found = deployed(of)
    regional = {r.type for r in found.recording.resources if r.inputs.get("location") == found.location}
    assert {token.removeprefix(AZURE) for token in regional if token.startswith(AZURE)} - inside <= ARM_TYPES.keys()


def test_it_reads_as_a_table_with_the_next_step_below(azure: FakeSubscription) -> None:
    azure.bodies["/providers/Microsoft.Kusto"]["registrationState"] = "NotRegistered"
    azure.bodies[COMPILE] = error(message="two\nlines\x1b[31m", startLine=1, startColumn=2)
    text = visible(render(SUBSCRIPTION, checked(azure)))
    assert "  fault    providers  Microsoft.Kusto" in text
    assert "Next: az provider register --namespace Microsoft.Kusto --wait" in text
    assert "line 1, column 2: two lines [31m" in text and text.splitlines()[-1].endswith("2 fault, 0 unknown")


class TestCommand:
    def run(self, monkeypatch: pytest.MonkeyPatch, address: str, *options: str) -> tuple[int, str]:
        monkeypatch.setenv("ROOMPULSE_ARM_ENDPOINT", address)
        monkeypatch.setenv("ROOMPULSE_ACCESS_TOKEN", TOKEN)
        monkeypatch.delenv("AZURE_SUBSCRIPTION_ID", raising=False)
        monkeypatch.delenv("ARM_SUBSCRIPTION_ID", raising=False)
        result = CliRunner().invoke(app, ["plan", "--stack", "fabric", "--check", *options])
        return result.exit_code, result.output

    def test_it_ends_with_1_when_anything_is_at_fault_or_unknown(
        self, azure: FakeSubscription, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        code, text = self.run(monkeypatch, azure.url, "--subscription", SUBSCRIPTION)
        assert code == 0 and "0 fault, 0 unknown" in text
        azure.bodies["/providers/Microsoft.Storage"]["registrationState"] = "NotRegistered"
        code, text = self.run(monkeypatch, azure.url, "--subscription", SUBSCRIPTION, "--json")
        reported = json.loads(text)
        assert code == 1 and reported["passes"] is False and reported["subscription"] == SUBSCRIPTION
        assert [one for one in reported["findings"] if one["verdict"] != "ok"] == [
            {
                "check": "providers",
                "about": "Microsoft.Storage",
                "verdict": "fault",
                "reported": "is NotRegistered",
                "next_step": "az provider register --namespace Microsoft.Storage --wait",
            }
        ]

    def test_without_a_network_it_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket() as taken:  # bound and not listening: nobody answers there
            taken.bind(("127.0.0.1", 0))
            code, text = self.run(monkeypatch, f"http://127.0.0.1:{taken.getsockname()[1]}", "--subscription", SUBSCRIPTION)
        assert code == 1 and "can't be reached" in text and text.count("not asked") == len(CHECKS)

    @pytest.mark.parametrize(
        ("options", "reported"),
        [
            ((), "Which subscription"),
            (("--subscription", SUBSCRIPTION, "--cost"), "leave out --against"),
            (("--subscription", SUBSCRIPTION, "--against", "prod"), "leave out --against"),
        ],
    )
    def test_what_it_can_t_do_is_refused(self, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], reported: str) -> None:
        code, text = self.run(monkeypatch, "http://127.0.0.1:1", *options)
        assert code == 1 and reported in text
