"""The `roompulse` command as people meet it: what it says, and how it fails."""

from __future__ import annotations

import io
import json
from contextlib import closing
from pathlib import Path

import pytest
from typer import BadParameter
from typer.testing import CliRunner, Result
from webex_world import World

from cli import scenario as scenario_module
from cli.console import PlainConsole
from cli.durations import seconds
from cli.main import app
from local.run_settings import RunSettings
from tests.support.shared_data import REPOSITORY

JOB = str(REPOSITORY / "asa-queries/roompulse")


def roompulse(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_help_names_every_command() -> None:
    shown = roompulse("--help").output
    for command in ("run", "scenario", "ingest", "query", "plan"):
        assert command in shown


def test_version_is_one_line() -> None:
    assert roompulse("--version").output.startswith("roompulse ")


@pytest.mark.parametrize(("text", "expected"), [("90", 90), ("90s", 90), ("5m", 300), ("1.5h", 5400)])
def test_durations_are_read_as_people_write_them(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "-5s", "0", "5d"])
def test_what_is_no_duration_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(BadParameter, match="write 90s, 5m or 1h"):
        seconds(text)


class TestQuery:
    def test_the_deployed_query_has_no_findings(self) -> None:
        assert roompulse("query", "check", JOB).exit_code == 0

    def test_explain_as_json_lists_the_outputs(self) -> None:
        explained = json.loads(roompulse("query", "explain", JOB, "--json").output)
        assert {output["name"] for output in explained["outputs"]} == {"processed", "cityminute", "alerts", "lake"}

    def test_explain_shows_what_a_step_adds_to_an_earlier_one(self) -> None:
        lines = [line.split() for line in roompulse("query", "explain", JOB).output.splitlines()]
        assert ["aged", "those", "of", "breach,", "due:bigint"] in lines
        assert ["alerts", "those", "of", "alert,", "Table:nvarchar(max)"] in lines

    def test_explain_says_what_is_kept_and_for_how_long(self) -> None:
        kept = {tuple(row) for row in json.loads(roompulse("query", "explain", JOB, "--json").output)["kept"]}
        assert kept >= {
            ("observation", "LAG: the latest row for each PartitionId, id", "10 minutes"),
            ("edge", "ISFIRST: the latest row for each PartitionId, entityId, ruleId", "6 days"),
            ("cityminutes", "TumblingWindow: the rows of open windows", "1 minute"),
        }

    def test_the_cases_of_the_job_folder_pass(self) -> None:
        result = roompulse("query", "test", JOB)
        assert result.exit_code == 0, result.output
        assert "0 failed" in result.output

    def test_inputs_are_those_of_the_query(self, tmp_path: Path) -> None:
        result = roompulse("query", "run", JOB, "--input", f"observation={tmp_path}")
        assert result.exit_code == 1
        assert "The query reads no input observation; it reads observations." in result.output
        assert "Input observations has no events: add --input observations=FILE." in result.output

    def test_an_event_that_does_not_fit_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "events.jsonl").write_text('{"id": "a", "time": "2026-11-24T10:00:01Z"}\n{"id": 5}\n')
        result = roompulse("query", "run", JOB, "--input", f"observations={tmp_path / 'events.jsonl'}", "--output", str(tmp_path))
        assert result.exit_code == 0, "it is left out, as on Azure"
        assert 'event 2: id is not a nvarchar(max): {"id": 5}' in result.output.replace("\n", "")

    def test_a_file_that_holds_no_events_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "events.jsonl").write_bytes(b"\xff\xfe{")
        result = roompulse("query", "run", JOB, "--input", f"observations={tmp_path / 'events.jsonl'}", "--output", str(tmp_path))
        assert result.exit_code == 1
        assert "events.jsonl holds neither JSON lines nor an array nor CSV in UTF-8" in result.output.replace("\n", "")

    def test_a_list_that_breaks_off_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "events.jsonl").write_bytes(b'[{"id": "a"},')
        result = roompulse("query", "run", JOB, "--input", f"observations={tmp_path / 'events.jsonl'}", "--output", str(tmp_path))
        assert "events can't be read and are left out" in result.output.replace("\n", "")

    def test_an_event_is_numbered_from_the_beginning_of_its_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("asa_engine.feed.TEXT_PER_TICK", 100)
        lines = [f'{{"id": "{number}", "time": "2026-11-24T10:00:01Z"}}' for number in range(9)]
        (tmp_path / "events.jsonl").write_text("\n".join([*lines, '{"id": 5}', *lines]))
        result = roompulse("query", "run", JOB, "--input", f"observations={tmp_path / 'events.jsonl'}", "--output", str(tmp_path))
        assert "event 10: id is not a nvarchar(max)" in result.output.replace("\n", "")

    def test_a_folder_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "events.jsonl").write_text("")
        (tmp_path / "file").write_text("")
        target = tmp_path / "file" / "out"
        result = roompulse("query", "run", JOB, "--input", f"observations={tmp_path / 'events.jsonl'}", "--output", str(target))
        assert result.exit_code == 1
        assert "out can't be written: Not a directory." in result.output.replace("\n", "")

    def test_an_input_without_a_file_shows_the_form(self) -> None:
        assert "NAME=FILE" in roompulse("query", "run", JOB, "--input", "observations").output


