"""The Event Hubs stand-in as a part of a local run."""
