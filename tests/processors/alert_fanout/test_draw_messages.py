"""The picture of messages in the documents shows every kind of channel there is."""

from __future__ import annotations

import json

from processors.alert_fanout.channel_kinds import CHANNEL_KINDS
from tests.processors.alert_fanout.draw_messages import RECORD, hashes, page, shown
from tests.processors.alert_fanout.messages import Names, notices


def test_every_kind_of_channel_is_in_the_picture() -> None:
    message = notices(Names(entity="<b>Room</b>"))["open"]
    drawn = " ".join([*shown(message), "Teams"]).lower().replace(" ", "")
    kinds = {name.strip("`").split()[0].lower() for kind in CHANNEL_KINDS for name, *_ in kind.documented}
    assert {kind for kind in kinds if kind not in drawn} <= {"inbox", "azure", "e-mail,"}
    assert "<b>Room" not in page(message).replace("\\u003c", "<").split("<script>")[0]


def test_the_pictures_are_of_these_messages() -> None:
    assert json.loads(RECORD.read_text(encoding="utf-8")) == hashes(), "the messages have changed: make pictures"
