"""KQL is translated once: what was kept is found again, and only by what it depends on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local.lake import translation
from local.lake.translation import Translation, UntranslatableError, kept, translated
from tests.support.shared_data import REPOSITORY

LIVE_STORE = """
import sys
from pathlib import Path
from local.clock import SimulatedClock
from local.lake import translation
from local.lake.live_store import LiveStore
translation.FOLDER = Path(sys.argv[1])
for _ in range(2):
    print("duckdb_kql" in sys.modules, len(LiveStore(Path(sys.argv[1]) / "lake", SimulatedClock(0, 0)).tiles()))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where translations are kept by these tests."""
    monkeypatch.setattr(translation, "FOLDER", tmp_path / "kept")
    return tmp_path / "kept"


class Translator:
    """Numbers what it is asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> Translation:
        self.asked += 1
        return Translation(f"SELECT {self.asked} AS \u00e9", ("now",))


def test_the_same_texts_are_translated_once() -> None:
    translate = Translator()
    assert [kept(["a", "b"], translate) for _ in range(3)] == [Translation("SELECT 1 AS \u00e9", ("now",))] * 3
    assert [kept(texts, translate).sql for texts in (["a"], ["a", "c"], ["ab"])] == [f"SELECT {n} AS \u00e9" for n in (2, 3, 4)]


def test_another_translator_translates_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    translate = Translator()
    kept(["a"], translate)
    monkeypatch.setattr(translation, "_translator", lambda: "9.9.9")
    kept(["a"], translate)
    assert translate.asked == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: content.replace(b"SELECT 1", b"SELECT 7"),
        lambda content: content[:80],
        lambda content: b"",
        lambda content: b"\xff" + content,
    ],
)
def test_what_is_damaged_is_translated_anew(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    translate = Translator()
    kept(["a"], translate)
    (file,) = folder.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert [kept(["a"], translate).sql for _ in range(2)] == ["SELECT 2 AS \u00e9"] * 2


def test_where_nothing_can_be_written_nothing_is_kept(folder: Path) -> None:
    folder.write_text("a file")
    translate = Translator()
    assert [kept(["a"], translate).sql for _ in range(2)] == ["SELECT 1 AS \u00e9", "SELECT 2 AS \u00e9"]


def test_not_more_are_kept_than_a_bound(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translation, "MOST_KEPT", 3)
    held = []
    for number in range(5):
        kept([str(number)], Translator())
        held.append(len(list(folder.iterdir())))
    assert held == [1, 2, 3, 1, 2]


def test_what_can_not_be_translated_is_not_kept(folder: Path) -> None:
    for _ in range(2):
        with pytest.raises(UntranslatableError, match="could not parse KQL"):
            kept(["a"], lambda: translated("Processed | wherex", "{}"))
    assert not folder.exists()


def test_a_start_with_everything_kept_loads_no_translator(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIVE_STORE, str(tmp_path)]
    first, second = (
        subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split() for _ in range(2)
    )
    tiles = first[1]
    assert int(tiles) > 5
    assert (first, second) == (["False", tiles, "True", tiles], ["False", tiles, "False", tiles])
