"""Everything a run registered as one ARM template, for tools that read templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from infra.offline import Recording, Registration
from tests.infra.arm_bodies import AZURE, NAMES, arm_body, arm_type, types_file


def arm_template(recording: Recording, types: Path) -> dict[str, Any]:
    """The template; `types` is the folder of Microsoft's Bicep types, which know the type's name and its API's version."""
    return {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "resources": [_resource(resource, types) for resource in recording.resources if resource.type.startswith(AZURE)],
    }


def _resource(resource: Registration, types: Path) -> dict[str, Any]:
    token = resource.type.removeprefix(AZURE)
    kind, _, version = arm_type(types, token).partition("@")
    file = types_file(types, token)
    assert file is not None  # its name is known, so it has a file
    name = "/".join(str(resource.inputs[part]) for part in NAMES[token] if part in resource.inputs)
    return {"type": kind, "apiVersion": version, "name": name or resource.name, **arm_body(resource, file)}
