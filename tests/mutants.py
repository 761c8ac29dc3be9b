"""Mutation testing: changes one boundary of the stream engine at a time and sees whether a test turns red.

    python tests/mutants.py                           # every boundary of the operators; exit 1 when a mutant survives
    python tests/mutants.py window_step join_bounds   # of some modules
    python tests/mutants.py --list                    # what would be changed

A boundary is a comparison (`<` for `<=`), the side of a search or window, the sign of an offset, or the choice between
earliest and latest, in Python and in the SQL that the module writes. Mutants that change nothing a user could see are listed
with the reason in `packages/stream-engine/tests/equivalent_mutants.txt`.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tokenize
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from queue import SimpleQueue

REPOSITORY = Path(__file__).resolve().parents[1]
ENGINE = Path("packages/stream-engine/src/asa_engine")
MODULES = (
    *("windows", "window_step", "time_policy", "units", "join_bounds"),
    *("join_step", "analytic_step", "history", "key_table", "staging", "input_buffer", "engine", "steps", "text_functions"),
)
TESTS = (
    *(
        f"packages/stream-engine/tests/test_{name}.py"
        for name in (
            "time_policy",
            "staging",
            "windows",
            "stored_rows",
            "schedule",
            "values",
            "documented_functions",
            "state",
            "boundaries",
        )
    ),
    "packages/stream-engine/tests",
    "tests/local/stream_engine",
    "tests/asa_queries",
)
"""The quickest to notice come first."""
EQUIVALENT = REPOSITORY / "packages/stream-engine/tests/equivalent_mutants.txt"
NOT_CODE = {"FaultFound", "StreamEngineError", "ConversionError", "CalculationError", "CorruptState", "StateMismatch"}
"""Calls whose texts are for people."""
SECONDS = 180
"""A mutant whose tests run longer than this hangs, which is red as well."""

SWAPS = (
    (r"(?<![<>=!-])<=(?!>)", "<"),
    (r"(?<![<>=!-])<(?![<>=])", "<="),
    (r"(?<![<>=!-])>=", ">"),
    (r"(?<![<>=!-])>(?![>=])", ">="),
    (r"(?<= )\+(?= )", "-"),
    (r"(?<= )-(?= )", "+"),
    (r"\bgreatest\(", "least("),
    (r"\bmax\(", "min("),
    (r"\bmin\(", "max("),
    (r"np\.maximum\b", "np.minimum"),
    (r'(?<=side=)"right"', '"left"'),
    (r'(?<=side=)"left"', '"right"'),
)


@dataclass(frozen=True)
class Mutant:
    """One change of one line; `column` tells apart changes of the same line."""

    module: str
    line: int
    column: int
    before: str
    after: str

    @property
    def name(self) -> str:
        """What identifies the mutant as long as its line stays: the module, the new line and, if need be, where."""
        return f"{self.module}: {self.after.strip()}"


def mutants_of(module: str) -> Iterator[Mutant]:
    """Every mutant of a module, by line."""
    source = (REPOSITORY / ENGINE / f"{module}.py").read_text(encoding="utf-8")
    lines = source.splitlines()
    for number, start, end in sorted(_code_spans(source)):
        text = lines[number - 1]
        for pattern, replacement in SWAPS:
            for found in re.finditer(pattern, text):
                if start <= found.start() < end:
                    after = text[: found.start()] + replacement + text[found.end() :]
                    yield Mutant(module, number, found.start(), text, after)


def _code_spans(source: str) -> Iterator[tuple[int, int, int]]:
    """Where code is, as (line, first column, end column): no comments, docstrings, annotations or texts for people."""
    tree = ast.parse(source)
    hidden = _hidden_strings(tree)
    lines = source.splitlines()
    annotations = _annotation_lines(tree)
    for token in tokenize.generate_tokens(StringIO(source).readline):
        if token.type == tokenize.STRING and token.start not in hidden:
            for number in range(token.start[0], token.end[0] + 1):
                first = token.start[1] if number == token.start[0] else 0
                last = token.end[1] if number == token.end[0] else len(lines[number - 1])
                yield number, first, last
        elif token.type in (tokenize.OP, tokenize.NAME) and token.start[0] not in annotations:
            yield token.start[0], token.start[1], token.end[1]


def _hidden_strings(tree: ast.AST) -> set[tuple[int, int]]:
    """Where strings start that are documentation or are told to people."""
    hidden = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            hidden.add((node.value.lineno, node.value.col_offset))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NOT_CODE:
            texts = (part for part in ast.walk(node) if isinstance(part, ast.Constant | ast.JoinedStr))
            hidden |= {(text.lineno, text.col_offset) for text in texts}
    return hidden


def _annotation_lines(tree: ast.AST) -> set[int]:
    """Lines of function heads: their `->` and defaults are not boundaries."""
    heads = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            heads |= set(range(node.lineno, node.body[0].lineno))
    return heads


def equivalents() -> dict[str, str]:
    """Mutants that are known to change nothing, by name, with the reason."""
    entries = [line for line in EQUIVALENT.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return {name.strip(): reason.strip() for name, _, reason in (entry.rpartition("  ## ") for entry in entries)}


class Bench:
    """Copies of the repository in which mutants are tried, one per worker."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._free: SimpleQueue[Path] = SimpleQueue()
        for number in range(workers):
            copy = folder / str(number)
            for name in _tracked_files():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(REPOSITORY / name, copy / name)
            self._free.put(copy)

    def killed(self, mutant: Mutant) -> bool:
        """Whether a test turns red."""
        copy = self._free.get()
        target = copy / ENGINE / f"{mutant.module}.py"
        original = target.read_text(encoding="utf-8")
        lines = original.splitlines()
        lines[mutant.line - 1] = mutant.after
        target.write_text("\n".join(lines) + "\n", encoding="utf-8")
        try:
            return run_tests(copy) != 0
        finally:
            target.write_text(original, encoding="utf-8")
            self._free.put(copy)


