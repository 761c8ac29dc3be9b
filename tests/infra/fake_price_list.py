"""A fake of the Azure Retail Prices API: filters, at most `page_size` entries a page, NextPageLink, as its documentation says."""

from __future__ import annotations

import re
from typing import Any

from tests.infra.providers.fake_service import Answer, FakeService, Request

FIELDS = {"priceType": "type"}
"""Where the filter calls a field otherwise than the entries do."""


class FakePriceList(FakeService):
    """Serves `items`. The filter is the subset the documentation shows: `field eq 'value'`, `and`, and `or` in brackets."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[dict[str, Any]] = []
        self.page_size = 100
        self.next_host = self.url

    def add(self, service: str, meter: str, price: float, unit: str = "1 Hour", **other: Any) -> None:
        """An entry as the list has them; `other` are further or differing fields."""
        entry = {
            "currencyCode": "USD",
            "tierMinimumUnits": 0.0,
            "retailPrice": price,
            "unitPrice": price,
            "armRegionName": "westeurope",
            "location": "EU West",
            "effectiveStartDate": "2024-01-01T00:00:00Z",
            "meterName": meter,
            "productName": service,
            "skuName": "Standard",
            "serviceName": service,
            "unitOfMeasure": unit,
            "type": "Consumption",
            "isPrimaryMeterRegion": True,
            "armSkuName": "",
        }
        self.items.append(entry | other)

    def handle(self, request: Request) -> Answer:
        if request.path != "/api/retail/prices":
            return Answer(404, {"error": "not found"})
        fitting = [item for item in self.items if _fits(item, request.query.get("$filter", ""))]
        skip = int(request.query.get("$skip", 0))
        page = fitting[skip : skip + self.page_size]
        following = f"{self.next_host}{request.path}?$filter={request.query['$filter']}&$skip={skip + self.page_size}"
        link = following if skip + self.page_size < len(fitting) else None
        envelope = {"BillingCurrency": "USD", "CustomerEntityId": "Default", "CustomerEntityType": "Retail"}
        return Answer(200, {**envelope, "Items": page, "NextPageLink": link, "Count": len(page)})


def _fits(item: dict[str, Any], text: str) -> bool:
    for part in text.split(" and "):
        choices = re.findall(r"(\w+) eq '([^']*)'", part)
        assert choices, f"a filter the service does not know: {part}"
        if not any(item.get(FIELDS.get(field, field)) == value for field, value in choices):
            return False
    return True
