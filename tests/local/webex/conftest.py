"""The simulators of the package's own tests."""

from webex_world import make_world, world

__all__ = ["make_world", "world"]