def _tracked_files() -> list[str]:
    listing = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    return listing.stdout.splitlines()


def run_tests(folder: Path) -> int:
    """The exit code of the engine's tests in a copy of the repository."""
    path = os.pathsep.join(str(folder / each) for each in (".", ENGINE.parent))
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": path}
    environment.setdefault("ROOMPULSE_SHARED_DATA", str(REPOSITORY.parent / "shared" / "data"))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *TESTS]
    try:
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=SECONDS).returncode
    except subprocess.TimeoutExpired:
        return -1


def main() -> int:
    """Try the mutants; the exit code says whether all were killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", default=MODULES, help=f"modules of the engine; default: {' '.join(MODULES)}")
    parser.add_argument("--list", action="store_true", help="only list the mutants")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    known = equivalents()
    mutants = [mutant for module in options.modules for mutant in mutants_of(module)]
    tried = [mutant for mutant in mutants if mutant.name not in known]
    if options.list:
        print("\n".join(f"{mutant.module}.py:{mutant.line}:{mutant.column}  {mutant.after.strip()}" for mutant in tried))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.workers)
        started = time.monotonic()
        with ThreadPoolExecutor(options.workers) as workers:
            outcomes = zip(tried, workers.map(bench.killed, tried), strict=True)
            survivors = []
            for number, (mutant, killed) in enumerate(outcomes, 1):
                if not killed:
                    survivors.append(mutant)
                    print(f"SURVIVED {mutant.module}.py:{mutant.line}", flush=True)
                    print(f"  - {mutant.before.strip()}\n  + {mutant.after.strip()}", flush=True)
                if number % 20 == 0:
                    seconds = time.monotonic() - started
                    print(f"{number} of {len(tried)} tried, {len(survivors)} survived, {seconds:.0f} s", flush=True)
    print(f"{len(tried) - len(survivors)} of {len(tried)} mutants killed; {len(mutants) - len(tried)} are known as equivalent")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
