"""A picture of the beginning and the end of an incident in every channel; `make pictures` draws it.

The card of Teams is drawn by Microsoft's own renderer (adaptivecards, which runs in the browser); what other services make of
theirs only they know, so of those it is what they are sent.
"""

from __future__ import annotations

import hashlib
import html
import json
from typing import Any

from processors.alert_fanout.channels.slack import message as slack_message
from processors.alert_fanout.channels.teams import adaptive_card
from processors.alert_fanout.channels.webex import text_of
from processors.alert_fanout.notice import Notice
from processors.alert_fanout.templates import payload
from tests.local.dashboard.screenshots import chromium
from tests.processors.alert_fanout.messages import RULES, Names, notices
from tests.support.shared_data import REPOSITORY

RENDERER = REPOSITORY / "tests/node_modules/adaptivecards/dist/adaptivecards.js"
FOLDER = REPOSITORY / "docs" / "images"
RECORD = FOLDER / "messages.json"
"""What the pictures are of, by hash."""
MARKS = {"🔴": "#c8211b", "🟠": "#e0780a", "🟡": "#d9b310", "🔵": "#2166c9", "✅": "#2b8a4b"}
"""The colours of the marks, which are drawn as discs: not every machine has a font of emoji."""
STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; background: #f4f5f2; color: #18211d; margin: 24px; width: 1500px; }
h1 { font-size: 18px; } .channels { columns: 3; column-gap: 16px; }
section { break-inside: avoid; background: #fff; border: 1px solid #d9deda; border-radius: 8px; padding: 12px 16px;
  margin: 0 0 16px; }
h2 { font-size: 14px; margin: 0 0 8px; color: #55615b; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 12px; margin: 0; }
"""


def shown(notice: Notice) -> dict[str, str]:
    """What every channel gets of a notice, as text for people or as the JSON that is sent."""
    sent: dict[str, Any] = {
        "Slack (blocks)": slack_message(notice),
        "PagerDuty (Events API v2)": payload("pagerduty", notice, "ROUTING KEY"),
        "ServiceNow (Event Management)": payload("servicenow", notice, None),
        "Webhook": payload("roompulse", notice, None),
    }
    texts = {"Webex": text_of(notice), "E-mail and text message (Azure Monitor), page": f"{notice.title}\n{notice.text}"}
    return texts | {name: json.dumps(body, indent=1, ensure_ascii=False) for name, body in sent.items()}


def page(notice: Notice) -> str:
    """All of it on a page; the card is drawn when it is loaded."""
    told = shown(notice).items()
    sections = "".join(f"<section><h2>{html.escape(name)}</h2><pre>{_marked(text)}</pre></section>" for name, text in told)
    card = json.dumps(adaptive_card(notice)).replace("</", "<\\/")
    draw = f"const card = new AdaptiveCards.AdaptiveCard(); card.parse({card}); document.all.card.append(card.render());"
    return (
        f"<!doctype html><meta charset=utf-8><style>{STYLE}</style><h1>{html.escape(notice.title)}</h1><div class=channels>"
        f"<section><h2>Teams (Microsoft's renderer)</h2><div id=card></div></section>{sections}</div>"
        f"<script>{RENDERER.read_text(encoding='utf-8')}</script><script>{draw}</script>"
    )


def _marked(text: str) -> str:
    shown = html.escape(text)
    for mark, colour in MARKS.items():
        shown = shown.replace(mark, f'<span style="color: {colour}">\N{BLACK CIRCLE}</span>')
    return shown


def drawn() -> dict[str, Notice]:
    """What is drawn, by the picture's file."""
    said = notices(Names(), RULES["room-unusable"], 3)
    return {"messages.png": said["open"], "messages-over.png": said["close"]}


def hashes() -> dict[str, str]:
    """The content of what is drawn, by the picture's file."""
    return {
        file: hashlib.sha256(json.dumps([shown(notice), adaptive_card(notice)]).encode()).hexdigest()
        for file, notice in drawn().items()
    }


def draw() -> None:
    """Write the pictures of a beginning and an end, and of what they are."""
    with chromium() as browser:
        for file, notice in drawn().items():
            shot = browser.new_page(viewport={"width": 1548, "height": 900})
            shot.set_content(page(notice))
            shot.wait_for_selector("#card .ac-adaptiveCard, #card > *")
            shot.screenshot(path=FOLDER / file, full_page=True)
            shot.close()
    RECORD.write_text(json.dumps(hashes(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    draw()