class TestScenario:
    def test_without_a_run_it_says_how_to_start_one(self, tmp_path: Path) -> None:
        result = roompulse("scenario", "list", "--data", str(tmp_path))
        assert result.exit_code == 1
        assert "make run" in result.output

    def test_when_the_simulator_is_gone_it_says_how_to_start_the_pipeline(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("webex_simulator.scenarios.RESTART_SECONDS", 0.0)
        RunSettings(tmp_path, "test", (), webex_port=9).write(tmp_path / "run.json")
        result = roompulse("scenario", "list", "--data", str(tmp_path))
        assert result.exit_code == 1
        assert "No Webex simulator answers at http://127.0.0.1:9/_control: start the pipeline with `roompulse run`." in " ".join(
            result.output.split()
        )

    def test_what_is_broken_is_readable_at_80_columns_however_much_it_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each kind of effect has fields of its own: a column for each was wider than any terminal."""
        effects: list[dict[str, object]] = [
            {"id": 1, "action": "outage", "location": "Singapore one-north", "until": None},
            {"id": 2, "action": "flap", "device": "Room Bar 12", "downSeconds": 30, "upSeconds": 45},
            {"id": 3, "action": "bad-call", "device": "Desk Pro 3", "loss": 8, "jitter": 80},
            {"id": 4, "action": "throttle", "retryAfter": "5", "until": "2026-11-24T11:07:20Z"},
        ]
        output = io.StringIO()
        PlainConsole(file=output, width=80).print(scenario_module._table(effects))
        told = [line.rstrip() for line in output.getvalue().splitlines()]
        assert told[0].split() == ["id", "action", "what"]
        assert [" ".join(line.split()) for line in told[1:]] == [
            "1 outage location Singapore one-north",
            "2 flap device Room Bar 12, downSeconds 30, upSeconds 45",
            "3 bad-call device Desk Pro 3, loss 8, jitter 80",
            "4 throttle retryAfter 5, until 2026-11-24T11:07:20Z",
        ]

    @pytest.mark.parametrize("targets", [(), ("--city", "lyon", "--device", "x")])
    def test_an_outage_names_exactly_one_thing(self, tmp_path: Path, targets: tuple[str, ...]) -> None:
        result = roompulse("scenario", "outage", *targets, "--data", str(tmp_path))
        assert result.exit_code == 2
        assert "exactly one" in result.output

    def test_what_can_be_broken_on_demand_is_broken(self, tmp_path: Path) -> None:
        with closing(World(tmp_path)) as world:
            port = int(world.simulator.url.split(":")[2].split("/")[0])
            RunSettings(tmp_path, "test", (), webex_port=port).write(tmp_path / "run.json")
            device = next(d for d in world.all("/devices") if d["type"] == "roomdesk" and d.get("workspaceId"))
            counting = next(d for d in world.all("/devices") if d["product"] == "Cisco Room Kit EQ")
            room = next(w["displayName"] for w in world.all("/workspaces") if w["id"] == counting["workspaceId"])
            for words, said in (
                (("flap", "--device", device["id"], "--down", "10s", "--up", "20s"), "10 s down, 20 s up"),
                (("maintenance", "--location", "Lyon Confluence", "--for", "5m"), "planned maintenance"),
                (("maintenance", "--room", room), "planned maintenance"),
                (("overcrowd", "--room", room, "--people", "30"), "30 people"),
                (("bad-call", "--device", device["id"], "--loss", "6"), "6 % loss"),
                (("webex-incident", "--name", "Calling: no dial tone"), "Webex reports: Calling: no dial tone."),
                (("fail-status-page", "--for", "1m"), "answers 503 for 60 s"),
            ):
                result = roompulse("scenario", *words, "--data", str(tmp_path))
                assert (result.exit_code, said in " ".join(result.output.split())) == (0, True), result.output
            kinds = [effect["kind"] for effect in world.scenario.list()]
        assert kinds == ["flap", "maintenance", "maintenance", "overcrowd", "bad-call", "webex-incident", "fail-status-page"]


class TestPlan:
    def test_a_stack_that_is_not_there_is_named(self) -> None:
        result = roompulse("plan", "--stack", "none-such")
        assert result.exit_code == 1
        assert "Pulumi.none-such.yaml is missing" in result.output

    def test_the_plan_is_there_for_people_and_for_programs(self) -> None:
        assert "identities and what each may do" in roompulse("plan").output
        assert json.loads(roompulse("plan", "--json").output)["stack"] == "dev"
