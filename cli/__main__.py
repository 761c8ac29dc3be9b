"""`python -m cli` is the `roompulse` command."""

from __future__ import annotations

from cli.main import app

app(prog_name="roompulse")
