"""The signals a rule may look at, by entity, as docs/contracts.md lists them; a misspelt one would be a rule that never fires."""

from __future__ import annotations

SIGNALS: dict[str, frozenset[str]] = {
    "device": frozenset(
        {
            "offline", "issues", "warningIssues", "criticalIssues", "peripheralIssues", "displayIssues", "drops",
            "firmwareBehind", "inCall", "callLoss", "callJitter",
        }
    ),
    "workspace": frozenset(
        {
            "temperature", "humidity", "tvoc", "ambientNoise", "soundLevel", "peopleCount", "inUse", "capacity", "occupancy",
        }
    ),
    "location": frozenset({"offlineRatio", "devices"}),
    "city": frozenset(
        {
            "devices", "devicesUp", "devicesIssues", "devicesDown", "devicesAsleep", "devicesUnknown", "rooms", "roomsUsable",
            "unseenMinutes", "requests", "quarantined",
        }
    ),
    "pipeline": frozenset({"processedRows"}),
}  # fmt: skip
"""`pipeline` has what the platform counts, not the query: rows that came out of it per minute."""

KNOW_MAINTENANCE = frozenset({"offline", "offlineRatio", "drops"})
"""Signals that the ingest leaves at 0 for what is being worked on as planned."""

RANGES: dict[str, tuple[float, float]] = {
    "offline": (0, 1),
    "inCall": (0, 1),
    "inUse": (0, 1),
    "offlineRatio": (0, 1),
    "humidity": (0, 100),
    "callLoss": (0, 100),
    "temperature": (-40, 80),
}
"""What a signal can be; the others are 0 or more."""
_COUNT = (0.0, float("inf"))


def useless(signal: str, op: str, threshold: float) -> str | None:
    """Why a comparison says nothing: it always holds or never does; None when it says something."""
    low, high = RANGES.get(signal, _COUNT)
    always = threshold <= low if op == ">=" else threshold >= high
    never = threshold > high if op == ">=" else threshold < low
    if not always and not never:
        return None
    span = f"{low:g} to {high:g}" if high != float("inf") else f"{low:g} or more"
    return f"{threshold:g} {'always holds' if always else 'is never reached'}: {signal} is {span}."
