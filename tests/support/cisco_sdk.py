"""Cisco's Node SDK for Workspace Integrations (npm `workspace-integrations`) as a process that tells what it was told."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import jwt

from tests.support.tools import node

SCRIPT = Path(__file__).with_suffix(".js")


class Sdk:
    """A running SDK."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def told(self, number: int) -> list[dict[str, Any]]:
        """The next things that it was told, so many: waits for them as long as a test may take."""
        assert self._process.stdout is not None
        return [json.loads(self._process.stdout.readline()) for _ in range(number)]


@contextlib.contextmanager
def connected(activation: dict[str, Any]) -> Iterator[Sdk]:
    """An SDK that has connected with what an activation gave (`ScenarioClient.integrate`), and listens."""
    claims = jwt.decode(activation["activationCode"], options={"verify_signature": False})
    names = ("oauthUrl", "refreshToken", "webexapisBaseUrl", "appUrl")
    options = {"clientId": activation["clientId"], "clientSecret": activation["clientSecret"]}
    keys = urljoin(claims["oauthUrl"], "/jwks")
    line = [node(), str(SCRIPT), json.dumps({**options, "activationCode": {name: claims[name] for name in names}}), keys]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Sdk(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
