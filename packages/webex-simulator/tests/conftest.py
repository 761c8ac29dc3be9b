"""What every test here shares: simulators, and no deadline on a slow machine."""

from __future__ import annotations

from hypothesis import settings
from webex_world import make_world, world

__all__ = ["make_world", "world"]

settings.register_profile("package", deadline=None)
settings.load_profile("package")
