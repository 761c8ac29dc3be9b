"""What the ingest's settings say of rates and tiers, for tests that care about something else."""

from __future__ import annotations

from typing import Any

TIERS: dict[str, Any] = {
    "requestsPerSecond": 1000, "xapiRequestsPerSecond": 0, "xapiSeconds": 300, "metricSeconds": 60,
    "locationMinutes": 1440, "priorityTags": [],
    "personalDevices": False,
}  # fmt: skip
