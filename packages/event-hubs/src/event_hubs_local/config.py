"""Which hubs, partitions and consumer groups there are, read from the Config.json of Microsoft's Event Hubs emulator.

One file serves both, so that the official emulator can stand in for this broker. Its rules: one namespace called emulatorNs1,
at most 10 hubs, PartitionCount is a string from "1" to "32", 1 to 20 consumer groups a hub, `$default` is never listed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT_GROUP = "$default"
"""Every hub has this consumer group without listing it."""
EMULATOR_NAMESPACE = "emulatorNs1"
MAX_HUBS = 10
MAX_PARTITIONS = 32
MAX_GROUPS = 20
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,254}[A-Za-z0-9])?")


class ConfigError(Exception):
    """A Config.json can't be used. The text lists every fault with its path."""


@dataclass(frozen=True)
class HubConfig:
    """One hub: its name, how many partitions it has and its consumer groups (`$default` comes by itself)."""

    name: str
    partitions: int
    consumer_groups: tuple[str, ...] = ()


def read_config(path: Path) -> tuple[HubConfig, ...]:
    """The hubs of a Config.json; raises ConfigError with every fault of the file."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise ConfigError(f"{path} can't be read: {fault.strerror}.") from fault
    except ValueError as fault:
        raise ConfigError(f"{path} is not valid JSON: {fault}.") from fault
    faults = list(_faults(document))
    if faults:
        lines = "\n".join(f"  {where}  {what}" for where, what in faults)
        raise ConfigError(f"{path} is not a valid Event Hubs configuration ({len(faults)} faults):\n{lines}")
    entities = document["UserConfig"]["NamespaceConfig"][0]["Entities"]
    return tuple(
        HubConfig(hub["Name"], int(hub["PartitionCount"]), tuple(group["Name"] for group in hub.get("ConsumerGroups", ())))
        for hub in entities
    )


Fault = tuple[str, str]


def _faults(document: Any) -> Iterator[Fault]:
    where = "UserConfig/NamespaceConfig"
    section = document.get("UserConfig") if isinstance(document, dict) else None
    namespaces = section.get("NamespaceConfig") if isinstance(section, dict) else None
    if not isinstance(namespaces, list) or len(namespaces) != 1 or not isinstance(namespaces[0], dict):
        yield where, f'must be a list of exactly one namespace: [{{"Type": "EventHub", "Name": "{EMULATOR_NAMESPACE}", ...}}]'
        return
    namespace, where = namespaces[0], f"{where}/0"
    if namespace.get("Type") != "EventHub":
        yield f"{where}/Type", f'{namespace.get("Type")!r} must be "EventHub"'
    if namespace.get("Name") != EMULATOR_NAMESPACE:
        yield f"{where}/Name", f'{namespace.get("Name")!r} must be "{EMULATOR_NAMESPACE}": the emulator takes no other'
    entities = namespace.get("Entities")
    if not isinstance(entities, list) or not 1 <= len(entities) <= MAX_HUBS:
        yield f"{where}/Entities", f"must list 1 to {MAX_HUBS} hubs"
        return
    for index, hub in enumerate(entities):
        yield from _hub_faults(hub, f"{where}/Entities/{index}")
    yield from _repeated(entities, f"{where}/Entities")


def _hub_faults(hub: Any, where: str) -> Iterator[Fault]:
    if not isinstance(hub, dict):
        yield where, 'must be an object: {"Name": ..., "PartitionCount": "4", "ConsumerGroups": [...]}'
        return
    yield from _name_faults(hub.get("Name"), f"{where}/Name")
    count = hub.get("PartitionCount")
    if not isinstance(count, str):
        yield f"{where}/PartitionCount", f'{count!r} must be text: write "4", with quotes'
    elif not count.isdecimal() or not 1 <= int(count) <= MAX_PARTITIONS:
        yield f"{where}/PartitionCount", f'"{count}" must be a number from 1 to {MAX_PARTITIONS}'
    groups = hub.get("ConsumerGroups", [])
    if not isinstance(groups, list) or len(groups) > MAX_GROUPS:
        yield f"{where}/ConsumerGroups", f"must list at most {MAX_GROUPS} consumer groups"
        return
    for index, group in enumerate(groups):
        name = group.get("Name") if isinstance(group, dict) else None
        if isinstance(name, str) and name.lower() == DEFAULT_GROUP:
            yield f"{where}/ConsumerGroups/{index}/Name", f"{name} exists by itself: leave it out"
        else:
            yield from _name_faults(name, f"{where}/ConsumerGroups/{index}/Name")
    yield from _repeated(groups, f"{where}/ConsumerGroups")


def _name_faults(name: Any, where: str) -> Iterator[Fault]:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield where, f"{name!r} must be 1 to 256 letters, digits, '.', '_' or '-', starting and ending with a letter or digit"


def _repeated(items: list[Any], where: str) -> Iterator[Fault]:
    """Names that occur twice; Event Hubs does not distinguish upper from lower case."""
    names = Counter(item["Name"].lower() for item in items if isinstance(item, dict) and isinstance(item.get("Name"), str))
    for name, count in names.items():
        if count > 1:
            yield where, f'"{name}" is listed {count} times: names must differ in more than their case'
