"""What `roompulse ingest doctor` says of what should be pushed, each with the next step."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from processors.ingest.doctor import push
from processors.ingest.push.manifest import manifest
from tests.processors.ingest.push.test_listener import Scene, scene

__all__ = ["scene"]


def environment(scene: Scene, **more: str) -> dict[str, str]:
    return {"WEBEX_API_BASE": scene.world.simulator.url, "WEBEX_INTEGRATION_FOLDER": str(scene.home._folder), **more}


def without_home(scene: Scene) -> dict[str, str]:
    return {"WEBEX_API_BASE": scene.world.simulator.url}


def not_activated(scene: Scene) -> dict[str, str]:
    scene.home.forget()
    return environment(scene)


def elsewhere(scene: Scene) -> dict[str, str]:
    return environment(scene, WEBEX_API_BASE="https://webexapis.com/v1")


def deactivated(scene: Scene) -> dict[str, str]:
    scene.world.scenario.update_integration("deprovision")
    return environment(scene)


def approved_less(scene: Scene) -> dict[str, str]:
    (activated,) = scene.world.simulator._api._effects.all(scene.world.now)
    activated.values["statuses"] = activated.values["statuses"][1:]
    return environment(scene)


def without_queue(scene: Scene) -> dict[str, str]:
    return environment(scene)


def listened(scene: Scene) -> dict[str, str]:
    scene.hear_first()
    return environment(scene)


@pytest.mark.parametrize(
    ("prepare", "verdict", "text"),
    [
        (without_home, "error", "nothing says where the integration is kept; lyon should be pushed"),
        (not_activated, "error", "no integration is activated; lyon should be pushed"),
        (elsewhere, "error", "leads to '127.0.0.1', which is not Webex's"),
        (
            deactivated,
            "error",
            "the refresh token or the client secret is no good|The refresh token or the client secret is no good",
        ),
        (approved_less, "warning", f"not approved yet: status {manifest()['xapiAccess']['status'][0]['path']}"),
        (without_queue, "warning", "the integration has no queue"),
        (listened, "ok", "activated, approved and has a queue; pushed: lyon"),
    ],
)
def test_it_names_what_is_missing(scene: Scene, prepare: Callable[[Scene], dict[str, str]], verdict: str, text: str) -> None:
    finding = push(prepare(scene), ["lyon"])
    assert (finding.check, finding.verdict) == ("push", verdict), finding
    assert any(one in finding.text for one in text.split("|")), finding
    assert finding.fix or verdict == "ok"
