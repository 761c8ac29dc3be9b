"""Whatever stands in the files of a job folder, the file and the place at fault are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asa_engine import commands
from asa_engine.configuration import JobFolderError
from asa_engine.job_folder import mocks_of, read_job_folder

QUERY = "CREATE TABLE e (id bigint); SELECT id INTO o FROM e"
FILES: dict[str, Any] = {
    "asaproj.json": {
        "name": "j",
        "startFile": "q.asaql",
        "configurations": [
            {"filePath": "JobConfig.json", "subType": "JobConfig"}, {"filePath": "Inputs\\e.json", "subType": "Input"},
            {"filePath": "Outputs\\o.json", "subType": "Output"}, {"filePath": "Inputs\\mock.json", "subType": "InputMock"},
        ],
    },
    "JobConfig.json": {
        "EventsLateArrivalMaxDelayInSeconds": 5, "EventsOutOfOrderMaxDelayInSeconds": 0, "EventsOutOfOrderPolicy": "Adjust",
        "CompatibilityLevel": "1.2",
    },
    "Inputs/e.json": {"Name": "e", "Type": "Data Stream", "PartitionKey": None,
                      "EventHubProperties": {"EventHubName": "h", "ConsumerGroupName": "g"}},
    "Inputs/mock.json": {"InputAlias": "e", "FilePath": "e.jsonl"},
    "Outputs/o.json": {"Name": "o", "EventHubProperties": {"EventHubName": "h", "PartitionKey": "id", "PropertyColumns": ["id"]}},
    "test/testConfig.json": {"TestCases": [{
        "Name": "one", "Inputs": [{"InputAlias": "e", "FilePath": "in.json"}],
        "ExpectedOutputs": [{"OutputAlias": "o", "FilePath": "out.json", "IgnoreFields": []}],
    }]},
}  # fmt: skip


def written(folder: Path, **changed: Any) -> Path:
    (folder / "q.asaql").write_text(QUERY, encoding="utf-8")
    for name, content in (FILES | changed).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    for name in ("in.json", "out.json"):
        (folder / "test" / name).write_text('[{"id": 1}]', encoding="utf-8")
    return folder


def test_a_job_folder_is_read(tmp_path: Path) -> None:
    job = read_job_folder(written(tmp_path))
    assert (job.inputs["e"].hub, job.outputs["o"].partition_key, job.compatibility) == ("h", "id", "1.2")
    assert mocks_of(tmp_path) == {"e": tmp_path / "Inputs" / "e.jsonl"}
    assert [case.passed for case in commands.test(tmp_path)] == [True]


def with_value(content: Any, path: list[Any], value: Any) -> Any:
    if not path:
        return value
    first, *rest = path
    changed: Any = dict(content) if isinstance(content, dict) else list(content)
    changed[first] = with_value(content[first], rest, value)
    return changed


WRONG: list[tuple[str, list[Any], Any, str]] = [
    ("asaproj.json", [], [], "asaproj.json: a JSON object expected."),
    ("asaproj.json", ["startFile"], 5, "asaproj.json: startFile must be a text, and is 5."),
    ("asaproj.json", ["configurations"], {"a": 1}, 'configurations must be a list of objects, and is {"a": 1}.'),
    ("asaproj.json", ["configurations", 1], "x", "configurations must be a list of objects"),
    ("asaproj.json", ["configurations", 1], {"subType": "Input"}, "asaproj.json: configurations[1].filePath is missing."),
    ("JobConfig.json", ["EventsLateArrivalMaxDelayInSeconds"], "5", "EventsLateArrivalMaxDelayInSeconds must be a number"),
    (
        "JobConfig.json",
        ["EventsLateArrivalMaxDelayInSeconds"],
        None,
        "is missing; without it Azure waits for late events for ever.",
    ),
    ("JobConfig.json", ["EventsOutOfOrderPolicy"], True, "EventsOutOfOrderPolicy must be a text, and is true."),
    ("Inputs/e.json", ["EventHubProperties"], "x", 'e.json: EventHubProperties must be an object, and is "x".'),
    ("Inputs/e.json", ["Name"], None, "e.json: Name is missing."),
    ("Inputs/e.json", ["PartitionKey"], ["id"], 'e.json: PartitionKey must be a text, and is ["id"].'),
    (
        "Outputs/o.json",
        ["EventHubProperties", "PropertyColumns"],
        "id",
        "EventHubProperties.PropertyColumns must be a list of texts",
    ),
    ("Outputs/o.json", ["EventHubProperties", "PropertyColumns"], [1], "PropertyColumns must be a list of texts, and is [1]."),
    ("test/testConfig.json", ["TestCases", 0, "Inputs"], {}, "TestCases[0].Inputs must be a list of objects, and is {}."),
    ("test/testConfig.json", ["TestCases", 0, "Inputs", 0, "FilePath"], None, "TestCases[0].Inputs[0].FilePath is missing."),
    (
        "test/testConfig.json",
        ["TestCases", 0, "ExpectedOutputs", 0, "IgnoreFields"],
        "id",
        "IgnoreFields must be a list of texts",
    ),
]


@pytest.mark.parametrize(("file", "path", "value", "says"), WRONG)
def test_a_value_of_another_kind_is_named_with_its_place(
    tmp_path: Path, file: str, path: list[Any], value: Any, says: str
) -> None:
    written(tmp_path, **{file: with_value(FILES[file], path, value)})
    with pytest.raises(JobFolderError) as caught:
        commands.test(tmp_path)
    assert says in str(caught.value) and Path(file).name in str(caught.value)


NAMES = ["Name", "configurations", "filePath", "subType", "type", "properties", "$ref", "items"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "x", "e.json", "Input", "$ref", "#/a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=8,
)
OF_THE_JOB = [*(name for name in FILES if not name.startswith("test")), "Inputs/e.schema.json"]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("job"), **{"Inputs/e.schema.json": {}})


@given(st.sampled_from(OF_THE_JOB), ANYTHING)
def test_whatever_json_a_file_holds_it_is_read_or_refused_by_name(job: Path, file: str, content: Any) -> None:
    before = (job / file).read_text(encoding="utf-8")
    (job / file).write_text(json.dumps(content), encoding="utf-8")
    try:
        read_job_folder(job)
        mocks_of(job)
    except JobFolderError as fault:
        assert ".json" in str(fault)
    finally:
        (job / file).write_text(before, encoding="utf-8")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_query_is_read_as_windows_writes_it(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "q.asaql").write_text("SELECT 'é' AS name INTO o FROM e", encoding=encoding)
    assert commands.check(tmp_path / "q.asaql").errors == ()


def test_a_query_in_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "q.asaql").write_text("SELECT 'é' AS name INTO o FROM e", encoding="latin-1")
    with pytest.raises(JobFolderError, match=r"q\.asaql is not a text in UTF-8 \(byte 9\)\. Save it in UTF-8\."):
        commands.check(tmp_path / "q.asaql")
