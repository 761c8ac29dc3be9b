"""`python -m local.functions --run <run.json>`: run the function apps of a local run."""

import logging
import os
import sys

from local.functions.host import serve
from local.part import run_part

if __name__ == "__main__":
    try:
        run_part("functions", serve)
    except SystemExit as ending:
        logging.shutdown()
        sys.stdout.flush()
        os._exit(int(ending.code or 0))  # at once: an abandoned function may still run in its thread
