"""The command `webex-simulator`: how it starts, fails, stops, dies and comes back."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import requests

from webex_simulator.cities import SAMPLE, CitiesError, read_cities
from webex_simulator.command import main
from webex_simulator.scenarios import ScenarioClient

LYON = {"slug": "lyon", "name": "Lyon", "timeZone": "Europe/Paris", "locations": ["Lyon Part-Dieu"]}


class Running:
    """`python -m webex_simulator` with some words, in a folder of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        command = [sys.executable, "-m", "webex_simulator", *words]
        self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def says(self) -> str:
        """Its next line, empty when it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def ended(self) -> tuple[int, str]:
        """Its exit code and what it wrote to standard error."""
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def run(*words: str) -> Running:
        started.append(Running(tmp_path, *words))
        return started[-1]

    yield run
    for each in started:
        if each.process.poll() is None:
            each.kill()


def test_it_says_where_it_serves_and_with_which_token(start: Callable[..., Running]) -> None:
    running = start("--port", "0", "--devices", "200")
    api, control, token = (running.says().split(" ", 1) for _ in range(3))
    assert (api[0], control[0], token[0]) == ("API", "control", "token")
    devices = requests.get(f"{api[1]}/devices", headers={"Authorization": f"Bearer {token[1]}"}, timeout=10).json()["items"]
    assert len(devices) == 200
    state = requests.get(control[1], timeout=10).json()
    assert state["cities"] == {city.slug: city.name for city in SAMPLE}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told(start: Callable[..., Running], number: signal.Signals) -> None:
    running = start("--port", "0", "--devices", "100")
    running.says()
    running.process.send_signal(number)
    assert running.ended() == (0, "")


def test_killed_it_comes_back_with_the_outage_still_on(start: Callable[..., Running]) -> None:
    words = ("--port", "0", "--devices", "100")
    controls = []
    for outage in (True, False):
        running = start(*words)
        running.says()
        control = ScenarioClient(running.says().removeprefix("control "))
        if outage:
            control.outage(city="lyon")
        controls.append(control.list())
        running.kill()
    assert controls[0] == controls[1] != []


def test_the_cities_are_those_of_the_file(start: Callable[..., Running], tmp_path: Path) -> None:
    (tmp_path / "cities.json").write_text(json.dumps([LYON]))
    running = start("--port", "0", "--devices", "100", "--cities", "cities.json")
    running.says()
    assert requests.get(running.says().removeprefix("control "), timeout=10).json()["cities"] == {"lyon": "Lyon"}


@pytest.mark.parametrize(
    ("city", "says"),
    [
        ([], "must be a list of at least one city"),
        ({}, "must be a list of at least one city"),
        ([{}], "0 must have exactly what this has"),
        ([{**LYON, "size": 1}], "0 must have exactly what this has"),
        ([LYON, {**LYON, "slug": 1}], "1/slug: 1 must be text"),
        ([{**LYON, "name": " "}], "0/name: ' ' must be text"),
        ([{**LYON, "locations": []}], "0/locations: [] must be a list of at least one name"),
        ([{**LYON, "locations": "Lyon"}], "0/locations: 'Lyon' must be a list of at least one name"),
        ([{**LYON, "locations": [1]}], "0/locations: [1] must be a list of at least one name"),
        ([{**LYON, "timeZone": None}], "0/timeZone: None must be text"),
        ([{**LYON, "timeZone": "Europe"}], "0/timeZone: 'Europe' is not the name of a time zone"),
        ([{**LYON, "timeZone": "Europe/Lyon"}], "0/timeZone: 'Europe/Lyon' is not the name of a time zone"),
        ([{**LYON, "timeZone": "../passwd"}], "0/timeZone: '../passwd' is not the name of a time zone"),
    ],
)
def test_a_fault_in_the_file_of_cities_is_named_with_its_path(tmp_path: Path, city: object, says: str) -> None:
    path = tmp_path / "cities.json"
    path.write_text(json.dumps(city))
    with pytest.raises(CitiesError, match=re.escape(says)) as caught:
        read_cities(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(("content", "says"), [(None, "can't be read: No such file"), ("{", "is not valid JSON")])
def test_a_file_that_holds_no_cities_is_named(
    tmp_path: Path, content: str | None, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cities.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit, match=rf"cities\.json {says}"):
        main(["--cities", str(path)])


def test_a_port_in_use_is_named_with_the_option_that_changes_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            SystemExit, match=rf"^Port {port} can't be used \(Address already in use\): .* another with --port\.$"
        ):
            main(["--port", str(port), "--devices", "100", "--state", str(tmp_path / "state.json")])


def test_too_many_devices_are_refused_with_the_range() -> None:
    with pytest.raises(SystemExit, match="100 to 100000 devices, not 100001: choose another with --devices"):
        main(["--devices", "100001"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--port", "65536"), "65536 must be from 0 to 65535"),
        (("--port", "-1"), "-1 must be from 0 to 65535"),
        (("--port", "http"), "invalid port_number value: 'http'"),
        (("--speed", "0"), "0 must be more than 0 and at most 10000"),
        (("--speed", "nan"), "nan must be more than 0 and at most 10000"),
        (("--speed", "10001"), "10001 must be more than 0 and at most 10000"),
    ],
)
def test_an_option_out_of_range_is_told_the_range(words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(words)
    assert says in capsys.readouterr().err


def test_it_has_help_and_a_version(capsys: pytest.CaptureFixture[str]) -> None:
    for word, says in (("--help", "usage: webex-simulator"), ("--version", f"webex-simulator {version('webex-simulator')}\n")):
        with pytest.raises(SystemExit, match=r"^0$"):
            main([word])
        assert capsys.readouterr().out.startswith(says)


def test_the_example_of_the_readme_runs() -> None:
    readme = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    ran = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, timeout=60)
    assert (ran.stderr, ran.stdout) == ("", "True of 200 devices are down\n")
