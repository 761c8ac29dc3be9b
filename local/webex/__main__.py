"""`python -m local.webex --run <run.json>`: serve the simulated Webex organisation of a local run."""

import os

from local.part import run_part
from local.webex.part import BEHIND_THE_OTHERS, serve

if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(BEHIND_THE_OTHERS)
    run_part("webex", serve)
