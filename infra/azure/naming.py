"""Names of Azure resources: legal for their kind, stable, and unique in the world where Azure wants that.

A name follows from organisation, stack and purpose alone, so nothing but those three can ever rename (replace) a resource.
"""

from __future__ import annotations

from dataclasses import dataclass

from activator.declarations import DeclarationError, Fault
from infra.azure.limits import STORAGE_ACCOUNT_NAME, VAULT_NAME

PRODUCT = "roompulse"


@dataclass(frozen=True)
class Names:
    """Names for one deployment. Both parts are 2 to 8 lower-case letters and digits (infra/settings checks that)."""

    organisation: str
    stack: str

    def plain(self, kind: str, purpose: str = "") -> str:
        """A name with hyphens, such as `func-roompulse-ingest-contoso-prod`; `kind` is Azure's customary abbreviation."""
        return "-".join(part for part in (kind, PRODUCT, purpose, self.organisation, self.stack) if part)

    def short(self, kind: str) -> str:
        """A name with hyphens within 24 characters, for vaults: `kv-contoso-prod`."""
        return _within(f"{kind}-{self.organisation}-{self.stack}", VAULT_NAME)

    def compact(self, kind: str, purpose: str = "") -> str:
        """A name without hyphens within 24 characters, for storage accounts and clusters; `kind` and `purpose` have at most 8."""
        return _within(f"{kind}{purpose}{self.organisation}{self.stack}", STORAGE_ACCOUNT_NAME)


def _within(name: str, limit: int) -> str:
    if len(name) > limit:
        text = f"has {len(name)} characters, and Azure takes {limit}: shorten its purpose."
        raise DeclarationError("A resource can't be named", [Fault(name, text)])
    return name
