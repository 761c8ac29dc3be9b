"""What every test here shares: no deadline on a slow machine."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("package", deadline=None)
settings.load_profile("package")
