"""When Webex lists far less than it did: a fault, and not an estate that has shrunk.

A token that has lost its admin role is answered 200, with the caller's own devices only. Taking that for the truth would remove
the estate and resolve its alerts. So what goes missing in bulk stays as it was last known.
"""

from __future__ import annotations

from processors.ingest.webex_client import WebexError

FEW = 3
"""So many may go at once wherever they are: somebody has cleared a room."""
SHARE_OF_ORGANISATION = 0.05
MOST_AT_ONCE = 100
"""More than a twentieth of the organisation, or than so many, do not go within three polls in the ordinary course of things."""
SHARE_OF_LOCATION = 0.5


class Shrunken(WebexError):
    """Webex answered properly, with so little that it is not believed."""


def is_bulk(missing: int, known: int) -> bool:
    """Whether so many missing of so many known in a whole organisation are too many to be believed."""
    if missing == known:
        return missing > 0
    ordinary = min(MOST_AT_ONCE, max(FEW, int(known * SHARE_OF_ORGANISATION)))
    return missing > ordinary or 1 < missing >= known / 2


def is_bulk_at_location(missing: int, known: int) -> bool:
    """The same for one location; a small site may close within a poll."""
    return missing > FEW and missing >= known * SHARE_OF_LOCATION
