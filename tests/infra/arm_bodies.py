"""Turns what the program registers into the bodies Azure Resource Manager would get, led by Microsoft's Bicep type definitions.

azure-native lifts most of a body's `properties` to the top level, names a few things differently and takes lists of identities.
Everything that fits nowhere is left where it is, so that the types refuse it.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from infra import parts
from infra.offline import Registration

AZURE = "azure-native:"
ADDED = Path(__file__).with_name("published") / "types"
"""Bicep types that the reference data lacks: those of Microsoft.Network."""
SITE_CONFIGS = {"web:WebAppAuthSettingsV2": "authsettingsV2"}
"""Kinds of Microsoft.Web/sites/config, which are one type told apart by their name."""
PLACES = frozenset({"resourceGroupName", "scope", "resourceUri"})
RENAMED = {
    "storage:StorageAccount": {
        "enableHttpsTrafficOnly": "supportsHttpsTrafficOnly",
        "networkRuleSet": "networkAcls",
        "iPAddressOrRange": "value",
    },
    "applicationinsights:Component": {
        "applicationType": "Application_Type",
        "disableLocalAuth": "DisableLocalAuth",
        "flowType": "Flow_Type",
        "ingestionMode": "IngestionMode",
        "requestSource": "Request_Source",
        "workspaceResourceId": "WorkspaceResourceId",
    },
    "monitor:MetricAlert": {"odataType": "odata.type"},
}
"""Where azure-native's name is not Azure's: read off its schema."""

JSONObject = dict[str, Any]


def arm_name(registration: Registration) -> str:
    """The name of the resource in Azure."""
    return str(registration.inputs[names_of(registration.type.removeprefix(AZURE))[-1]])


def names_of(token: str) -> tuple[str, ...]:
    """The properties that name a resource of this type in Azure, its parents' first."""
    names = parts.names_of(token)
    assert names, (
        f"{token}: its Kind says no `named`: add the properties of its address, parents first, such as "
        'named="namespaceName/eventHubName", where its part declares it (resources of a Part in infra/azure)'
    )
    return names


def address(registration: Registration) -> tuple[str, ...]:
    """What makes a resource the same in Azure: its type, its scope and its names."""
    names = names_of(registration.type.removeprefix(AZURE))
    places = [registration.inputs.get(place) for place in sorted(PLACES)]
    return registration.type, *(str(registration.inputs.get(name)) for name in names), *map(str, places)


def types_file(folder: Path, token: str) -> Path | None:
    """The Bicep types of an azure-native type (`eventhub:Namespace`), None when neither the data nor ADDED has any."""
    entry = _index(folder).get(token)
    return Path(entry["file"]) if entry else None


def arm_type(folder: Path, token: str) -> str:
    """Azure's name of an azure-native type, with the version of its API: `Microsoft.EventHub/namespaces@2024-01-01`."""
    entry = _index(folder).get(token)
    assert entry, f"{token} is neither in {folder.name}/index.json nor in {ADDED}: its Bicep types have to be added there"
    return entry["arm"]


@cache
def _index(folder: Path) -> dict[str, dict[str, str]]:
    """What is known of each token; `file` is the path of its types."""
    known = {
        entry["token"]: {**entry, "file": str(place / Path(entry["file"]).name)}
        for place in (folder, ADDED)
        for entry in json.loads((place / "index.json").read_text(encoding="utf-8"))["types"]
    }
    return known | dict.fromkeys(SITE_CONFIGS, known["web:WebAppApplicationSettings"])


def arm_body(registration: Registration, file: Path) -> JSONObject:
    """The request body of a resource."""
    token = registration.type.removeprefix(AZURE)
    in_address = PLACES | set(names_of(token))
    inputs = {name: value for name, value in registration.inputs.items() if name not in in_address}
    if token in SITE_CONFIGS:
        inputs["name"] = SITE_CONFIGS[token]
    return _Converter(json.loads(file.read_text(encoding="utf-8")), RENAMED.get(token, {})).resource(inputs)


class _Converter:
    def __init__(self, types: list[JSONObject], renamed: dict[str, str]) -> None:
        self._types = types
        self._renamed = renamed

    def resource(self, inputs: JSONObject) -> JSONObject:
        resource = next(kind for kind in self._types if kind["$type"] == "ResourceType")
        return self._object(inputs, self._of(resource["body"]))

    def _of(self, reference: dict[str, str]) -> JSONObject:
        return self._types[int(reference["$ref"].removeprefix("#/"))]

    def _properties(self, kind: JSONObject, value: JSONObject) -> JSONObject:
        if kind["$type"] != "DiscriminatedObjectType":
            return dict(kind.get("properties", {}))
        discriminator = kind["discriminator"]
        variant = kind["elements"].get(value.get(discriminator, value.get(self._lifted(discriminator))))
        return {**kind["baseProperties"], **(self._of(variant)["properties"] if variant else {})}

    def _lifted(self, name: str) -> str:
        return next((ours for ours, azures in self._renamed.items() if azures == name), name)

    def _object(self, value: JSONObject, kind: JSONObject) -> JSONObject:
        known = self._properties(kind, value)
        inner = self._of(known["properties"]["type"]) if "properties" in known else None
        within = self._properties(inner, value) if inner and inner["$type"].endswith("ObjectType") else {}
        body: JSONObject = {}
        lifted: JSONObject = {}
        for ours, item in value.items():
            name = self._renamed.get(ours, ours)
            if name in known:
                body[name] = self._value(item, self._of(known[name]["type"]), name)
            elif name in within:
                lifted[ours] = item  # renamed when it is placed
            elif kind.get("additionalProperties"):
                body[name] = self._value(item, self._of(kind["additionalProperties"]), name)
            else:
                body[name] = item
        if lifted and inner:
            body["properties"] = {**body.get("properties", {}), **self._object(lifted, inner)}
        return body

    def _value(self, value: Any, kind: JSONObject, name: str) -> Any:
        if name == "userAssignedIdentities" and isinstance(value, list):
            return {str(identity): {} for identity in value}
        if kind["$type"].endswith("ObjectType") and isinstance(value, dict):
            return self._object(value, kind)
        if kind["$type"] == "ArrayType" and isinstance(value, list):
            return [self._value(item, self._of(kind["itemType"]), name) for item in value]
        return value
