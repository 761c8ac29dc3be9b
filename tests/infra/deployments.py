"""What the tests of the program share: stacks, and what the program registers for them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from pulumi import Output

from infra.azure.vault import WebexSecrets
from infra.offline import Recording, evaluate
from infra.packaging import package_path
from infra.program import deploy
from infra.settings.contacts import Contact
from infra.settings.stack import City, StackSettings, load_stack
from tests.support.rules import RULES
from tests.support.shared_data import REPOSITORY

TODAY = "2026-11-24"
TOKEN = "a token nobody may see"
TOKEN_SET = json.dumps({"client_id": "C1", "refresh_token": TOKEN})


@cache
def stack(name: str) -> StackSettings:
    """A stack of this repository."""
    return load_stack(REPOSITORY / f"Pulumi.{name}.yaml", RULES)


def record(settings: StackSettings, preview: bool = False) -> Recording:
    """What the program registers for some settings."""

    def program() -> None:
        deploy(
            settings,
            RULES,
            today=TODAY,
            webex=WebexSecrets(Output.secret(TOKEN_SET), Output.secret(f"client secret: {TOKEN}")),
            package_for=lambda content: package_path(content, REPOSITORY / "output" / "packages"),
        )

    return evaluate(program, stack=settings.stack, preview=preview)


def private(settings: StackSettings) -> StackSettings:
    """The settings with a private network, and so without Fabric, which can't enter it."""
    assert settings.azure is not None
    return replace(settings, azure=replace(settings.azure, private_network=True, fabric=None))


@cache
def recording(name: str, preview: bool = False) -> Recording:
    """What the program registers for a stack of this repository."""
    return record(stack(name), preview)


@cache
def closed(name: str, preview: bool = False) -> Recording:
    """What the program registers for a stack of this repository in a private network."""
    return record(private(stack(name)), preview)


def city(slug: str, *, sms: tuple[str, ...] = (), email: tuple[str, ...] = ("av@example.com",)) -> City:
    """A city that is in no stack file."""
    contacts = (*(Contact("email", to) for to in email), *(Contact("sms", to) for to in sms))
    return City(slug, slug.title(), "Europe/Paris", (f"{slug} office",), 100, contacts, ())


def with_cities(settings: StackSettings, cities: Iterable[City]) -> StackSettings:
    """The settings with other cities."""
    return replace(settings, cities=tuple(cities))
