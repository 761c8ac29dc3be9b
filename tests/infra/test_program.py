"""The deployment of the repository's stacks, evaluated without Pulumi's engine and without Azure."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pulumi
import pytest
import yaml

from activator.declarations import DeclarationError
from infra.azure.action_groups import short_name
from infra.azure.compiled_rules import route_kql, route_to
from infra.azure.pipeline_alerts import RULES as METRIC_RULES
from infra.azure.room_alerts import COLUMNS
from infra.entry import token_set_fault
from infra.offline import FABRIC, OURS, evaluate
from infra.policies.rules import AZURE, at
from infra.program import poll_schedule
from infra.providers.vault_secret import NOT_SET
from infra.settings.contacts import country_and_number
from infra.settings.deployment import IncidentPages
from infra.settings.processor_settings import deployed_fanout_settings, ingest_settings
from processors.alert_fanout.alerts import Alert
from processors.alert_fanout.channels.azure_monitor import AzureMonitor, row_of
from processors.alert_fanout.function_app import store_of
from processors.alert_fanout.notice import Line, Notice
from processors.alert_fanout.state_blobs import BlobTexts
from processors.contracts.validation import FANOUT_SETTINGS, INGEST_SETTINGS, faults
from processors.ingest import token_stores
from processors.ingest.environment import faults_of, token_source
from processors.ingest.push import home
from processors.ingest.push.home import RECORD_SECRET
from processors.ingest.tokens import ServiceAppToken, TokenStoreError, token_set_from
from processors.settings_source import settings_at
from tests.infra.checks import changes_between, findings
from tests.infra.deployments import TODAY, TOKEN_SET, record, recording, stack, with_cities
from tests.infra.recorded import of_type, ours, triggers
from tests.support.rules import RULES
from tests.support.shared_data import REPOSITORY

STACKS = ("dev", "prod")


@pytest.mark.parametrize("name", STACKS)
def test_nothing_is_wrong_with_our_stacks(name: str) -> None:
    assert findings(recording(name)) == []


def test_nothing_is_wrong_without_a_live_store() -> None:
    dev = stack("dev")
    assert dev.azure is not None
    without = record(replace(dev, azure=replace(dev.azure, kusto=None, fabric=None)))
    assert findings(without) == []
    assert not [resource for resource in without.resources if ":kusto:" in resource.type]


@pytest.mark.parametrize("name", STACKS)
def test_a_preview_shows_the_same_resources_as_the_deployment(name: str) -> None:
    """What is declared inside an apply would be missing from a preview."""
    assert {r.urn for r in recording(name, preview=True).registrations} == {r.urn for r in recording(name).registrations}


@pytest.mark.parametrize("name", STACKS)
def test_names_are_known_in_a_preview(name: str) -> None:
    certain = {r.urn: r.inputs for r in recording(name).resources}
    for resource in recording(name, preview=True).resources:
        for key, value in resource.inputs.items():
            if key.endswith("Name") or key == "name":
                assert value == certain[resource.urn][key]


@pytest.mark.parametrize("name", STACKS)
def test_two_runs_declare_the_same(name: str) -> None:
    assert changes_between(recording(name), record(stack(name))) == []


def test_only_prod_refuses_to_delete_what_holds_data() -> None:
    holding = {"group", "workspace", "key-vault", "namespace", "observations", "lake-account", "lake-container", "database"}
    assert holding <= {r.name for r in recording("prod").resources if r.protect}
    assert not [r.name for r in recording("dev").resources if r.protect]


def test_prod_spans_zones() -> None:
    prod = recording("prod")
    assert prod["namespace"].inputs["zoneRedundant"] is True
    assert prod["cluster"].inputs["zones"] == ["1", "2", "3"]
    assert {account.inputs["sku"]["name"] for account in of_type(prod, "storage:StorageAccount")} == {"Standard_ZRS"}


def test_outputs_are_what_a_person_needs_next() -> None:
    assert set(recording("dev").outputs) == {
        "portal", "resourceGroup", "eventHubsNamespace", "ingestApp", "fanoutApp", "lake", "vault", "logs", "liveStore",
        "fabricCapacity", "fabricWorkspace",
    }  # fmt: skip


def test_a_stack_that_can_t_carry_its_cities_is_not_declared() -> None:
    prod = stack("prod")
    too_many = replace(prod, cities=(replace(prod.cities[0], devices=90_000),))
    with pytest.raises(DeclarationError, match="can't carry its cities"):
        record(too_many)


def test_every_paragraph_of_the_kusto_script_is_one_command() -> None:
    """That is how Azure Data Explorer takes a script apart."""
    commands = recording("dev")["schema"].inputs["scriptContent"].strip().split("\n\n")
    assert all(command.startswith(".") and len(re.findall(r"(?m)^\.", command)) == 1 for command in commands)
    tables = {re.split(r"\W+", command)[4] for command in commands if command.startswith(".create-merge table")}
    assert tables == {"Processed", "CityMinute", "Alerts", "IncidentSteps", "DeadLetter"}


class TestApps:
    def settings_of(self, app: str) -> dict[str, str]:
        return {s["name"]: s["value"] for s in at(recording("dev")[app].inputs, "siteConfig.appSettings")}

    def test_the_ingest_finds_every_variable_it_needs(self) -> None:
        assert faults_of(self.settings_of("ingest-app"), event_hubs=True, state=True) == []

    def test_the_fan_out_finds_every_variable_it_needs(self) -> None:
        settings = self.settings_of("fanout-app")
        AzureMonitor.from_environment("lyon/email", settings)
        assert {"SETTINGS_BLOB_URL", "STATE_BLOB_URL", "AZURE_CLIENT_ID"} <= set(settings)
        assert isinstance(store_of(settings), BlobTexts)
        schedule = triggers("alert_fanout")["tend"]["schedule"]
        assert schedule.strip("%") in settings

    def test_settings_that_flex_consumption_refuses_are_absent(self) -> None:
        refused = {"FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_EXTENSION_VERSION", "WEBSITE_RUN_FROM_PACKAGE"}
        assert not refused & (self.settings_of("ingest-app").keys() | self.settings_of("fanout-app").keys())

    @pytest.mark.parametrize(("app", "processor"), [("ingest-app", "ingest"), ("fanout-app", "alert_fanout")])
    def test_what_is_kept_warm_exists(self, app: str, processor: str) -> None:
        (ready,) = at(recording("dev")[app].inputs, "functionAppConfig.scaleAndConcurrency.alwaysReady")
        assert ready["name"].removeprefix("function:") in triggers(processor)

    @pytest.mark.parametrize("name", STACKS)
    def test_the_settings_files_keep_the_contract(self, name: str) -> None:
        assert faults(INGEST_SETTINGS, ingest_settings(stack(name), RULES, TODAY)) == []
        assert faults(FANOUT_SETTINGS, deployed_fanout_settings(stack(name), RULES)) == []

    @pytest.mark.parametrize("processor", ["ingest", "fanout"])
    def test_the_settings_files_are_where_the_app_looks_and_make_the_whole(self, processor: str, tmp_path: Path) -> None:
        files = [r.inputs for r in recording("dev").resources if r.name.startswith(f"{processor}-settings-")]
        assert {file["containerUrl"] for file in files} == {self.settings_of(f"{processor}-app")["SETTINGS_BLOB_URL"]}
        for file in files:
            path = tmp_path / file["blobName"]
            path.parent.mkdir(exist_ok=True)
            path.write_text(file["content"], encoding="utf-8")
        whole = (
            ingest_settings(stack("dev"), RULES, TODAY)
            if processor == "ingest"
            else deployed_fanout_settings(stack("dev"), RULES)
        )
        kind = INGEST_SETTINGS if processor == "ingest" else FANOUT_SETTINGS
        assert settings_at(tmp_path, kind).document() == whole

    @pytest.mark.parametrize("name", STACKS)
    def test_code_comes_after_its_settings(self, name: str) -> None:
        for processor in ("ingest", "fanout"):
            files = {r.urn for r in recording(name).resources if r.name.startswith(f"{processor}-settings-")}
            assert len(files) == len(stack(name).cities) + 1
            assert files <= set(recording(name)[f"{processor}-package"].depends_on)

    @pytest.mark.parametrize(("seconds", "schedule"), [(60, "0 * * * * *"), (10, "*/10 * * * * *")])
    def test_a_poll_interval_is_a_schedule(self, seconds: int, schedule: str) -> None:
        assert poll_schedule(seconds) == schedule

    @pytest.mark.parametrize("name", STACKS)
    def test_no_path_of_this_machine_gets_into_the_state(self, name: str) -> None:
        assert str(REPOSITORY) not in json.dumps([r.inputs for r in recording(name).resources], default=str)


class TestAlerts:
    def test_the_fan_out_writes_the_columns_the_table_has(self) -> None:
        alert = Alert("id", "rule", 1, "fired", "device", "d", "n", "lyon", None, None, None, None, "offline", 1.0, 1.0, "t", "t")
        notice = Notice("open", "key", "id", "title", (Line("text"),), alert, None, "Lyon", None, (), 0, None)
        assert set(row_of(notice, "lyon/email")) == set(COLUMNS)

    def test_the_table_takes_the_columns_and_the_collection_rule_too(self) -> None:
        dev = recording("dev")
        table = {column["name"] for column in at(dev["room-alerts-table"].inputs, "schema.columns")}
        stream = at(dev["room-alerts-collection"].inputs, "streamDeclarations.Custom-RoomAlerts.columns")
        assert table == {column["name"] for column in stream} == set(COLUMNS)

    def test_a_route_is_that_of_one_audience_only(self) -> None:
        assert route_kql("A") == "strcat('to=', A, ';')"
        assert route_to("york/sms") == "to=york/sms;"
        assert route_to("york/sms") not in route_to("new-york/sms") and route_to("york/sms") not in route_to("york/sms-1")

    def test_every_audience_the_fan_out_addresses_has_its_people(self) -> None:
        """A name written in two places: a typing error would mail nobody."""
        for name in ("dev", "prod"):
            cities = deployed_fanout_settings(stack(name), RULES)["cities"]
            addressed = {channel["audience"] for city in cities.values() for channel in city["channels"]}
            routes = of_type(recording(name), "alertsmanagement:AlertProcessingRuleByName")
            assert {at(route.inputs, "properties.conditions")[0]["values"][0] for route in routes} == set(
                map(route_to, addressed)
            )

    @pytest.mark.parametrize(
        ("number", "split"),
        [
            ("+33155550101", ("33", "155550101")),
            ("+12125550103", ("1", "2125550103")),
            ("+353155550100", ("353", "155550100")),
            ("+6591234567", ("65", "91234567")),
            ("+79161234567", ("7", "9161234567")),
            ("+852912345678", ("852", "912345678")),
        ],
    )
    def test_a_telephone_number_is_split_after_its_country_code(self, number: str, split: tuple[str, str]) -> None:
        assert country_and_number(number) == split

    def test_a_short_name_fits_a_text_message(self) -> None:
        assert short_name("san-francisco-bay") == "san-francisc" and short_name("aaaaaaaaaaa-b") == "aaaaaaaaaaa"

    def test_every_threshold_says_why(self) -> None:
        assert all(len(rule.because) > 60 and rule.because.endswith(".") for rule in METRIC_RULES)


class TestTheWebexToken:
    """The stack gives the first token set; from then on the ingest renews it in the vault (processors/ingest/tokens.py)."""

    @pytest.mark.parametrize("name", [*STACKS, "fabric"])
    def test_a_token_set_the_ingest_has_renewed_is_never_written_over(self, name: str) -> None:
        seed = recording(name)["webex-token-set"]
        assert seed.inputs["properties"]["value"] == TOKEN_SET and set(seed.ignored) == {"properties", "tags"}

    def test_a_new_client_secret_reaches_the_vault(self) -> None:
        assert recording("dev")["webex-client-secret"].ignored == ()

    def test_the_ingest_looks_for_both_where_they_are(self) -> None:
        names = {r.inputs["secretName"] for r in of_type(recording("dev"), "keyvault:Secret")}
        assert names == set(token_stores.SERVICE_APP_SECRETS[:2])
        settings = {s["name"]: s["value"] for s in recording("dev")["ingest-app"].inputs["siteConfig"]["appSettings"]}
        assert settings["WEBEX_TOKEN_VAULT_URI"] == f"https://{recording('dev').outputs['vault']}.vault.azure.net"
        source = token_source({**settings, "STATE_BLOB_URL": "https://account.blob.core.windows.net/state"})
        assert isinstance(source, ServiceAppToken) and "WEBEX_ACCESS_TOKEN" not in settings

    def test_a_partners_organisation_has_a_token_set_of_its_own_which_people_put_there(self) -> None:
        one, *others = stack("dev").cities
        recorded = record(with_cities(stack("dev"), [replace(one, organisation="contoso", push=True), *others]))
        integration = {RECORD_SECRET, *token_stores.INTEGRATION_SECRETS[:2]}
        theirs = {*token_stores.SERVICE_APP_SECRETS.of("contoso")[:2], *(f"{name}-contoso" for name in integration)}
        assert {r.inputs["secretName"] for r in ours(recorded, "VaultSecret")} == theirs, "places without a value"

    def test_a_city_that_is_pushed_gives_the_ingest_its_integration_and_no_one_else(self) -> None:
        one, *others = stack("dev").cities
        recorded = record(with_cities(stack("dev"), [replace(one, push=True), *others]))
        integration = {RECORD_SECRET, *token_stores.INTEGRATION_SECRETS[:2]}
        assert {r.inputs["secretName"] for r in ours(recorded, "VaultSecret")} == integration, "activate writes them"
        assert home.NOT_SET == NOT_SET

    @pytest.mark.parametrize(
        "text", [TOKEN_SET, "", "[]", "{", "{}", '{"client_id": "c"}', '{"client_id": 1, "refresh_token": "r"}', "null"]
    )
    def test_what_a_deployment_takes_for_a_token_set_is_what_the_ingest_takes(self, text: str) -> None:
        try:
            token_set_from(text, "here")
        except TokenStoreError:
            assert token_set_fault(text)
        else:
            assert not token_set_fault(text)


class TestHowPulumiStartsTheProgram:
    """Pulumi runs the folder of Pulumi.yaml as a program; that folder is the working folder, of dynamic providers too."""

    def test_the_project_names_no_folder_of_its_own(self) -> None:
        project = yaml.safe_load((REPOSITORY / "Pulumi.yaml").read_text(encoding="utf-8"))
        assert "main" not in project

    def test_the_entry_reaches_the_program_from_anywhere(self, tmp_path: Path) -> None:
        script = f"""
