"""Reading Webex records: tolerant of everything but a missing identity (what becomes of odd fields: test_odd_fields.py)."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.ingest.records import BadRecord, read_device, read_floor, read_location, read_workspace
from tests.support.scripted_webex import device
from tests.support.shared_data import shared_data

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=8,
)
device_fields = ["displayName", "type", "product", "software", "connectionStatus", "errorCodes", "workspaceId", "locationId"]


def test_every_documented_example_is_understood() -> None:
    examples = json.loads(shared_data("webex/examples/devices.list.json").read_text(encoding="utf-8"))["items"]
    read = [read_device(item) for item in examples]
    assert [one.id for one in read] == [item["id"] for item in examples]
    assert {one.kind for one in read} >= {"roomdesk", "accessory", "phone"}


def test_only_the_id_is_needed() -> None:
    only = read_device({"id": "a"})
    assert (only.id, only.name, only.connection_status, only.error_codes, only.workspace_id) == ("a", "a", None, (), None)


@pytest.mark.parametrize("empty", [None, "", []])
def test_null_and_empty_mean_absent(empty: str | list[Any] | None) -> None:
    assert read_device(device(1, errorCodes=empty)).error_codes == ()
    if not isinstance(empty, list):
        assert read_device(device(1, software=empty)).software is None


@pytest.mark.parametrize("odd", [{"connectionStatus": "pending"}, {"type": "hologram"}, {"errorCodes": ["newcode"]}, {"new": {}}])
def test_values_and_fields_we_have_never_met_pass(odd: dict[str, Any]) -> None:
    read_device(device(1, **odd))


@pytest.mark.parametrize("maintenance", ["off", {"mode": "upcoming"}, None, 5])
def test_planned_maintenance_may_have_any_shape(maintenance: str | dict[str, str] | int | None) -> None:
    read_device(device(1, plannedMaintenance=maintenance))


def test_codes_come_in_one_order_and_once() -> None:
    assert read_device(device(1, errorCodes=["b", "a", "b"])).error_codes == ("a", "b")


@pytest.mark.parametrize("record", [None, "text", 5, [], {}, {"id": None}, {"id": ""}, {"id": 7}, {"id": ["a"]}])
def test_without_an_identity_it_is_a_bad_record(record: object) -> None:
    for read in (read_device, read_workspace, read_location):
        with pytest.raises(BadRecord):
            read(record)


@pytest.mark.parametrize(
    "capabilities", [None, [], ["temperature"], {"temperature": True}, {"temperature": {"configured": "yes"}}]
)
def test_capabilities_of_another_shape_mean_that_none_is_known(capabilities: list[str] | dict[str, Any] | None) -> None:
    assert read_workspace({"id": "w", "capabilities": capabilities}).configured == frozenset()


@given(json_values)
def test_no_json_value_raises_anything_but_bad_record(value: object) -> None:
    for read in (read_device, read_workspace, read_location):
        with contextlib.suppress(BadRecord):
            read(value)


@given(st.sampled_from(device_fields), json_values)
def test_no_value_of_a_field_raises_anything_but_bad_record(field: str, value: object) -> None:
    with contextlib.suppress(BadRecord):
        read_device(device(1, **{field: value})).name.encode()


HOSTILE = "Bar\u202e gnp\x1b[31m\n\u200b  Lyon" + "\u0301" * 300
SHOWN = "Bar gnp [31m Lyon" + "\u0301" * 8


def test_names_are_one_line_that_people_can_read_before_anybody_else_has_them() -> None:
    """From here they go into the lake, onto the page, into tables of commands, CSV and Power BI."""
    device = read_device({"id": "d1", "displayName": HOSTILE, "product": HOSTILE, "software": HOSTILE, "serial": HOSTILE})
    assert (device.name, device.product, device.software, device.serial) == (SHOWN,) * 4
    assert read_workspace({"id": "w1", "displayName": HOSTILE}).name == SHOWN
    assert read_location({"id": "l1", "name": HOSTILE}).name == SHOWN
    assert read_floor({"id": "f1", "displayName": HOSTILE}).name == SHOWN
    assert read_device({"id": "d1", "displayName": "\u202e\n"}).name == "d1", "what is empty then is none"
