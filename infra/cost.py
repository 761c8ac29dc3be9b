"""What a stack's declared capacity costs in a month: its units, priced by Azure's public list of retail prices.

No price is written here. A unit is matched with a meter by the names the list gives it; what matches none, or more than one, is
reported as not priced with the reason, and so is everything that depends on use. Source of the fields, the filter and the paging:
Azure Retail Prices API, learn.microsoft.com/rest/api/cost-management/retail-prices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, TypeGuard
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from infra.meters import HOURS, Each, Meter, Purchase
from infra.parts import kind_of
from infra.plan import Plan, PlannedResource
from processors.contracts.http_session import Session

PRICES = "https://prices.azure.com/api/retail/prices"
TIMEOUT = (5.0, 30.0)
"""Seconds to connect and to wait for an answer."""
LONGEST_WAIT = 10
"""Seconds to wait before each of three more attempts, whatever a throttled list asks for: a person waits for the answer."""
PAGES = 50
"""A filter for one meter has one page; so many mean that the service does not know where its list ends."""
EVERYWHERE = "Global"
"""The region of meters whose price is the same in all regions."""


class CostError(Exception):
    """The list of prices can't be read. The text says why and the next step."""


@dataclass(frozen=True)
class Priced:
    """A purchase with its price for a month."""

    what: str
    because: str
    amount: float


@dataclass(frozen=True)
class NotPriced:
    """Something without a price, and why."""

    what: str
    why: str


@dataclass(frozen=True)
class Cost:
    """A month of a stack in one region and currency, without what depends on use."""

    stack: str
    location: str
    currency: str
    priced: tuple[Priced, ...]
    not_priced: tuple[NotPriced, ...]

    @property
    def total(self) -> float:
        """The sum of what has a price."""
        return sum(line.amount for line in self.priced)


