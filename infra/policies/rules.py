"""The policies as data: what a resource of a type must say. Needs nothing but Python, so the tests and the pack share it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

AZURE = "azure-native:"

REQUIRED: Mapping[str, Mapping[str, Any]] = {
    "storage:StorageAccount": {
        "allowBlobPublicAccess": False,
        "allowSharedKeyAccess": False,
        "allowCrossTenantReplication": False,
        "minimumTlsVersion": "TLS1_2",
        "enableHttpsTrafficOnly": True,
    },
    "storage:BlobContainer": {"publicAccess": "None"},
    "eventhub:Namespace": {"disableLocalAuth": True, "minimumTlsVersion": "1.2"},
    "keyvault:Vault": {"properties.enableRbacAuthorization": True, "properties.enablePurgeProtection": True},
    "applicationinsights:Component": {"disableLocalAuth": True},
    "operationalinsights:Workspace": {"features.disableLocalAuth": True},
    "kusto:Cluster": {"enableDiskEncryption": True},
    "web:WebApp": {
        "httpsOnly": True,
        "siteConfig.minTlsVersion": "1.2",
        "siteConfig.ftpsState": "Disabled",
        "identity.type": "UserAssigned",
        "functionAppConfig.deployment.storage.authentication.type": "UserAssignedIdentity",
    },
    "web:WebAppScmAllowed": {"allow": False},
    "web:WebAppFtpAllowed": {"allow": False},
}
"""Per azure-native type, properties by dotted path: no key, no password, no public blob, no old TLS."""
UNLESS_UNSAID: Mapping[str, Mapping[str, Any]] = {
    "storage:StorageAccount": {"isSftpEnabled": False, "isLocalUserEnabled": False, "accessTier": "Hot"},
    "eventhub:EventHub": {"status": "Active"},
    "kusto:Cluster": {"trustedExternalTenants": [], "restrictOutboundNetworkAccess": "Disabled"},
    "web:WebApp": {"kind": "functionapp,linux", "siteConfig.remoteDebuggingEnabled": False, "siteConfig.cors": {}},
    "applicationinsights:Component": {"ingestionMode": "LogAnalytics"},
}
"""The same where Azure's default is right: another value opens a door, or shuts one that data comes through."""
KEYED = frozenset({"eventhub:NamespaceAuthorizationRule", "eventhub:EventHubAuthorizationRule", "storage:Blob"})
"""Types that exist to make a key, or that only work with one."""


def violations(kind: str, properties: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a resource of an engine type (`azure-native:storage:StorageAccount`), one sentence each."""
    token = kind.removeprefix(AZURE)
    for path, wanted in REQUIRED.get(token, {}).items():
        value = at(properties, path)
        if value != wanted:
            yield f"{path} is {value!r}, not {wanted!r}"
    for path, wanted in UNLESS_UNSAID.get(token, {}).items():
        if (value := at(properties, path)) not in (None, wanted):
            yield f"{path} is {value!r}, not {wanted!r}"
    if token in KEYED:
        yield f"{token} works with a key: use a managed identity (docs/decisions/0106-identities-and-state.md)"
    if token == "monitor:ActionGroup" and not any(properties.get(people) for people in ("emailReceivers", "smsReceivers")):
        yield "an action group without people: an alert would reach nobody"


def at(properties: Any, path: str) -> Any:
    """The value at a dotted path, None where there is none."""
    for step in path.split("."):
        properties = properties.get(step) if isinstance(properties, Mapping) else None
    return properties
