"""Chance without memory: the same key always draws the same number, so the estate is a function of seed and time.

A simulator that is killed and started again, or asked about last Tuesday, gives the same story as before.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")

_MASK = (1 << 64) - 1


def key(*parts: str | int) -> int:
    """A 64-bit key made of names and numbers; what is drawn with it depends on nothing else."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def unit(owner: int, purpose: int, slot: int = 0) -> float:
    """A number in [0, 1) for an owner's key, the key of a purpose, and a slot of time (SplitMix64's finaliser)."""
    mixed = (owner ^ purpose) + slot * 0x9E3779B97F4A7C15 & _MASK
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
    return (mixed ^ mixed >> 31) / (_MASK + 1)


def between(low: float, high: float, draw: float) -> float:
    """A draw from [0, 1) stretched over low..high."""
    return low + (high - low) * draw


def lognormal(median: float, spread: float, first_draw: float, second_draw: float) -> float:
    """A log-normal number with its median and the standard deviation of its logarithm (Box-Muller on two draws)."""
    normal = math.sqrt(-2 * math.log(1 - first_draw)) * math.cos(2 * math.pi * second_draw)
    return median * math.exp(spread * normal)


def weighted(items: Sequence[tuple[Item, float]], draw: float) -> Item:
    """The item a draw from [0, 1) falls on, when each takes room by its weight."""
    left = draw * sum(weight for _, weight in items)
    for item, weight in items:
        left -= weight
        if left < 0:
            return item
    return items[-1][0]
