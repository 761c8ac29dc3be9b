"""The policy pack: `pulumi up --policy-pack infra/policies`. The rules are in rules.py; here they meet Pulumi."""

from __future__ import annotations

import sys
from pathlib import Path

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # Pulumi starts a pack in its own folder

from infra.policies.rules import violations


def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
    """Report every violation of a resource."""
    for violation in violations(args.resource_type, args.props):
        report(f"{args.name}: {violation}")


PolicyPack(
    name="roompulse",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[
        ResourceValidationPolicy(
            name="keyless-and-closed",
            description="No keys, no passwords, no public blobs, no old TLS; every alert reaches somebody.",
            validate=validate,
        )
    ],
)
