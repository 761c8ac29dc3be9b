"""A resource registers itself: one class with what it is and costs, one line that makes it.

What is forgotten is told, with where to add it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import pulumi
import pytest
from pulumi import ResourceOptions
from pulumi_azure_native import storage

from activator.declarations import DeclarationError
from infra import parts, plan
from infra.azure import roles
from infra.azure.roles import Identity, Role
from infra.cost import purchases
from infra.meters import HOURS, Meter, Purchase
from infra.offline import Registration
from infra.parts import Kind, Part
from infra.plan_text import render
from infra.program import deploy
from tests.infra.arm_bodies import arm_name
from tests.infra.deployments import recording, stack
from tests.support.rules import RULES
from tests.support.shared_data import REPOSITORY

QUEUE_USER = Role("Storage Queue Data Contributor", "974c5e8b-45b9-4653-ba55-5f855dd0fb88")
METER = Meter("Storage", "Queue", "1 Hour")


@pytest.fixture(autouse=True)
def _parts_of_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that a test declares are forgotten after it."""
    monkeypatch.setattr(parts, "_REGISTERED", list(parts._REGISTERED))


def priced(name: str, properties: Mapping[str, Any]) -> Iterator[Purchase]:
    yield Purchase(f"Queue {name}", METER, HOURS, f"named {properties['queueName']}")


def made_by(make: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> plan.Plan:
    """The plan of dev when the program has one line more."""

    def program(*arguments: Any, **named: Any) -> None:
        deploy(*arguments, **named)
        make()

    monkeypatch.setattr(plan, "deploy", program)
    return plan.plan_of(stack("dev"), RULES)


def queue(parent: pulumi.Resource) -> storage.Queue:
    options = ResourceOptions(parent=parent)
    return storage.Queue("waiting", queue_name="waiting", account_name="a", resource_group_name="g", opts=options)


def test_a_new_resource_with_its_role_is_one_class_and_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Waiting(Part):
        title = "Waiting line"
        resources: ClassVar = {"storage:Queue": Kind("queue", priced)}

        def __init__(self) -> None:
            super().__init__("waiting-line")
            queue(self)
            reader = roles.assign(group_like(), QUEUE_USER, "somebody-waiting", "scope", "principal", parent=self)
            assert reader

    planned = made_by(Waiting, monkeypatch)
    assert planned.services[-1].title == "Waiting line", "a plan lists it where the program makes it"
    assert "Waiting line         role, queue" in render(planned)
    assert plan.Grant("somebody", "Storage Queue Data Contributor", "waiting") in planned.grants
    assert Purchase("Queue waiting", METER, HOURS, "named waiting") in purchases(planned)


def group_like() -> Any:
    """What `assign` needs of a resource group."""

    class Group:
        subscription_id = "s"

        class names:
            plain = staticmethod("-".join)

    return Group


def test_a_component_that_is_no_part_is_told_how_to_become_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def make() -> None:
        queue(pulumi.ComponentResource("roompulse:azure:Waiting", "waiting-line"))

    with pytest.raises(DeclarationError, match=r"  Waiting  is not a part: derive it from infra\.parts\.Part, with title"):
        made_by(make, monkeypatch)


def test_a_type_without_word_and_price_is_told_with_the_class_that_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Waiting(Part):
        title = "Waiting line"

        def __init__(self) -> None:
            super().__init__("waiting-line")
            queue(self)

    with pytest.raises(DeclarationError) as caught:
        made_by(Waiting, monkeypatch)
    assert str(caught.value) == (
        "A type of resource can't be planned (1 fault):\n"
        '  storage:Queue  is declared by no part: add "storage:Queue": Kind("what people call it", its price) to resources of '
        "Waiting in tests/infra/test_lists_of_the_code.py."
    )


def test_a_part_that_says_no_title_is_told_when_it_is_written() -> None:
    with pytest.raises(
        DeclarationError, match=r'test_lists_of_the_code\.py/title  is missing: write title = "What people call it"'
    ):

        class Waiting(Part):
            pass


def test_a_type_is_declared_by_one_part() -> None:
    with pytest.raises(DeclarationError, match=r"resources/keyvault:Vault  is declared by Vault already: take it out here"):

        class Waiting(Part):
            title = "Waiting line"
            resources: ClassVar = {"keyvault:Vault": Kind("vault", priced)}


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("Key Vault Secrets User", "b86a8fe4-44ce-4948-aee5-eccb2c155cd8"),
        ("Secrets Clerk", "4633458b-17de-408a-b874-0445c86b69e6"),
    ],
)
def test_a_role_that_is_known_otherwise_is_told(name: str, id_: str) -> None:
    with pytest.raises(DeclarationError, match=r'is written as "Key Vault Secrets User", 4633458b-\S+ elsewhere'):
        Role(name, id_)


def test_a_role_is_given_by_a_constant_and_never_by_a_misspelt_word() -> None:
    annotations = Identity.may.__annotations__
    assert annotations["role"] == "Role", "the type checker refuses a text"


def test_every_part_of_every_route_is_known_by_its_token() -> None:
    tokens = {one.type for name in ("dev", "prod", "fabric") for one in recording(name).registrations if not one.custom}
    assert {parts.part_of(token).__name__ for token in tokens} == {token.rsplit(":", 1)[-1] for token in tokens}


def test_every_part_is_made_by_a_line_of_another_module() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in (REPOSITORY / "infra").rglob("*.py")}
    declared = {(path, name) for path, text in texts.items() for name in re.findall(r"^class (\w+)\(Part\):", text, re.M)}
    unmade = [
        f"{path.relative_to(REPOSITORY)}: nothing makes {name}; add its line to infra/program.py, or to a route.py"
        for path, name in sorted(declared)
        if not any(re.search(rf"\b{name}\(", text) for other, text in texts.items() if other != path)
    ]
    assert len(declared) > 10 and not unmade, "\n".join(unmade)


def test_a_type_whose_kind_does_not_say_its_address_is_told() -> None:
    queue = Registration("", "azure-native:storage:Queue", "queue", True, {}, frozenset(), "", (), False, ())
    with pytest.raises(AssertionError, match=re.escape("storage:Queue: its Kind says no `named`: add")):
        arm_name(queue)
