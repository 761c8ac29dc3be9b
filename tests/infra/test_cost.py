"""What a stack costs, asked of a list of prices that behaves as Azure's documentation says. The prices here are made up."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import infra.cost
from cli.main import app
from infra.azure.network import ENDPOINT_HOURS
from infra.azure.pipeline_alerts import METRIC_ALERT
from infra.azure.room_alerts import LOG_ALERT
from infra.cost import Cost, CostError, RetailPrices, _amount, cost_of, purchases, render_cost
from infra.meters import HOURS
from infra.plan import Plan, plan, plan_of
from tests.infra.deployments import stack
from tests.infra.fake_price_list import FakePriceList
from tests.infra.providers.fake_service import Answer
from tests.support.rules import RULES


@cache
def planned(name: str) -> Plan:
    return plan(name)


@pytest.fixture
def prices() -> Iterator[FakePriceList]:
    """A list with every meter the stacks need, and neighbours that must not be mistaken for them."""
    fake = FakePriceList()
    fake.add("Event Hubs", "Standard Throughput Unit", 0.03)
    fake.add("Event Hubs", "Standard Throughput Unit", 9.0, armRegionName="eastus")
    fake.add("Event Hubs", "Basic Throughput Unit", 9.0, skuName="Basic")
    v2 = {"skuName": "Standard V2"}
    fake.add("Stream Analytics", "Standard V2 Streaming Unit/Job", 0.4, **v2)
    fake.add("Stream Analytics", "Standard V2 Streaming Unit/Job", 0.3, tierMinimumUnits=730.0, **v2)
    fake.add("Functions", "Always Ready Baseline", 0.000004, "1 GB Second", productName="Flex Consumption")
    for machine in ("Standard_E2ads_v5", "Standard_E2a_v4"):
        fake.add("Virtual Machines", "E2", 0.2, armSkuName=machine, productName="Virtual Machines Linux")
        fake.add("Virtual Machines", "E2", 9.0, armSkuName=machine, productName="Virtual Machines Windows")
        fake.add("Virtual Machines", "E2 Spot", 0.01, armSkuName=machine, skuName="E2 Spot")
        fake.add("Virtual Machines", "E2", 500.0, armSkuName=machine, type="Reservation", productName="Virtual Machines Linux")
    fake.add("Azure Data Explorer", "Standard Engine Cluster Markup", 0.1)
    for meter in (each.meter for each in (METRIC_ALERT, LOG_ALERT, ENDPOINT_HOURS)):
        fake.add(meter.service, str(meter.name), 0.5, meter.unit, armRegionName="Global")
    yield fake
    fake.close()


def cost(fake: FakePriceList, name: str = "prod") -> Cost:
    return cost_of(planned(name), RetailPrices(f"{fake.url}/api/retail/prices"))


def amounts(cost: Cost) -> dict[str, float]:
    return {line.what: round(line.amount, 2) for line in cost.priced}


def reasons(cost: Cost) -> dict[str, str]:
    return {line.what: line.why for line in cost.not_priced}


class TestSum:
    def test_units_of_the_plan_are_multiplied_with_the_list_s_prices(self, prices: FakePriceList) -> None:
        priced = amounts(cost(prices))
        assert priced["Event Hubs throughput units"] == round(0.03 * HOURS, 2)
        assert priced["Stream Analytics"] == round(0.7 * HOURS * 0.4, 2)
        assert priced["Always ready: ingest-app"] == round(2 * 2 * HOURS * 3600 * 0.000004, 2)
        assert priced["Data Explorer machines"] == round(2 * HOURS * 0.2, 2)
        assert priced["Data Explorer markup"] == round(2 * 2 * HOURS * 0.1, 2)
        assert priced["Log alerts"] == 27 * 0.5

    def test_the_total_is_the_sum_of_what_has_a_price(self, prices: FakePriceList) -> None:
        month = cost(prices)
        assert month.total == pytest.approx(sum(line.amount for line in month.priced))
        assert f"{month.total:,.2f}" in render_cost(month) and "USD" in render_cost(month)

    def test_the_machine_without_a_service_level_has_no_markup(self, prices: FakePriceList) -> None:
        assert "Data Explorer markup" not in amounts(cost(prices, "dev"))

    def test_what_depends_on_use_is_told_and_not_guessed(self, prices: FakePriceList) -> None:
        told = reasons(cost(prices))
        assert told["Function executions"].startswith("depends on use")
        assert set(told) == {
            "Log Analytics, Application Insights", "Key Vault", "Event Hubs events, auto-inflated units", "Function executions",
            "Storage of the lake and the apps", "Data Explorer's management nodes, disks", "Text messages",
        }, "everything declared has a price"  # fmt: skip

    def test_what_a_stack_does_not_have_is_not_told(self, prices: FakePriceList) -> None:
        told = reasons(cost(prices, "fabric"))
        assert "Function executions" in told and not any(words in told for words in ("Event Hubs events, auto-inflated units",))

    def test_without_a_live_store_nothing_of_it_is_bought(self) -> None:
        dev = stack("dev")
        assert dev.azure is not None
        without = plan_of(replace(dev, azure=replace(dev.azure, kusto=None)), RULES)
        assert not [purchase for purchase in purchases(without) if "Explorer" in purchase.what]

    @given(st.floats(0, 10_000), st.floats(0.01, 5), st.floats(0.01, 5), st.floats(1, 5_000))
    def test_steps_of_a_price_hold_for_their_units(self, units: float, first: float, second: float, step: float) -> None:
        amount = _amount([(0.0, first, "USD"), (step, second, "USD")], units)
        assert amount == pytest.approx(min(units, step) * first + max(0.0, units - step) * second)


class TestOddLists:
    def test_pages_are_read_to_the_end(self, prices: FakePriceList) -> None:
        prices.page_size = 1
        assert amounts(cost(prices)) and reasons(cost(prices)) == reasons(cost(prices))
        assert any("$skip" in request.query for request in prices.requests)

    def test_a_list_without_end_is_an_error(self, prices: FakePriceList) -> None:
        prices.items *= 200
        prices.page_size = 1
        with pytest.raises(CostError, match="has no end"):
            cost(prices)

    def test_a_next_page_at_another_host_is_not_fetched(self, prices: FakePriceList) -> None:
        prices.page_size, prices.next_host = 1, "http://prices.example"
        with pytest.raises(CostError, match="another host"):
            cost(prices)

    def test_an_empty_list_prices_nothing_and_says_so(self, prices: FakePriceList) -> None:
        prices.items.clear()
        month = cost(prices)
        assert month.total == 0 and not month.priced and "nothing priced" in render_cost(month)
        assert "the list has no meter Standard Throughput Unit" in reasons(month)["Event Hubs throughput units"]

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"unitOfMeasure": "1 Day"}, "no meter"),
            ({"retailPrice": None}, "lacks a price"),
            ({"tierMinimumUnits": 10.0}, "no price for the first units"),
            ({"effectiveStartDate": "2999-01-01T00:00:00Z"}, "no meter"),
            ({"effectiveEndDate": "2025-12-31T00:00:00Z"}, "no meter"),
            ({"retailPrice": 0.0}, "says 0 for Standard Throughput Unit of Event Hubs"),
            ({"retailPrice": -0.03}, "lacks a price"),
            ({"retailPrice": True}, "lacks a price"),
            ({"retailPrice": "0.03"}, "lacks a price"),
            ({"retailPrice": float("nan")}, "lacks a price"),
            ({"retailPrice": float("inf")}, "lacks a price"),
            ({"tierMinimumUnits": float("nan")}, "lacks a price"),
            ({"tierMinimumUnits": False}, "lacks a price"),
            ({"currencyCode": ""}, "lacks a price"),
            ({"currencyCode": None}, "lacks a price"),
            ({"armRegionName": "WestEurope "}, "no meter"),
        ],
    )
    def test_an_odd_entry_is_no_price(self, prices: FakePriceList, change: dict[str, object], why: str) -> None:
        prices.items[0] |= change
        assert why in reasons(cost(prices))["Event Hubs throughput units"]

    def test_a_price_that_ends_later_and_one_whose_first_units_are_free_are_prices(self, prices: FakePriceList) -> None:
        unit = amounts(cost(prices))["Event Hubs throughput units"]
        prices.items[0] |= {"effectiveEndDate": "2999-01-01T00:00:00Z"}
        assert amounts(cost(prices))["Event Hubs throughput units"] == unit == round(0.03 * HOURS, 2)
        prices.items[0] |= {"retailPrice": 0.0}
        prices.add("Event Hubs", "Standard Throughput Unit", 0.03, tierMinimumUnits=700.0)
        assert amounts(cost(prices))["Event Hubs throughput units"] == round(0.03 * 30, 2)

    def test_of_several_prices_none_is_chosen(self, prices: FakePriceList) -> None:
        prices.add("Event Hubs", "Standard Throughput Unit", 0.05)
        assert "several prices" in reasons(cost(prices))["Event Hubs throughput units"]

    def test_the_same_price_twice_is_one_price(self, prices: FakePriceList) -> None:
        prices.add("Event Hubs", "Standard Throughput Unit", 0.03)
        assert amounts(cost(prices))["Event Hubs throughput units"] == round(0.03 * HOURS, 2)

    def test_currencies_are_not_added_up(self, prices: FakePriceList) -> None:
        prices.items[0]["currencyCode"] = "EUR"
        with pytest.raises(CostError, match="mixes currencies"):
            cost(prices)


class TestNoAnswer:
    def test_throttling_is_waited_for(self, prices: FakePriceList) -> None:
        prices.fail("GET", "/prices", Answer(429, {}, {"Retry-After": "0"}), times=2)
        assert amounts(cost(prices))["Data Explorer markup"] > 0

    def test_a_list_that_asks_for_a_day_is_not_waited_for(self, prices: FakePriceList, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(infra.cost, "LONGEST_WAIT", 0)
        prices.fail("GET", "/prices", Answer(429, {}, {"Retry-After": "86400"}), times=9)
        with pytest.raises(CostError, match="answered 429: try later"):
            cost(prices)

    @pytest.mark.parametrize(
        ("answer", "told"),
        [
            (Answer(400, {"error": "bad filter"}), "answered 400"),
            (Answer(200, "<html>sign in</html>"), "not JSON"),
            (Answer(200, []), "an object"),
            (Answer(200, {"Items": None}), "has no Items"),
        ],
    )
    def test_an_answer_that_is_none_prices_nothing(self, prices: FakePriceList, answer: Answer, told: str) -> None:
        prices.fail("GET", "/prices", answer)
        with pytest.raises(CostError, match=told):
            cost(prices)

    def test_half_an_answer_is_no_sum(self, prices: FakePriceList) -> None:
        prices.fail_nth(3, Answer(404, {}), afterwards=False)
        with pytest.raises(CostError, match="answered 404"):
            cost(prices)


class TestCommand:
    def run(self, monkeypatch: pytest.MonkeyPatch, address: str, *options: str) -> tuple[int, str]:
        monkeypatch.setattr(infra.cost, "PRICES", address)
        result = CliRunner().invoke(app, ["plan", "--stack", "dev", "--cost", *options])
        return result.exit_code, result.output

    def test_it_prints_a_month_for_people_or_for_programs(self, prices: FakePriceList, monkeypatch: pytest.MonkeyPatch) -> None:
        address = f"{prices.url}/api/retail/prices"
        code, text = self.run(monkeypatch, address)
        assert code == 0 and "Event Hubs throughput units" in text and "not priced" in text
        code, text = self.run(monkeypatch, address, "--json")
        assert code == 0 and json.loads(text)["total"] == pytest.approx(cost(prices, "dev").total)

    def test_without_a_network_it_says_so_and_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket() as taken:  # bound and not listening: nobody answers there
            taken.bind(("127.0.0.1", 0))
            code, text = self.run(monkeypatch, f"http://127.0.0.1:{taken.getsockname()[1]}/api/retail/prices")
        assert code == 1 and "can't be reached" in text and "without --cost" in text

    def test_two_plans_are_not_priced(self, monkeypatch: pytest.MonkeyPatch) -> None:
        code, text = self.run(monkeypatch, "http://127.0.0.1:1", "--against", "prod")
        assert code == 1 and "leave out --against" in text
