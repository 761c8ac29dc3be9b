"""A JSON file of a job folder: its values by name, and the file, the place and what was expected where one is of another kind."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asa_engine.errors import StreamEngineError

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class JobFolderError(StreamEngineError):
    """A file of the job folder is missing or wrong. The text names it."""


def text_of(file: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 with its mark, as Windows PowerShell writes it. Raises JobFolderError."""
    try:
        content = file.read_bytes()
        return content.decode("utf-16" if content[:2] in _UTF_16 else "utf-8-sig")
    except FileNotFoundError:
        raise JobFolderError(f"{file} is missing.") from None
    except OSError as fault:
        raise JobFolderError(f"{file} can't be read: {fault.strerror}.") from fault
    except UnicodeDecodeError as fault:
        raise JobFolderError(f"{file} is not a text in UTF-8 (byte {fault.start + 1}). Save it in UTF-8.") from fault


@dataclass(frozen=True)
class Configuration:
    """An object of a file, at a place within it ("" for the whole file). Every method raises JobFolderError."""

    file: Path
    values: Mapping[str, Any]
    place: str = ""

    @classmethod
    def read(cls, file: Path) -> Configuration:
        """The object a file holds."""
        try:
            content = json.loads(text_of(file))
        except json.JSONDecodeError as fault:
            raise JobFolderError(f"{file}:{fault.lineno}: not JSON: {fault.msg}.") from fault
        except RecursionError as fault:
            raise JobFolderError(f"{file}: nested too deep.") from fault
        if not isinstance(content, dict):
            raise JobFolderError(f"{file}: a JSON object expected.")
        return cls(file, content)

    def text(self, name: str) -> str | None:
        """A text; None where there is none."""
        return None if self.values.get(name) is None else self._of_kind(name, str, "a text")

    def needed_text(self, name: str) -> str:
        """A text that has to be there."""
        found = self.text(name)
        if found is None:
            raise JobFolderError(f"{self.file}: {self.place}{name} is missing.")
        return found

    def number(self, name: str, why: str) -> float:
        """A number that has to be there; `why` is said where it is not."""
        if self.values.get(name) is None:
            raise JobFolderError(f"{self.file}: {self.place}{name} is missing; {why}.")
        found: float = self._of_kind(name, (int, float), "a number")
        return found

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; none where there is no list."""
        found = () if self.values.get(name) is None else self._of_kind(name, list, "a list of texts")
        if not all(isinstance(one, str) for one in found):
            raise self._wrong(name, "a list of texts")
        return tuple(found)

    def part(self, name: str) -> Configuration:
        """An object within this one; an empty one where there is none."""
        found = {} if self.values.get(name) is None else self._of_kind(name, dict, "an object")
        return Configuration(self.file, found, f"{self.place}{name}.")

    def parts(self, name: str) -> Iterator[Configuration]:
        """The objects of a list; none where there is no list."""
        found = () if self.values.get(name) is None else self._of_kind(name, list, "a list of objects")
        for number, one in enumerate(found):
            if not isinstance(one, dict):
                raise self._wrong(name, "a list of objects")
            yield Configuration(self.file, one, f"{self.place}{name}[{number}].")

    def beside(self, folder: Path, name: str) -> Path:
        """The file that a text names, from a folder on, with the separators of any system."""
        return folder / self.needed_text(name).replace("\\", "/")

    def _of_kind(self, name: str, kinds: type | tuple[type, ...], called: str) -> Any:
        found = self.values[name]
        if not isinstance(found, kinds) or isinstance(found, bool):
            raise self._wrong(name, called)
        return found

    def _wrong(self, name: str, called: str) -> JobFolderError:
        shown = json.dumps(self.values[name], ensure_ascii=False)
        return JobFolderError(f"{self.file}: {self.place}{name} must be {called}, and is {shown[:60]}.")
