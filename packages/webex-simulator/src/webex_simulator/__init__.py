"""A Webex organisation that exists only on this machine: rooms, devices and their faults behind the documented API."""
