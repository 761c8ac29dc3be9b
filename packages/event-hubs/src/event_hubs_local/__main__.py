"""`python -m event_hubs_local`: the command `event-hubs-local`."""

from event_hubs_local.command import main

if __name__ == "__main__":
    main()
