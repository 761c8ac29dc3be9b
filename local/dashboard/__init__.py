"""The live page: what the live store and the alert inbox hold, pushed to every open browser as it changes."""
