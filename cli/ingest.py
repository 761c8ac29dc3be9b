"""`roompulse ingest`: the same program as `python -m processors.ingest.fabric_real_time_ingest`."""

from __future__ import annotations

import typer


def ingest(context: typer.Context) -> None:
    """Poll Webex and send observations, once or at an interval; the options are the processor's own."""
    from processors.ingest.fabric_real_time_ingest import main  # imports the Event Hubs client: not for `roompulse --help`

    raise typer.Exit(main(context.args))
