"""`python -m local.webex --run <run.json>`: serve the simulated Webex organisation of a local run."""

import os

from local.part import run_part
from local.webex.part import serve

BEHIND_THE_OTHERS = 10

if __name__ == "__main__":
    if hasattr(os, "nice"):  # it stands for machines that are elsewhere: nobody who looks at the page waits for it
        os.nice(BEHIND_THE_OTHERS)
    run_part("webex", serve)
