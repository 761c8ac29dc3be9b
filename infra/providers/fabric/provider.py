"""What every Fabric provider is: a resource of some declared properties, a few of which make it another resource."""

from __future__ import annotations

from typing import Any, ClassVar

from pulumi.dynamic import ConfigureRequest, DiffResult, ResourceProvider

from infra.providers.base import changed_properties, log_to_standard_error, replacing


class FabricProvider(ResourceProvider):
    """Holds nothing: what is pickled into state is the name of the class."""

    serialize_as_secret_always = False
    declared: ClassVar[tuple[str, ...]] = ()
    """Properties the program declares."""
    fixed: ClassVar[tuple[str, ...]] = ()
    """Those that make it another resource. An unknown value is not a reason to announce one."""

    def configure(self, req: ConfigureRequest) -> None:
        """Called once in the provider's process."""
        log_to_standard_error()

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Changed properties. Names are unique in Fabric, so what is replaced is deleted first."""
        changed = changed_properties(_olds, _news, self.declared)
        return DiffResult(changes=bool(changed), replaces=replacing(changed, _news, self.fixed), delete_before_replace=True)

    def inputs(self, props: dict[str, Any]) -> dict[str, Any]:
        """The declared part of a resource's properties."""
        return {name: props.get(name) for name in self.declared}
