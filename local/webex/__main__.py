"""`python -m local.webex --run <run.json>`: serve the simulated Webex organisation of a local run."""

from local.part import run_part
from local.webex.part import serve

if __name__ == "__main__":
    run_part("webex", serve)
