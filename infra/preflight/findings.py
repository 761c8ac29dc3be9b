"""What a pre-flight finds out, and how it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from infra.azure_rest import Unanswered


class Verdict(StrEnum):
    """`unknown`: Azure gave no answer, which is neither good nor bad and is never passed over."""

    ok = "ok"
    warning = "warning"
    fault = "fault"
    unknown = "unknown"


@dataclass(frozen=True)
class Finding:
    """One thing that was asked: by which check, about what, and the answer. All but `ok` come with a next step."""

    check: str
    about: str
    verdict: Verdict
    reported: str
    next_step: str = ""


def ok(check: str, about: str, reported: str) -> Finding:
    """Azure says that it will do."""
    return Finding(check, about, Verdict.ok, reported)


def fault(check: str, about: str, reported: str, next_step: str) -> Finding:
    """Azure says that `pulumi up` would fail."""
    return Finding(check, about, Verdict.fault, reported, next_step)


def unknown(check: str, about: str, why: Unanswered | str) -> Finding:
    """Azure did not say; the next step follows from why."""
    return Finding(check, about, Verdict.unknown, str(why), _to_get_an_answer(why))


def passes(findings: Sequence[Finding]) -> bool:
    """Whether nothing is at fault and nothing is unknown."""
    return all(finding.verdict in (Verdict.ok, Verdict.warning) for finding in findings)


def render(subscription: str, findings: Sequence[Finding]) -> str:
    """The findings as a table, a line each, with the next step below what needs one; the count of each verdict last."""
    width = max((len(finding.about) for finding in findings), default=0)
    lines = [f"Asked of Azure, subscription {subscription}"]
    for finding in findings:
        lines.append(f"  {finding.verdict:<8} {finding.check:<10} {finding.about:<{width}}  {' '.join(finding.reported.split())}")
        if finding.next_step:
            lines.append(f"  {'':<8} {'':<10} {'':<{width}}  Next: {finding.next_step}")
    counts = {verdict: sum(finding.verdict is verdict for finding in findings) for verdict in Verdict}
    lines.append(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return "\n".join(line.rstrip() for line in lines)


def _to_get_an_answer(why: Unanswered | str) -> str:
    status = why.status if isinstance(why, Unanswered) else None
    if status == 401:
        return "az login, then check again."
    if status == 403:
        return "ask for Contributor on the subscription (docs/stages/deploy.md), or let somebody who has it check."
    if status == 404:
        return "look whether --subscription is the right one (az account list); Azure may also have moved this API."
    return "check again later; until then nobody knows, and pulumi up may find out."
