"""Azure's limits, in one place: what no stack file can raise. Settings, sizing and the tests of the program read them here.

Each says where it is documented. Imports no Pulumi, because the settings are read by every tool.
"""

from __future__ import annotations

from dataclasses import dataclass

HUBS_PER_NAMESPACE = 10
CONSUMER_GROUPS_PER_HUB = 20
MOST_PARTITIONS = 32
MOST_RETENTION_HOURS = 168
MOST_THROUGHPUT_UNITS = 40
CONSUMER_GROUP_NAME = 50
"""Of the Standard tier, where a hub's partitions can never be changed: learn.microsoft.com/azure/event-hubs/event-hubs-quotas
(February 2026). A name's characters are those that AMQP takes."""
SCRIPTS_PER_CLUSTER = 50
"""Kusto's code is TooManyScripts, and two can't be made or removed at once: .../data-explorer/database-script."""
SMS_PER_ACTION_GROUP = 10
EMAILS_PER_ACTION_GROUP = 1_000
EMAIL_ADDRESS = 64
"""Receivers of an action group, whose number has no limit, and characters of an address: learn.microsoft.com/azure/azure-monitor
/service-limits, as all that follows."""
EMAILS_AN_HOUR = 100
"""To one address in a region; what is more is dropped unsaid, and so is a text message to a number within five minutes."""
ACTIVITY_LOG_ALERTS = 100
"""Of a subscription; Azure gives nobody more."""
ALERT_DESCRIPTION, LOG_ALERT_DESCRIPTION = 2_048, 4_096
"""Characters."""
INSTANCES_PER_GROUP = 800
"""Of one type in a resource group. Alert processing rules (of which a subscription has 1,000) and action groups are not among the
types that may be more: .../azure-resource-manager/management/resources-without-resource-group-limit."""
ROLE_ASSIGNMENTS = 4_000
"""Of a subscription; Azure gives nobody more: .../role-based-access-control/troubleshoot-limits."""
ITEMS_PER_WORKSPACE = 1_000
"""Of a Fabric workspace: parent and child items, learn.microsoft.com/fabric/admin/portal-workspaces."""
STORAGE_ACCOUNT_NAME = 24
VAULT_NAME = 24
CLUSTER_NAME = 22
"""Characters: learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules."""
RESERVED_WORDS = ("microsoft", "windows")
"""No name of what answers at an address may hold one: learn.microsoft.com/azure/azure-resource-manager/troubleshooting
/error-reserved-resource-name. The other words there are reserved as whole names, which none of ours is."""

SMS_COUNTRIES = {
    1: "United States, Canada, Puerto Rico", 7: "Russia", 27: "South Africa", 31: "Netherlands", 32: "Belgium", 33: "France",
    34: "Spain", 39: "Italy", 40: "Romania", 41: "Switzerland", 43: "Austria", 44: "United Kingdom", 45: "Denmark", 47: "Norway",
    49: "Germany", 52: "Mexico", 55: "Brazil", 56: "Chile", 60: "Malaysia", 61: "Australia", 64: "New Zealand", 65: "Singapore",
    81: "Japan", 82: "South Korea", 86: "China", 91: "India", 351: "Portugal", 352: "Luxembourg", 353: "Ireland", 358: "Finland",
    372: "Estonia", 420: "Czech Republic", 852: "Hong Kong", 886: "Taiwan", 971: "United Arab Emirates", 972: "Israel",
}  # fmt: skip
"""Where action groups send text messages, by calling code: learn.microsoft.com/azure/azure-monitor/alerts/action-groups."""


FIXED = {
    ("eventhub:EventHub", "partitionCount"): "set azure.eventHubs.partitions back",
    (
        "storage:StorageAccount",
        "sku.name",
    ): "set azure.zones back, or convert it first (az storage account migration start)",
    ("storage:StorageAccount", "isHnsEnabled"): "leave it as it was made",
    ("eventhub:Namespace", "sku.name"): "leave the tier as it was made",
}
"""Properties that Azure takes once and never changes, by type, with the way back: `pulumi up` would stop half-way."""


@dataclass(frozen=True)
class Region:
    """What Azure offers in a region: zones (three of them), apps on Flex Consumption, Fabric with all its workloads.

    Event Hubs, Stream Analytics, Data Explorer, storage and Key Vault are in all that are listed.
    """

    zones: bool = False
    flex: bool = False
    fabric: bool = False


ZONED = frozenset({
    "australiaeast", "austriaeast", "belgiumcentral", "brazilsouth", "canadacentral", "centralindia", "centralus", "chilecentral",
    "eastasia", "eastus", "eastus2", "francecentral", "germanywestcentral", "indonesiacentral", "israelcentral", "italynorth",
    "japaneast", "japanwest", "koreacentral", "malaysiawest", "mexicocentral", "newzealandnorth", "northeurope", "norwayeast",
    "polandcentral", "qatarcentral", "southafricanorth", "southcentralus", "southeastasia", "spaincentral", "swedencentral",
    "switzerlandnorth", "uaenorth", "uksouth", "westeurope", "westus2", "westus3",
})  # fmt: skip
FLEX = frozenset({
    "australiaeast", "australiasoutheast", "brazilsouth", "canadacentral", "centralindia", "centralus", "eastasia", "eastus",
    "eastus2", "francecentral", "germanywestcentral", "italynorth", "japaneast", "koreacentral", "northcentralus", "northeurope",
    "norwayeast", "southafricanorth", "southcentralus", "southeastasia", "southindia", "spaincentral", "swedencentral",
    "switzerlandnorth", "uaenorth", "uksouth", "ukwest", "westcentralus", "westeurope", "westus", "westus2", "westus3",
})  # fmt: skip
FABRIC = frozenset({
    "australiaeast", "australiasoutheast", "brazilsouth", "canadacentral", "canadaeast", "centralindia", "centralus", "eastasia",
    "eastus", "eastus2", "francecentral", "germanywestcentral", "indonesiacentral", "israelcentral", "italynorth", "japaneast",
    "japanwest", "koreacentral", "malaysiawest", "mexicocentral", "newzealandnorth", "northcentralus", "northeurope",
    "norwayeast", "polandcentral", "southafricanorth", "southcentralus", "southeastasia", "southindia", "spaincentral",
    "swedencentral", "switzerlandnorth", "switzerlandwest", "uaenorth", "uksouth", "ukwest", "westeurope", "westus", "westus2",
    "westus3",
})  # fmt: skip
NONE_OF_THESE = frozenset({
    "australiacentral", "australiacentral2", "brazilsoutheast", "francesouth", "germanynorth", "jioindiacentral", "jioindiawest",
    "koreasouth", "norwaywest", "southafricawest", "swedensouth", "uaecentral", "westindia",
})  # fmt: skip
REGIONS = {name: Region(name in ZONED, name in FLEX, name in FABRIC) for name in sorted(ZONED | FLEX | FABRIC | NONE_OF_THESE)}
REGIONS_AS_OF = "November 2026"
"""Sources: .../azure/reliability/regions-list; `az functionapp list-flexconsumption-locations` as Microsoft's samples list it;
.../fabric/admin/region-availability. They grow: a region that is new there is added to the list it belongs to."""
