"""Everything a run registered as one ARM template, for tools that read templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from infra.offline import Recording, Registration
from tests.infra.arm_bodies import AZURE, arm_body, arm_type, names_of, types_file


def arm_template(recording: Recording, types: Path) -> dict[str, Any]:
    """The template; `types` is the folder of Microsoft's Bicep types, which know the type's name and its API's version.

    What has no type there (our own resources, Microsoft.Network) is left out.
    """
    return {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "resources": [_resource(resource, types) for resource in recording.resources if types_of(resource, types)],
    }


def types_of(resource: Registration, types: Path) -> Path | None:
    """The types of a resource, None where the data has none."""
    return types_file(types, resource.type.removeprefix(AZURE)) if resource.type.startswith(AZURE) else None


def _resource(resource: Registration, types: Path) -> dict[str, Any]:
    token = resource.type.removeprefix(AZURE)
    kind, _, version = arm_type(types, token).partition("@")
    file = types_of(resource, types)
    assert file is not None  # those without are left out
    name = "/".join(str(resource.inputs[part]) for part in names_of(token) if part in resource.inputs)
    return {"type": kind, "apiVersion": version, "name": name or resource.name, **arm_body(resource, file)}
