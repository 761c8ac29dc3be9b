"""What a rule may say of a signal; a comparison that says nothing would be a rule that never fires, or always."""

from __future__ import annotations

from processors.contracts.signals import SIGNALS, signal_of

KNOW_MAINTENANCE = frozenset(signal.name for signal in SIGNALS if signal.knows_maintenance)
"""Signals that the ingest leaves at 0 for what is being worked on as planned."""


def useless(name: str, op: str, threshold: float) -> str | None:
    """Why a comparison says nothing: it always holds or never does; None when it says something, or the signal is unknown."""
    signal = signal_of(name)
    if signal is None:
        return None
    always = threshold <= signal.low if op == ">=" else threshold >= signal.high
    never = threshold > signal.high if op == ">=" else threshold < signal.low
    if not always and not never:
        return None
    return f"{threshold:g} {'always holds' if always else 'is never reached'}: {name} is {signal.span}."
