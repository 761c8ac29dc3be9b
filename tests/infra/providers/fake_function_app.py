"""Function apps on Flex Consumption: their deployment site and their public one, as they are known to behave.

Sources: Azure CLI's and Core Tools' use of /api/publish and /api/deployments, endjin's and alchemy's findings (200 for a
deployment that fails later; 403, 404, 409 and 503 while roles and host names are fresh), Core Tools issue 4346 (what a missing
storage role says).
"""

from __future__ import annotations

import io
import itertools
import json
import re
import zipfile
from dataclasses import dataclass, field
from typing import Any

from tests.infra.providers.fake_service import TOKEN, Answer, FakeService, Request

SITE = re.compile(r"^/(?P<side>scm|app)/(?P<app>[^/]+)(?P<path>/.*)$")
NO_STORAGE_ROLE = (
    "Failed to upload blob package to storage account with Error: Response status code does not indicate success: "
    "403 (This request is not authorized to perform this operation using this permission.)."
)


@dataclass
class Deployment:
    """One upload: `looks` until it is final, then `ends` (Kudu's status) with `log`."""

    content: str
    ends: int
    log: str
    looks: int = 2


@dataclass
class App:
    """What an app runs, and how many more looks at its health until a new content shows."""

    content: str = ""
    next_content: str = ""
    looks: int = 0
    deployments: dict[str, Deployment] = field(default_factory=dict)


class FakeFunctionApps(FakeService):
    """Apps by name; an app exists as soon as it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.apps: dict[str, App] = {}
        self.says = 202
        """Status of the answer to an upload and to a look at a deployment that isn't final."""
        self.endings: list[tuple[int, str]] = []
        """How the next deployments end (status, log); success when the list is empty."""
        self.starts = True
        """Whether an app with new code gets to answer."""
        self.lists_ids = True
        """Whether a deployment is found under its id. Flex Consumption lists one that can't write its storage as latest only."""
        self._ids = itertools.count(1)

    def environment(self) -> dict[str, str]:
        return {"ROOMPULSE_SCM_ENDPOINT": self.url + "/scm/{app}", "ROOMPULSE_APP_ENDPOINT": self.url + "/app/{app}"}

    def uploads(self) -> int:
        return sum(request.method == "POST" for request in self.requests)

    def handle(self, request: Request) -> Answer:
        match = SITE.match(request.path)
        if match is None:
            return Answer(404, "no such site")
        app = self.apps.setdefault(match["app"], App())
        if match["side"] == "app":
            assert "Authorization" not in request.headers, "the token is nobody's business on the public site"
            return self._health(app, match["path"])
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return Answer(401, "")
        if match["path"] == "/api/publish":
            return self._publish(app, request)
        return self._deployment(app, match["path"].removeprefix("/api/deployments/"))

    def _publish(self, app: App, request: Request) -> Answer:
        if request.headers.get("Content-Type") != "application/zip":
            return Answer(415, "Unsupported Media Type")
        with zipfile.ZipFile(io.BytesIO(request.body)) as package:
            content = json.loads(package.read("content.json"))["sha256"]
        identifier = f"deployment-{next(self._ids)}"
        ends, log = self.endings.pop(0) if self.endings else (4, "")
        app.deployments[identifier] = Deployment(content, ends, log)
        return Answer(self.says, json.dumps(identifier))

    def _deployment(self, app: App, path: str) -> Answer:
        identifier, _, part = path.partition("/")
        known = identifier if self.lists_ids or identifier == "latest" else ""
        identifier = next(reversed(app.deployments), "") if known == "latest" else known or identifier
        deployment = app.deployments.get(identifier) if known else None
        if deployment is None:
            return Answer(404, "No deployment found.")
        if part == "log":
            entries: list[dict[str, Any]] = [{"message": "Starting deployment"}, {"message": deployment.log}]
            return Answer(200, entries)
        deployment.looks -= 1
        if deployment.looks > 0:
            return Answer(self.says, {"id": identifier, "status": 1, "status_text": "Building", "complete": False})
        if deployment.ends == 4 and deployment.looks == 0 and self.starts:
            app.next_content, app.looks = deployment.content, 2
        return Answer(200, {"id": identifier, "status": deployment.ends, "status_text": "", "complete": True})

    def _health(self, app: App, path: str) -> Answer:
        if app.next_content:
            app.looks -= 1
            if app.looks <= 0:
                app.content, app.next_content = app.next_content, ""
            elif not app.content:
                return Answer(503, "Function host is not running.")
        if path != "/api/health" or not app.content:
            return Answer(404, "")
        return Answer(200, {"sha256": app.content})
