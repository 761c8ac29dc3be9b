"""`python -m local.functions --run <run.json>`: run the function apps of a local run."""

from local.functions.host import main

if __name__ == "__main__":
    main()
