"""The Functions host with the recorder app, as a process."""

from local.functions.host import main

if __name__ == "__main__":
    main(apps=["tests.local.functions.apps.recorder"])
