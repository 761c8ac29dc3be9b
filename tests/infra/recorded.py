"""What the checks ask a recording: resources by type, the ids the offline run gives them, the settings of an app."""

from __future__ import annotations

import runpy
from functools import cache
from typing import Any

from infra.offline import OURS, SUBSCRIPTION, Recording, Registration, name_of
from infra.policies.rules import at
from tests.infra.arm_bodies import AZURE
from tests.support.shared_data import REPOSITORY


def of_type(recording: Recording, token: str) -> list[Registration]:
    """The resources of an azure-native type."""
    return [resource for resource in recording.resources if resource.type == AZURE + token]


def ours(recording: Recording, kind: str) -> list[Registration]:
    """The resources of one of our own types."""
    return [resource for resource in recording.resources if resource.type == OURS + kind]


def jobs(recording: Recording) -> list[Registration]:
    """The Stream Analytics jobs."""
    return ours(recording, "StreamAnalyticsJob")


def inside_fabric(recording: Recording) -> bool:
    """Whether the data goes through an eventstream, and nothing of Event Hubs and what follows it is there."""
    return any(item.inputs["type"] == "Eventstream" for item in ours(recording, "FabricItem"))


def id_of(resource: Registration) -> str:
    """The id the offline run gives a resource."""
    name = name_of(resource.type, resource.name, resource.inputs)
    return f"/subscriptions/{SUBSCRIPTION}/{resource.type.removeprefix(AZURE)}/{name}"


def ids(recording: Recording, token: str) -> set[str]:
    """The ids of the resources of an azure-native type."""
    return {id_of(resource) for resource in of_type(recording, token)}


def setting_of(app: Registration, name: str) -> str:
    """The value of an app's setting, `nowhere` where it has none."""
    settings = at(app.inputs, "siteConfig.appSettings")
    return next((str(setting["value"]) for setting in settings if setting["name"] == name), "nowhere")


@cache
def triggers(processor: str) -> dict[str, dict[str, Any]]:
    """The triggers of a function app by function, as the Functions host would index them."""
    app = runpy.run_path(str(REPOSITORY / "processors" / processor / "function_app.py"))["app"]  # a fresh one: it indexes once
    return {function.get_function_name(): function.get_trigger().get_dict_repr() for function in app.get_functions()}
