"""How it is known that a construct does the same on Azure: recorded, documented or unproven."""

from __future__ import annotations

import pytest

from asa_engine.evidence import Evidence, evidence
from asa_engine.lint import lint
from asa_engine.parser import parse

QUERIES: list[tuple[str, str, list[tuple[str, int, str]]]] = [
    ("recorded and documented", "SELECT AVG(a) AS m, LAG(a) OVER (LIMIT DURATION(hour, 1)) AS b INTO o FROM e TIMESTAMP BY t "
     "GROUP BY HoppingWindow(second, 60, 5)",
     [("AVG", 1, "documented"), ("HoppingWindow", 1, "recorded"), ("LAG", 1, "recorded"), ("TIMESTAMP BY", 1, "recorded")]),
    ("not in the reference", "SELECT DISTINCT a INTO o FROM e UNION ALL SELECT a FROM e",
     [("SELECT DISTINCT", 1, "unproven"), ("UNION ALL", 1, "unproven")]),
    ("a session", "SELECT COUNT(*) AS n INTO o FROM e GROUP BY SessionWindow(minute, 3, 15)",
     [("COUNT", 1, "documented"), ("SessionWindow", 1, "unproven")]),
    ("NOT of a comparison", "SELECT a INTO o FROM e WHERE NOT a = 1", [("NOT", 1, "unproven")]),
    ("letters compared by LIKE", "SELECT a INTO o FROM e WHERE a LIKE 'x%' AND LOWER(a) LIKE 'y%'",
     [("LIKE", 2, "unproven"), ("LOWER", 1, "documented")]),
    ("LIKE where case is settled", "SELECT a INTO o FROM e WHERE LOWER(a) LIKE 'y%'",
     [("LIKE", 1, "documented"), ("LOWER", 1, "documented")]),
    ("casts", "SELECT CAST(a AS float) AS b, TRY_CAST(a AS bigint) AS c INTO o FROM e",
     [("CAST", 1, "documented"), ("TRY_CAST", 1, "documented")]),
    ("choices and arrays", "SELECT CASE WHEN a BETWEEN 1 AND 2 THEN 1 ELSE 0 END AS b INTO o FROM e "
     "CROSS APPLY GetArrayElements(e.l) AS s WHERE a IN (1, 2)",
     [("APPLY", 1, "documented"), ("BETWEEN", 1, "documented"), ("CASE", 1, "recorded"), ("GetArrayElements", 1, "documented"),
      ("IN", 1, "documented")]),
    ("a sum that looks back", "SELECT SUM(a) OVER (LIMIT DURATION(hour, 1)) AS b INTO o FROM e",
     [("SUM OVER", 1, "documented")]),
]  # fmt: skip


@pytest.mark.parametrize(("query", "wanted"), [one[1:] for one in QUERIES], ids=[one[0] for one in QUERIES])
def test_each_construct_says_how_it_is_known(query: str, wanted: list[tuple[str, int, str]]) -> None:
    script = parse(query, "query")
    assert evidence(script, lint(script)) == tuple(Evidence(*one) for one in wanted)
