"""What a part of the deployment says of itself, so that nothing else has to know it: what people call it, its types of resources
with their words and prices. A part is listed in a plan where the program makes the first of its class.

To add a resource: a class derived from Part, in a module of its own, and the line of infra/program.py that makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pulumi

from activator.declarations import DeclarationError, Fault
from infra.meters import ByUse, Price

Word = str | Callable[[str, Mapping[str, Any]], str]
"""What people call a resource: always the same, or by its logical name and planned properties."""


@dataclass(frozen=True)
class Kind:
    """A type of resource: what people call one, and what one costs: `price` for being there (infra.meters.free where that is
    nothing), `by_use` for what no plan can know.

    Of a type of Azure: `named`, the properties that name one, its parents' first ("vaultName/secretName"); `diagnosed`, whether
    it sends logs and metrics to the workspace, False where Azure has none of it or they come with another's.
    """

    word: Word
    price: Price
    by_use: ByUse | None = None
    named: str = ""
    diagnosed: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The properties that name one in Azure, its own last."""
        return tuple(self.named.split("/")) if self.named else ()

    def called(self, name: str, properties: Mapping[str, Any]) -> str:
        """What people call the resource with this logical name and these planned properties."""
        return self.word if isinstance(self.word, str) else self.word(name, properties)


class Part(pulumi.ComponentResource):
    """A part of the deployment. A subclass declares

    - `title`: what people call it, in a plan. `{name}` stands for the name of each, where a stack has several.
    - `resources`: the types it brings (without provider, such as `eventhub:Namespace`); a type is declared once, by one part.
    - `of_city`: whether each of it belongs to the city of its name.
    """

    title: ClassVar[str]
    resources: ClassVar[Mapping[str, Kind]] = {}
    of_city: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "title" not in cls.__dict__:
            text = 'is missing: write title = "What people call it", and below it resources = {...}.'
            raise DeclarationError(f"Part {cls.__name__} does not say what it is", [Fault(f"{_file(cls)}/title", text)])
        declared = {type_: part for part in _REGISTERED for type_ in part.resources}
        twice = [
            Fault(f"{_file(cls)}/resources/{type_}", f"is declared by {declared[type_].__name__} already: take it out here.")
            for type_ in cls.__dict__.get("resources", {})
            if type_ in declared
        ]
        if twice:
            raise DeclarationError(f"Part {cls.__name__} says again what another has said", twice)
        _REGISTERED.append(cls)

    def __init__(self, name: str) -> None:
        super().__init__(token(type(self)), name)


_REGISTERED: list[type[Part]] = []


def token(part: type[Part]) -> str:
    """The type by which Pulumi's state knows a part: its folder of `infra` and its class, as in `roompulse:azure:EventHubs`."""
    return f"roompulse:{part.__module__.split('.')[-2]}:{part.__name__}"


def part_of(component: str) -> type[Part]:
    """The part with this token; raises DeclarationError for a component that is none."""
    for part in _REGISTERED:
        if token(part) == component:
            return part
    name = component.rsplit(":", 1)[-1]
    text = "is not a part: derive it from infra.parts.Part, with title and resources, so that a plan can list and price it."
    raise DeclarationError("A component of the program can't be planned", [Fault(name, text)])


def kind_of(type_: str, part: type[Part] | None = None) -> Kind:
    """What is declared of a type of resource; raises DeclarationError when no part declares it. `part` is where it was found."""
    for candidate in _REGISTERED:
        if type_ in candidate.resources:
            return candidate.resources[type_]
    where = f"resources of {part.__name__} in {_file(part)}" if part else "resources of the part that makes it"
    text = f'is declared by no part: add "{type_}": Kind("what people call it", its price) to {where}.'
    raise DeclarationError("A type of resource can't be planned", [Fault(type_, text)])


def names_of(type_: str) -> tuple[str, ...]:
    """The properties that name a resource of this type in Azure, its own last; none of a type that no part declares."""
    return next((part.resources[type_].names for part in _REGISTERED if type_ in part.resources), ())


def _file(part: type[Part]) -> str:
    return f"{part.__module__.replace('.', '/')}.py"