class RetailPrices:
    """The list of prices at `address`, Azure's own unless asked otherwise. Throttling and passing failures are waited for;
    everything else is a CostError.
    """

    def __init__(self, address: str | None = None) -> None:
        self._address = address or PRICES
        self._session = Session()
        patience = Retry(
            total=3,
            backoff_factor=0.5,
            status_forcelist=(429, 500, 502, 503, 504),
            raise_on_status=False,
            retry_after_max=LONGEST_WAIT,
        )
        self._session.mount("https://", HTTPAdapter(max_retries=patience))
        self._session.mount("http://", HTTPAdapter(max_retries=patience))

    def items(self, meter: Meter, location: str) -> list[Mapping[str, Any]]:
        """The list's entries for a meter in a region, from all its pages, those of every region included."""
        conditions = {"serviceName": meter.service, "meterName": meter.name, "armSkuName": meter.sku, "priceType": "Consumption"}
        said = [f"{field} eq '{value}'" for field, value in conditions.items() if value]
        said.append(f"(armRegionName eq '{location}' or armRegionName eq '{EVERYWHERE}')")
        page = self._get(self._address, {"$filter": " and ".join(said)})
        found = _items(page)
        for _ in range(PAGES):
            following = page.get("NextPageLink")
            if not following:
                return found
            if urlsplit(str(following)).hostname != urlsplit(self._address).hostname:
                raise CostError(f"The list of prices continues at another host ({following}): not followed.")
            page = self._get(str(following), {})
            found += _items(page)
        raise CostError(f"The list of prices for {meter.service} has no end: more than {PAGES} pages for one meter.")

    def _get(self, address: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        host = urlsplit(address).hostname
        try:
            response = self._session.get(address, params=query, timeout=TIMEOUT)
            response.raise_for_status()
            answer = response.json()
        except requests.exceptions.JSONDecodeError as fault:
            raise CostError(f"{host} answered with something that is not JSON: is a proxy in the way?") from fault
        except requests.HTTPError as fault:
            raise CostError(f"{host} answered {fault.response.status_code}: try later; the plan needs no prices.") from fault
        except requests.RequestException as fault:
            reason = f"can't be reached ({type(fault).__name__})"
            raise CostError(f"{host} {reason}: prices need the internet, the plan without --cost does not.") from fault
        if not isinstance(answer, Mapping):
            raise CostError(f"{host} answered with a list where its documentation says an object: nothing is priced.")
        return answer


def cost_of(plan: Plan, prices: RetailPrices) -> Cost:
    """A month of a plan. Raises CostError when the list can't be read: half a sum would look like a whole one."""
    priced: list[Priced] = []
    not_priced: list[NotPriced] = []
    currencies: set[str] = set()
    for purchase in purchases(plan):
        tiers, why = _tiers(prices.items(purchase.meter, plan.location), purchase.meter, plan.location)
        if not tiers:
            not_priced.append(NotPriced(purchase.what, why))
            continue
        priced.append(Priced(purchase.what, purchase.because, _amount(tiers, purchase.quantity)))
        currencies |= {currency for _, _, currency in tiers}
    if len(currencies) > 1:
        raise CostError(f"The list mixes currencies ({', '.join(sorted(currencies))}): no sum can be made.")
    return Cost(plan.stack, plan.location, "".join(currencies), tuple(priced), (*not_priced, *_by_use(plan)))


def _by_use(plan: Plan) -> Iterator[NotPriced]:
    found = (kind_of(resource.type).by_use for resource in _resources(plan))
    for by_use in dict.fromkeys(one for one in found if one):
        yield NotPriced(by_use.what, f"depends on use: {by_use.how}")


def purchases(plan: Plan) -> list[Purchase]:
    """What a plan's resources take in a month, as far as it is declared: one by one, then what is billed by its number."""
    found: list[Purchase] = []
    counted: Counter[Each] = Counter()
    for resource in _resources(plan):
        price = kind_of(resource.type).price
        if isinstance(price, Each):
            counted[price] += 1
        else:
            found += price(resource.name, resource.properties)
    return found + [Purchase(each.what, each.meter, n * each.times, f"{n} {each.because}") for each, n in counted.items()]


def _resources(plan: Plan) -> Iterator[PlannedResource]:
    return (resource for service in plan.services for resource in service.resources)


Tier = tuple[float, float, str]
"""From how many units of a month on, the price of a unit, and the currency."""


def _tiers(items: Iterable[Mapping[str, Any]], meter: Meter, location: str) -> tuple[list[Tier], str]:
    """The price steps of a meter, or none and why. The region's own prices go before those of every region."""
    now = datetime.now(UTC).isoformat()
    fitting = [item for item in items if _fits(item, meter) and _holds(item, now)]
    local = [item for item in fitting if item.get("armRegionName") == location] or fitting
    if not local:
        return [], f"the list has no meter {meter.name or meter.sku} of {meter.service} for {location}"
    steps: dict[float, set[tuple[float, str]]] = {}
    for item in local:
        price, currency, start = item.get("retailPrice"), item.get("currencyCode"), item.get("tierMinimumUnits", 0.0)
        if not _is_amount(price) or not _is_amount(start) or not isinstance(currency, str) or not currency:
            return [], f"the list's entry for {meter.name or meter.sku} lacks a price, a currency or a step"
        steps.setdefault(float(start), set()).add((float(price), currency))
    if any(len(prices) > 1 for prices in steps.values()):
        return [], f"the list has several prices for {meter.name or meter.sku} of {meter.service}: none can be chosen"
    tiers = sorted((start, *next(iter(prices))) for start, prices in steps.items())
    if tiers[0][0] != 0:
        return [], f"the list has no price for the first units of {meter.name or meter.sku}"
    if not any(price for _, price, _ in tiers):
        return [], f"the list says 0 for {meter.name or meter.sku} of {meter.service}, which is a place holder and not a price"
    return tiers, ""


def _holds(item: Mapping[str, Any], now: str) -> bool:
    """Whether an entry's price holds at a time (ISO); it may have come to its end already."""
    return str(item.get("effectiveStartDate") or "") <= now <= str(item.get("effectiveEndDate") or now)


def _is_amount(value: Any) -> TypeGuard[float]:
    """Whether a value of JSON is a number to count with: not true, which Python takes for 1, and neither NaN nor below 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def _fits(item: Mapping[str, Any], meter: Meter) -> bool:
    if item.get("type") != "Consumption" or item.get("unitOfMeasure") != meter.unit or item.get("serviceName") != meter.service:
        return False
    if meter.sku:  # the same machine is listed with Windows, and as leftovers that Azure may take back
        names = f"{item.get('productName')} {item.get('meterName')} {item.get('skuName')}"
        return item.get("armSkuName") == meter.sku and not any(word in names for word in ("Windows", "Spot", "Low Priority"))
    return item.get("meterName") == meter.name and meter.product in (None, item.get("productName"))


def _amount(tiers: Sequence[Tier], quantity: float) -> float:
    ends = [*tiers, (float("inf"), 0.0, "")]
    return sum(max(0.0, min(quantity, following[0]) - step[0]) * step[1] for step, following in pairwise(ends))


def _items(page: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    items = page.get("Items")
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise CostError("The list of prices has no Items where its documentation says so: nothing is priced.")
    return items


def render_cost(cost: Cost) -> str:
    """The cost for people: what has a price, what has none and why, and the sum of the first."""
    currency = cost.currency or "nothing priced"
    lines = [f"{cost.stack} · {cost.location} · a month of {HOURS} h at list prices, {currency}, without tax or discounts"]
    lines += [f"  {line.what:<32} {line.amount:>12,.2f}   {line.because}" for line in cost.priced]
    lines += [f"  {'of what has a price':<32} {cost.total:>12,.2f}", "  not priced"]
    lines += [f"    {line.what:<38} {line.why}" for line in cost.not_priced]
    return "\n".join(lines)
