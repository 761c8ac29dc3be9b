"""Microsoft's own Adaptive Cards, as a judge of ours: one Node.js process that answers for as many cards as it is asked."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.tools import node

CHECKER = Path(__file__).parent / "card_check" / "check.js"
MEANT = ("span",)
"""The HTML elements a reader's text may be made of: a run of text is a span."""


@dataclass(frozen=True)
class Judged:
    """What became of a card. `faults` of its structure; `lines` as read; `elements` they are made of; `expanded`: a template of
    cards found something to work out in it.
    """

    faults: tuple[str, ...]
    lines: tuple[str, ...]
    elements: tuple[str, ...]
    expanded: bool


class CardJudge:
    """Asks the process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, cards: Sequence[dict[str, Any]]) -> list[Judged]:
        """What becomes of each card. Cards that are the same are judged once: names aren't in every kind of message."""
        assert self._process.stdin and self._process.stdout
        texts = [json.dumps(card) for card in cards]
        different = list(dict.fromkeys(texts))
        self._process.stdin.write(f"[{','.join(different)}]\n")
        self._process.stdin.flush()
        answers = json.loads(self._process.stdout.readline())
        judged = {
            text: Judged(tuple(one["faults"]), tuple(one["lines"]), tuple(one["elements"]), one["expanded"])
            for text, one in zip(different, answers, strict=True)
        }
        return [judged[text] for text in texts]


@contextlib.contextmanager
def card_judge() -> Iterator[CardJudge]:
    """A judge for as long as it is needed."""
    with subprocess.Popen([node(), str(CHECKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield CardJudge(process)
        assert process.stdin
        process.stdin.close()
