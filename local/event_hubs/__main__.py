"""`python -m local.event_hubs --run <run.json>`: serve the hubs of a local run."""

from local.event_hubs.part import serve
from local.part import run_part

if __name__ == "__main__":
    run_part("event_hubs", serve)
