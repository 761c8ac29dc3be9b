"""Microsoft Fabric as resources: one dynamic provider per kind of thing, over Fabric's REST API.

State refers to these classes by module and name: never move or rename them (docs/decisions/0501-fabric-providers.md).
"""
