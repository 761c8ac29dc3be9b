"""What a resource takes in a month, in units of a price list's meters. No price is written here or anywhere else (infra/cost.py).

Meters are named as the Azure Retail Prices API names them: learn.microsoft.com/rest/api/cost-management/retail-prices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

HOURS = 730
"""Of a month, as Azure's own price calculator counts."""


@dataclass(frozen=True)
class Meter:
    """How the list names what is billed. `sku` is the machine where one meter name stands for many."""

    service: str
    name: str | None
    unit: str
    product: str | None = None
    sku: str | None = None


@dataclass(frozen=True)
class Purchase:
    """Something a stack takes in a month: how much of a meter, and how that follows from the plan."""

    what: str
    meter: Meter
    quantity: float
    because: str


@dataclass(frozen=True)
class Each:
    """The price of a type of resource that is billed by its number: `times` the meter's unit in a month, and how it is worded."""

    what: str
    meter: Meter
    times: float
    because: str


@dataclass(frozen=True)
class ByUse:
    """What a resource costs beyond what a plan can know, and what that depends on."""

    what: str
    how: str


Price = Each | Callable[[str, Mapping[str, Any]], Iterable[Purchase]]
"""What a type of resource takes: by its number, or by the name and the planned properties (by dotted path) of each."""


def free(_name: str, _properties: Mapping[str, Any]) -> Iterable[Purchase]:
    """The price of what costs nothing by being there; what its use costs is a ByUse."""
    return ()
