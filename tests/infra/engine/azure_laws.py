"""What Azure refuses, and tells otherwise than it was told: rules of the stand-in for azure-native, held by test_azure_laws.py.

Only what no type says: what clashes while something else is made, what can't be changed, which names a deletion keeps, and how
long a role takes to be known. Sources, below learn.microsoft.com/azure: data-explorer/database-script (scripts, and
azure-rest-api-specs#18845), event-hubs/event-hubs-quotas (partitions), key-vault/general/soft-delete-overview (names); for
metrics of blobs, what diagnostic settings of blobServices answer.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.azure.limits import FIXED, SCRIPTS_PER_CLUSTER

Inputs = Mapping[str, Any]
ALONE = {"kusto:Script": "clusterName"}
"""What is made and removed one at a time, within what its property names."""
SOFT_DELETED = {"keyvault:Vault": "vaultName", "keyvault:Secret": "secretName"}
"""What keeps its name when it is deleted: a vault till it is purged, a secret within its vault."""
SIGNS_IN = {"kusto:EventHubDataConnection": "managedIdentityResourceId"}
"""What Azure makes only for an identity whose roles it knows already."""
BLOB_METRICS = [{"category": "Capacity", "enabled": True}, {"category": "Transaction", "enabled": True}]


class Refused(Exception):
    """Azure's answer to what it does not do, with status and code as azure-native tells them."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f'Status={status} Code="{code}" Message="{message}"')
        self.status = status
        self.code = code


class Laws:
    """The rules over one cloud. `deleted` is the file of names that are kept; `role_lag` is how many other changes Azure makes
    before it knows a role everywhere.
    """

    def __init__(self, deleted: Path, role_lag: int = 0) -> None:
        self._deleted, self._role_lag = deleted, role_lag
        self._lock = threading.Lock()
        self._busy: set[tuple[str, str]] = set()
        self._changes = 0
        self._given: Counter[str] = Counter()

    @contextmanager
    def changing(self, kind: str, inputs: Inputs) -> Iterator[None]:
        """While a resource is made or removed; raises Refused where Azure makes one at a time."""
        place = (kind, str(inputs.get(ALONE[kind]))) if kind in ALONE else None
        with self._lock:
            if place in self._busy:
                raise Refused(409, "ServiceIsInMaintenance", f"{place[1]} is being changed by another operation" if place else "")
            if place is not None:
                self._busy.add(place)
        try:
            yield
        finally:
            with self._lock:
                self._changes += 1
                self._busy -= {place} if place else set()

    def create(self, kind: str, inputs: Inputs, cloud: Mapping[str, Inputs]) -> None:
        """Raises Refused where a resource can't be made beside those of the cloud."""
        if kind == "kusto:Script":
            scripts = [one for one in cloud.values() if "scriptName" in one and one["clusterName"] == inputs["clusterName"]]
            if len(scripts) >= SCRIPTS_PER_CLUSTER:
                raise Refused(400, "TooManyScripts", f"cluster {inputs['clusterName']} has {SCRIPTS_PER_CLUSTER} scripts")
        if kind in SOFT_DELETED and _name(kind, inputs) in self._kept():
            raise Refused(409, "ConflictError", f"{inputs[SOFT_DELETED[kind]]} exists in deleted state; recover or purge it")
        if kind in SIGNS_IN and self._unknown_yet(str(inputs[SIGNS_IN[kind]])):
            raise Refused(400, "BadRequest", f"{inputs[SIGNS_IN[kind]]} is not authorized")
        if kind == "authorization:RoleAssignment":
            self._given[str(inputs["principalId"])] = self._changes

    def update(self, kind: str, before: Inputs, after: Inputs) -> None:
        """Raises Refused where a property is another that Azure takes once."""
        for (fixed, path), _ in FIXED.items():
            if fixed == kind and _at(before, path) != _at(after, path):
                raise Refused(
                    400,
                    "MessagingGatewayBadRequest" if kind == "eventhub:EventHub" else "BadRequest",
                    f"{path} cannot be changed",
                )

    def delete(self, kind: str, inputs: Inputs) -> None:
        """Raises Refused where whoever deploys may not; otherwise keeps the name of what is only soft-deleted."""
        if kind == "keyvault:Secret":
            raise Refused(403, "Forbidden", "no role on the vault's data plane")
        if kind in SOFT_DELETED:
            self._deleted.write_text(json.dumps(sorted({*self._kept(), _name(kind, inputs)})), encoding="utf-8")

    def read(self, kind: str, inputs: Inputs) -> Inputs:
        """The resource as Azure tells it."""
        of_blobs = kind == "monitor:DiagnosticSetting" and "/blobServices/" in str(inputs.get("resourceUri"))
        every = any(metric["category"] == "AllMetrics" for metric in inputs.get("metrics") or ())
        return {**inputs, "metrics": BLOB_METRICS} if of_blobs and every else inputs

    def _kept(self) -> list[str]:
        kept: list[str] = json.loads(self._deleted.read_text(encoding="utf-8")) if self._deleted.exists() else []
        return kept

    def _unknown_yet(self, identity: str) -> bool:
        principal = f"principal of {identity.rsplit('/', 1)[-1]}"
        given = [changes for who, changes in self._given.items() if who == principal or identity.endswith(who)]
        return any(self._changes - changes < self._role_lag for changes in given)


def _name(kind: str, inputs: Inputs) -> str:
    return "/".join(str(inputs.get(name)) for name in ("vaultName", SOFT_DELETED[kind]))


def _at(inputs: Inputs, path: str) -> Any:
    value: Any = inputs
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value
