"""Whether who is signed in may do what a deployment does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.preflight.findings import Finding, fault, ok, unknown
from infra.preflight.offers import ARM_TYPES
from infra.preflight.subscription import Stack, Subscription

CHECK = "roles"
VERSION = "2022-04-01"


@dataclass(frozen=True)
class Right:
    """What a role lets one do: its actions, on resources or (`of_data`) on what is in them."""

    role: str
    actions: tuple[str, ...]
    of_data: bool = False


def rights(stack: Stack) -> tuple[Right, ...]:
    """What deploying this stack takes, by the roles of docs/stages/deploy.md."""
    types = [name for token, name in ARM_TYPES.items() if stack.of_type(token)]
    types += ["Microsoft.StreamAnalytics/streamingjobs"] if stack.jobs else []
    group = "Microsoft.Resources/subscriptions/resourceGroups/write"
    return (
        Right("Contributor", (group, *(f"{name}/write" for name in types))),
        Right("Role Based Access Control Administrator", ("Microsoft.Authorization/roleAssignments/write",)),
        Right(
            "Storage Blob Data Contributor",
            ("Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write",),
            of_data=True,
        ),
    )


def held(azure: Subscription, stack: Stack) -> Iterator[Finding]:
    """A finding for each role; another role with the same actions does as well. Raises Unanswered."""
    permissions = azure.items("providers/Microsoft.Authorization/permissions", VERSION)
    for right in rights(stack):
        yield _judged(right, permissions)


def _judged(right: Right, permissions: Sequence[Mapping[str, Any]]) -> Finding:
    kind = "dataActions" if right.of_data else "actions"
    if permissions and not any(kind in one for one in permissions):
        return unknown(CHECK, right.role, f"Azure reports no {kind} of who is signed in")
    missing = [action for action in right.actions if not allowed(action, permissions, kind)]
    if not missing:
        return ok(CHECK, right.role, "held on the subscription")
    reported = f"who is signed in may not {', '.join(missing[:3])}{f' and {len(missing) - 3} more' if len(missing) > 3 else ''}"
    return fault(
        CHECK, right.role, reported, f'az role assignment create --role "{right.role}" on the subscription, by its Owner.'
    )


def allowed(action: str, permissions: Sequence[Mapping[str, Any]], kind: str) -> bool:
    """Whether any of the permissions gives an action and does not take it away again (notActions)."""
    denied = f"not{kind[0].upper()}{kind[1:]}"
    return any(_named(action, one.get(kind)) and not _named(action, one.get(denied)) for one in permissions)


def _named(action: str, patterns: Any) -> bool:
    """Whether one of the patterns, where `*` stands for anything, names an action; case does not count."""
    return any(re.fullmatch(re.escape(str(one)).replace(r"\*", ".*"), action, re.IGNORECASE) for one in patterns or ())
