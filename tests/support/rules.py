"""The alert rules of the repository, read once for all tests of a process."""

from __future__ import annotations

from activator.rules import load_rules

RULES = load_rules()
