"""Between Pulumi and the program: the stack file is read and checked, secrets come from Pulumi, packages are built."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pulumi

from activator.declarations import DeclarationError
from activator.rules import load_rules
from infra.packaging import REPOSITORY, PackageContent, PackagingError, build_package, package_path
from infra.program import deploy
from infra.settings.stack import load_stack
from infra.stream_analytics_project import ProjectError

PACKAGES = REPOSITORY / "output" / "packages"


def main() -> None:
    """Declare the current stack. Faults of people's making are told without a traceback, all at once."""
    try:
        rules = load_rules()
        stack = load_stack(REPOSITORY / f"Pulumi.{pulumi.get_stack()}.yaml", rules)
        today = datetime.now(UTC).date().isoformat()
        deploy(stack, rules, today=today, webex_access_token=webex_access_token(), package_for=package_for)
    except (DeclarationError, PackagingError, ProjectError) as fault:
        raise pulumi.RunError(str(fault)) from fault


def webex_access_token() -> pulumi.Output[str]:
    """The secret of the stack; raises RunError that says how to set it."""
    token = pulumi.Config("roompulse").get_secret("webexAccessToken")
    if token is None:
        raise pulumi.RunError(
            f"Stack {pulumi.get_stack()} has no Webex token: pulumi config set --secret webexAccessToken (docs/stages/deploy.md)."
        )
    return token


def package_for(content: PackageContent) -> Path:
    """Where the package is; built unless this is a preview, which must need no network and leave nothing behind."""
    return package_path(content, PACKAGES) if pulumi.runtime.is_dry_run() else build_package(content, PACKAGES)
