"""`python -m webex_simulator`: the command `webex-simulator`."""

from webex_simulator.command import main

if __name__ == "__main__":
    main()
