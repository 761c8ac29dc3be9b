"""Azure Resource Manager as far as secrets of vaults are concerned: no value is shown, and what was deleted keeps its name."""

from __future__ import annotations

import re
from typing import Any

from tests.infra.providers.fake_service import TOKEN, Answer, FakeService, Request, arm_error

SECRET = re.compile(r".*/providers/Microsoft\.KeyVault/vaults/(?P<vault>[^/]+)/secrets/(?P<name>[^/]+)$")


class FakeVault(FakeService):
    """Bodies of secrets by "vault/name"."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: dict[str, dict[str, Any]] = {}
        self.deleted: set[str] = set()

    def handle(self, request: Request) -> Answer:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return arm_error(401, "InvalidAuthenticationToken", "The access token is invalid.")
        match = SECRET.match(request.path)
        if match is None or request.query.get("api-version") != "2023-07-01":
            return arm_error(404, "InvalidResourceType", "The resource type could not be found.")
        name = f"{match['vault']}/{match['name']}"
        if request.method == "PUT" and name in self.deleted:
            return arm_error(409, "ConflictError", f"Secret {match['name']} is currently in a deleted but recoverable state.")
        if request.method == "PUT":
            self.secrets[name] = request.json["properties"]
        if name not in self.secrets:
            return arm_error(404, "SecretNotFound", f"{match['name']} was not found.")
        return Answer(200, {"id": request.path, "name": match["name"], "properties": {"attributes": {"enabled": True}}})
