"""What contacts keep secret: a place in the vault that only the fan-out may read, and no value anywhere else."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from functools import cache

from infra.offline import Recording
from infra.plan import plan_of
from infra.providers.vault_secret import NOT_SET
from infra.settings.contacts import Contact
from processors.alert_fanout import secrets
from tests.infra.checks import findings
from tests.infra.deployments import record, recording, stack, with_cities
from tests.support.rules import RULES


@cache
def with_teams() -> Recording:
    dev = stack("dev")
    contacts = (*dev.cities[0].contacts, Contact("teams", None, address_secret="teams-lyon"))
    return record(with_cities(dev, [replace(dev.cities[0], contacts=contacts), *dev.cities[1:]]))


def test_a_secret_is_a_place_without_a_value_that_only_the_fan_out_may_read() -> None:
    before, after = recording("dev"), with_teams()
    added = {r.name for r in after.resources} - {r.name for r in before.resources}
    assert added == {"secret-teams-lyon", "fanout-secret-teams-lyon"}
    secret = after["secret-teams-lyon"]
    assert secret.inputs["secretName"] == "teams-lyon" and "value" not in str(secret.inputs), "the provider writes NOT_SET once"
    named = base64.b64decode(secret.inputs["__provider"])
    assert b"infra.providers.vault_secret" in named, "another module strands the resources of existing stacks"
    assert after["fanout-secret-teams-lyon"].inputs["scope"].endswith(":VaultSecret/secret-teams-lyon")
    (undeclared,) = findings(after)
    said = "fanout has Key Vault Secrets User on roompulse:VaultSecret/secret-teams-lyon, which no reviewed plan has: "
    assert undeclared.startswith(said), "nothing but the role that our own stacks do not need"


def test_what_control_hub_signs_with_is_a_secret_that_the_fan_out_may_read() -> None:
    dev = stack("dev")
    after = record(with_cities(dev, [replace(dev.cities[0], control_hub_secret="hub"), *dev.cities[1:]]))
    assert {r.name for r in after.resources} - {r.name for r in recording("dev").resources} == {
        "secret-hub", "fanout-secret-hub", "rooms-control-hub-unmatched",
    }  # fmt: skip
    role = after["fanout-secret-hub"].inputs
    assert role["scope"].endswith(":VaultSecret/secret-hub") and role["principalId"] == "principal of fanout-identity"


def test_the_app_asks_the_vault_by_name_so_that_a_secret_changes_nothing_shared() -> None:
    before, after = recording("dev"), with_teams()
    settings = {s["name"]: s["value"] for s in after["fanout-app"].inputs["siteConfig"]["appSettings"]}
    assert settings["SECRETS_VAULT_URI"].startswith("https://") and "teams-lyon" not in str(settings)
    old, new = ({r.urn: r for r in recorded.resources} for recorded in (before, after))
    changed = {old[urn].name for urn in old.keys() & new.keys() if old[urn].inputs != new[urn].inputs}
    assert changed == {"fanout-settings-city-lyon"}


def test_both_sides_mean_the_same() -> None:
    assert NOT_SET == secrets.NOT_SET


def test_a_plan_names_the_secret() -> None:
    dev = stack("dev")
    contacts = (Contact("teams", None, address_secret="teams-lyon"),)
    plan = plan_of(with_cities(dev, [replace(dev.cities[0], contacts=contacts)]), RULES)
    assert plan.cities[0].people == ("teams teams-lyon",) and "teams-lyon" in json.dumps(plan.as_json())
