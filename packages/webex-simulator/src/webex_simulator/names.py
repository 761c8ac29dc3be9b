"""Names for simulated rooms, phones and people, and comparison of names as people type them."""

from __future__ import annotations

import re
import unicodedata

ROOM_NAMES = (
    "Alder", "Aspen", "Bamboo", "Beech", "Birch", "Cedar", "Cherry", "Chestnut", "Cypress", "Elm", "Fern", "Fir",
    "Hawthorn", "Hazel", "Hickory", "Holly", "Juniper", "Larch", "Laurel", "Linden", "Magnolia", "Maple", "Mulberry", "Oak",
    "Olive", "Pine", "Plane", "Poplar", "Rowan", "Spruce", "Sycamore", "Walnut", "Willow", "Yew", "Amber", "Basalt",
    "Coral", "Flint", "Garnet", "Granite", "Jade", "Marble", "Opal", "Quartz", "Slate", "Topaz", "Andes", "Atlas",
    "Cascade", "Fuji", "Jura", "Pamir", "Tatra", "Ural", "Delta", "Fjord", "Glacier", "Harbour", "Island", "Lagoon",
    "Meadow", "Mesa", "Prairie", "Ridge", "Savanna", "Tundra", "Valley", "Albatross", "Crane", "Falcon", "Finch", "Heron",
    "Kestrel", "Lark", "Osprey", "Owl", "Plover", "Robin", "Swallow", "Swift", "Wren",
)  # fmt: skip
PHONE_PLACES = ("Lobby phone", "Reception", "Post room", "Canteen phone", "Security desk", "Loading bay", "Print room")
GIVEN_NAMES = (
    "Ada", "Amina", "Ben", "Chloé", "Daniel", "Elena", "Fatima", "Grace", "Hiro", "Ines", "Jonas", "Kofi", "Lena", "Mei",
    "Nadia", "Omar", "Priya", "Quentin", "Rosa", "Sven",
)  # fmt: skip
FAMILY_NAMES = (
    "Almeida", "Bauer", "Chen", "Dubois", "Eriksen", "Fournier", "Garcia", "Haddad", "Ivanova", "Jansen", "Kaur", "Lim",
    "Moreau", "Nguyen", "Okafor", "Petrov", "Rossi", "Tan",
)  # fmt: skip


def fold(text: str) -> str:
    """A name as it is compared: without accents, case and anything but letters and digits."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(letter for letter in plain if letter.isalnum())


def mail_name(text: str) -> str:
    """A name as the local part of a mail or SIP address: ASCII letters, digits and single hyphens."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def site_code(location_name: str) -> str:
    """Three letters that stand for a location in room names: "Lyon Part-Dieu" is LPD, "Lyon Confluence" LCO."""
    words = mail_name(location_name).replace("-", " ").split() or ["site"]
    initials = "".join(word[0] for word in words)[:3]
    return (initials + words[-1][1:] + "xx")[:3].upper()
