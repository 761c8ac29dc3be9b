"""What a device says of itself in words (xAPI): its diagnostics with the level it gives them, its peripherals, its switch port.

They come with the answer to the question that the xAPI tier asks anyway, so of the devices that it asks: those in need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from processors.ingest.status_tree import at, items, word

EXPRESSIONS = (
    "Diagnostics.Message[*].*",
    "Peripherals.ConnectedDevice[*].*",
    "Network[*].CDP.*",
    "Network[*].LLDP.*",
)
MOST = 10
"""More messages or peripherals of one device are not sent: what is wrong with it is clear by then."""
LONGEST_WORDS = 300
LEVELS = ("Critical", "Error", "Warning", "Info")
"""Of a diagnostic message, the worst first: it can't be used; it can, with restrictions; and two that cost nothing now."""
CONNECTED = "Connected"
_MESSAGE = {"type": "Type", "level": "Level", "description": "Description"}
_PERIPHERAL = {"type": "Type", "name": "Name", "status": "Status", "serial": "SerialNumber"}
_SWITCH = (("LLDP", "SysName"), ("CDP", "DeviceId"), ("LLDP", "DeviceId"), ("CDP", "SysName"))
_PORT = (("LLDP", "PortID"), ("CDP", "PortID"))

Fields = tuple[tuple[str, str], ...]
"""Names and texts: what is not reported is not in it."""


class DeviceWords(NamedTuple):
    """`messages`: the worst first. `peripherals`: those that are lost first. `network`: its switch and port."""

    messages: tuple[Fields, ...] = ()
    peripherals: tuple[Fields, ...] = ()
    network: Fields = ()

    @property
    def lasting(self) -> DeviceWords:
        """What still holds when the device has not been heard for long: where it is plugged in."""
        return DeviceWords(network=self.network)

    def reported(self) -> dict[str, Any]:
        """The words as observations carry them."""
        found: dict[str, Any] = {
            "messages": [dict(message) for message in self.messages],
            "peripherals": [dict(peripheral) for peripheral in self.peripherals],
            "network": dict(self.network),
        }
        return {name: value for name, value in found.items() if value}


def read_words(tree: Mapping[str, Any]) -> DeviceWords:
    """The words in a tree of statuses; anything may be missing."""
    messages = sorted(_all(items(tree, "Diagnostics", "Message"), _MESSAGE), key=_badness)
    peripherals = sorted(_all(items(tree, "Peripherals", "ConnectedDevice"), _PERIPHERAL), key=_is_connected)
    return DeviceWords(tuple(messages[:MOST]), tuple(peripherals[:MOST]), _network(items(tree, "Network")))


def _all(records: Sequence[object], names: Mapping[str, str]) -> list[Fields]:
    found = (tuple((name, text) for name, key in names.items() if (text := _words(at(record, key)))) for record in records)
    return [fields for fields in found if fields]


def _badness(message: Fields) -> int:
    level = dict(message).get("level", "")
    return LEVELS.index(level) if level in LEVELS else len(LEVELS)


def _is_connected(peripheral: Fields) -> bool:
    return dict(peripheral).get("status", CONNECTED) == CONNECTED


def _network(networks: Sequence[object]) -> Fields:
    """The switch and the port by the first interface that knows them."""
    for network in networks:
        found = (("switch", _first(network, _SWITCH)), ("port", _first(network, _PORT)))
        if fields := tuple((name, text) for name, text in found if text):
            return fields
    return ()


def _first(network: object, paths: Sequence[tuple[str, str]]) -> str:
    return next((text for path in paths if (text := _words(at(network, *path)))), "")


def _words(value: object) -> str:
    return (word(value) or "")[:LONGEST_WORDS]
