"""Between Pulumi and the program: the stack file is read and checked, secrets come from Pulumi, packages are built."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pulumi

from activator.declarations import DeclarationError
from activator.rules import load_rules
from infra.azure.vault import WebexSecrets
from infra.packaging import REPOSITORY, PackageContent, PackagingError, build_package, package_path
from infra.program import deploy
from infra.settings.stack import load_stack
from infra.stream_analytics_project import ProjectError

PACKAGES = REPOSITORY / "output" / "packages"


def main() -> None:
    """Declare the current stack. Faults of people's making are reported without a traceback, all at once."""
    try:
        rules = load_rules()
        stack = load_stack(REPOSITORY / f"Pulumi.{pulumi.get_stack()}.yaml", rules)
        today = datetime.now(UTC).date().isoformat()
        deploy(stack, rules, today=today, webex=webex_secrets(), package_for=package_for)
    except (DeclarationError, PackagingError, ProjectError) as fault:
        raise pulumi.RunError(str(fault)) from fault


def webex_secrets() -> WebexSecrets:
    """The secrets of the stack; raises RunError that says how to set what is missing, and never shows what is there."""
    config = pulumi.Config("roompulse")
    token_set, client_secret = (config.get(key) or "" for key in ("webexTokenSet", "webexClientSecret"))
    faults = []
    if missing := token_set_fault(token_set):
        faults.append(f"webexTokenSet {missing}: pulumi config set --secret webexTokenSet < token-set.json")
    if not client_secret:
        faults.append("webexClientSecret is not set: pulumi config set --secret webexClientSecret")
    if faults:
        reported = "".join(f"\n  {fault}" for fault in faults)
        raise pulumi.RunError(f"Stack {pulumi.get_stack()} lacks what renews its Webex token (docs/stages/deploy.md):{reported}")
    return WebexSecrets(pulumi.Output.secret(token_set), pulumi.Output.secret(client_secret))


def token_set_fault(text: str) -> str:
    """What keeps a text from being a token set as the ingest reads it; empty for a good one."""
    if not text:
        return "is not set"
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        return 'is not JSON such as {"client_id": "...", "refresh_token": "..."}'
    missing = [name for name in ("client_id", "refresh_token") if not (isinstance(document.get(name), str) and document[name])]
    return f"lacks {' and '.join(missing)}" if missing else ""


def package_for(content: PackageContent) -> Path:
    """Where the package is; built unless this is a preview, which must need no network and leave nothing behind."""
    return package_path(content, PACKAGES) if pulumi.runtime.is_dry_run() else build_package(content, PACKAGES)