import runpy, pulumi
from infra.offline import evaluate
recording = evaluate(lambda: runpy.run_path({str(REPOSITORY)!r}, run_name="__main__") and None, stack="dev",
                     config={{"webexTokenSet": {TOKEN_SET!r}, "webexClientSecret": "secret"}}, preview=True)
print(len(recording.resources))
"""
        assert int(self.python(script, tmp_path)) == len(recording("dev").resources)

    def test_secrets_that_are_missing_are_told_together_and_without_a_traceback(self) -> None:
        told = self.refusal({})
        assert "webexTokenSet is not set: pulumi config set --secret webexTokenSet < token-set.json" in told
        assert "webexClientSecret is not set: pulumi config set --secret webexClientSecret" in told

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("hidden", "webexTokenSet is not JSON such as"),
            ('["hidden"]', "webexTokenSet is not JSON such as"),
            ('{"refresh_token": "hidden"}', "webexTokenSet lacks client_id:"),
            ('{"access_token": "hidden"}', "webexTokenSet lacks client_id and refresh_token:"),
        ],
    )
    def test_a_token_set_that_is_none_is_refused_before_it_is_deployed_and_not_shown(
        self, capfd: pytest.CaptureFixture[str], text: str, words: str
    ) -> None:
        told = self.refusal({"webexTokenSet": text, "webexClientSecret": "hidden"})
        assert words in told and "webexClientSecret is" not in told
        assert not any("hidden" in shown for shown in (told, *capfd.readouterr()))

    def refusal(self, config: dict[str, str]) -> str:
        def start() -> None:
            runpy.run_path(str(REPOSITORY), run_name="__main__")

        with pytest.raises(pulumi.RunError) as fault:  # Pulumi shows its text alone
            evaluate(start, stack="dev", config=config, preview=True)
        return str(fault.value)

    def test_the_dynamic_providers_find_azure_s_package_and_ours(self) -> None:
        """Python puts the working folder first: there must not be a folder `azure` in it."""
        script = "import azure.identity, infra.providers.stream_analytics_job, infra.providers.function_package; print('found')"
        assert self.python(script, REPOSITORY, path="") == "found"

    def python(self, script: str, folder: Path, path: str = str(REPOSITORY)) -> str:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        if path:
            environment["PYTHONPATH"] = path
        result = subprocess.run([sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()


def test_every_type_comes_from_the_pinned_provider_or_is_ours() -> None:
    types = {resource.type for name in STACKS for resource in recording(name).resources}
    kinds = FABRIC | {"StreamAnalyticsJob", "FunctionPackage", "BlobFile", "DeltaTable", "VaultSecret"}
    assert {t for t in types if not t.startswith(AZURE)} <= {OURS + kind for kind in kinds}


def test_incident_pages_are_behind_entra_or_not_there() -> None:
    dev = stack("dev")
    assert dev.azure is not None
    pages = IncidentPages("3f6c1f0e-0f4e-4c57-9a53-7f0f5c2c9d11", "7d0b1c52-9f0e-4f3c-8a43-0a8f3f1f8e22")
    on, off = record(replace(dev, azure=replace(dev.azure, incident_pages=pages))), recording("dev")
    assert findings(on) == []
    assert of_type(off, "web:WebAppAuthSettingsV2") == []
    (sign_in,) = of_type(on, "web:WebAppAuthSettingsV2")
    assert sign_in.inputs["globalValidation"] == {
        "requireAuthentication": True,
        "unauthenticatedClientAction": "RedirectToLoginPage",
        "redirectToProvider": "azureactivedirectory",
        "excludedPaths": ["/api/health", "/hooks/control-hub", "/hooks/pagerduty", "/hooks/servicenow"],
    }
    registration = sign_in.inputs["identityProviders"]["azureActiveDirectory"]["registration"]
    assert registration["openIdIssuer"] == f"https://login.microsoftonline.com/{pages.tenant_id}/v2.0"
    assert registration["clientSecretSettingName"] == "OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID"
    told = {app.name: {one["name"] for one in app.inputs["siteConfig"]["appSettings"]} for app in of_type(on, "web:WebApp")}
    wanted = {"INCIDENT_PAGES", "OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID"}
    assert {name: wanted & settings for name, settings in told.items()} == {"fanout-app": wanted, "ingest-app": set()}
