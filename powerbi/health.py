"""The colours of healths: of the reports, of their pictures and of the live page (local/dashboard/static/css/theme.css)."""

from __future__ import annotations

HEALTH_COLOURS = {"down": "#B0211C", "issues": "#B77400", "unknown": "#818C86", "asleep": "#7F8D9C", "up": "#3C8069"}
"""Worst first. Never alone: a sign and a word stand with each (ReportedHealth of powerbi/kusto/functions.kql)."""
