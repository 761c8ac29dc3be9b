"""Config.json, the official emulator's own: what is right is read, what is wrong is listed all at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from event_hubs_local.config import ConfigError, HubConfig, read_config


def written(tmp_path: Path, *entities: Any, name: str = "emulatorNs1", kind: str = "EventHub") -> Path:
    namespace = {"Type": kind, "Name": name, "Entities": list(entities)}
    path = tmp_path / "Config.json"
    path.write_text(json.dumps({"UserConfig": {"NamespaceConfig": [namespace], "LoggingConfig": {"Type": "File"}}}))
    return path


def hub(name: Any = "rooms", partitions: Any = "4", *groups: str) -> dict[str, Any]:
    return {"Name": name, "PartitionCount": partitions, "ConsumerGroups": [{"Name": group} for group in groups]}


def test_a_hub_is_read(tmp_path: Path) -> None:
    assert read_config(written(tmp_path, hub("rooms", "2", "a", "b"))) == (HubConfig("rooms", 2, ("a", "b")),)


def test_every_fault_is_listed_with_its_path(tmp_path: Path) -> None:
    entities = [hub("rooms", 4, "$Default"), hub("-bad-", "0"), hub("Rooms", "33", "a", "A"), "hub"]
    with pytest.raises(ConfigError) as caught:
        read_config(written(tmp_path, *entities, name="mine", kind="ServiceBus"))
    text = str(caught.value)
    where = "UserConfig/NamespaceConfig/0"
    for expected in (
        "(10 faults)",
        f"{where}/Type  'ServiceBus'",
        f"{where}/Name  'mine'",
        f'{where}/Entities/0/PartitionCount  4 must be text: write "4"',
        f"{where}/Entities/0/ConsumerGroups/0/Name  $Default exists by itself",
        f"{where}/Entities/1/Name  '-bad-'",
        f'{where}/Entities/1/PartitionCount  "0"',
        f'{where}/Entities/2/PartitionCount  "33"',
        f'{where}/Entities/2/ConsumerGroups  "a" is listed 2 times',
        f"{where}/Entities/3  must be an object",
        f'{where}/Entities  "rooms" is listed 2 times',
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not valid JSON"),
        ("[]", "exactly one namespace"),
        ('{"UserConfig": {"NamespaceConfig": []}}', "exactly one namespace"),
    ],
)
def test_a_file_that_is_something_else_is_named(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "Config.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=says) as caught:
        read_config(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json can't be read: No such file"):
        read_config(tmp_path / "none.json")


def test_more_hubs_than_the_emulator_takes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must list 1 to 10 hubs"):
        read_config(written(tmp_path, *(hub(f"hub{number}") for number in range(11))))
