"""`roompulse query`: the stream engine's own command, for the query that is deployed."""

from __future__ import annotations

import typer

from asa_engine.command import app

JOB = "asa-queries/roompulse"

query = typer.Typer(
    no_args_is_help=True,
    help="Prove a Stream Analytics query on this machine.",
    context_settings={
        "default_map": {"check": {"file": JOB}, "explain": {"file": JOB}, "run": {"file": JOB}, "test": {"folder": JOB}}
    },
)
query.registered_commands = app.registered_commands
