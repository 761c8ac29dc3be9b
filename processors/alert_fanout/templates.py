"""Shapes of webhook payloads, as data: `templates/<name>.json` says per action what is sent, with `{fields}` of the notice.

An action may name another one whose shape it shares; what it does not mention is not sent. A field that is not known is left out.
`{"jsonText": {...}}` is sent as the text of a JSON object of texts.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from processors.alert_fanout.notice import Notice
from processors.timestamps import parse_time

SUMMARY_LIMIT = 1024
"""What PagerDuty takes of a summary; the others take more."""
ID_LIMIT = 200
_JSON_TEXT = "jsonText"
_FIELD = re.compile(r"\{([a-zA-Z]+)\}")


@cache
def template(name: str) -> dict[str, Any]:
    """A template by name."""
    path = Path(__file__).parent / "templates" / f"{name}.json"
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def payload(name: str, notice: Notice, secret: str | None) -> Any:
    """What a template makes of a notice; None when it has nothing to say about this action."""
    shapes = template(name)
    shape = shapes.get(notice.action)
    if isinstance(shape, str):
        shape = shapes[shape]
    return None if shape is None else _filled(shape, _fields(notice, secret, shapes.get("severities")))


def _fields(notice: Notice, secret: str | None, severities: list[str] | None) -> dict[str, Any]:
    alert, newest = notice.lead, notice.end or notice.lead
    return {
        "secret": secret,
        "title": notice.title[:SUMMARY_LIMIT],
        "text": notice.text,
        "titleAndText": f"{notice.title}\n{notice.text}",
        "incident": notice.incident,
        "mergedInto": notice.merged_into,
        "shortId": short_id(notice.incident),
        "state": notice.state,
        "severity": alert.severity,
        "severityWord": severities[alert.severity - 1] if severities else None,
        "ruleId": alert.rule_id,
        "cityId": alert.city_id,
        "place": alert.location_name or notice.city,
        "location": alert.location_name,
        "workspace": alert.workspace_name,
        "entity": alert.entity,
        "entityId": alert.entity_id,
        "name": alert.name,
        "product": alert.product,
        "detail": alert.text,
        "signal": alert.signal,
        "value": newest.value,
        "threshold": alert.threshold,
        "startedAt": alert.started_at,
        "observedAt": notice.observed_at,
        "timeOfEvent": _seconds(notice.observed_at),
        "runbook": notice.runbook,
        "links": [{"href": url, "text": words} for words, url in notice.links] or None,
        "page": notice.page,
        "folded": list(notice.devices) or None,
        "foldedCount": len(notice.devices) or None,
        "drill": True if alert.is_drill else None,
    }


def _filled(shape: Any, fields: dict[str, Any]) -> Any:
    if isinstance(shape, dict):
        filled = {key: _filled(value, fields) for key, value in shape.items()}
        known = {key: value for key, value in filled.items() if value is not None}
        return _json_text(known[_JSON_TEXT]) if _JSON_TEXT in known else known
    if isinstance(shape, list):
        return [_filled(value, fields) for value in shape]
    if isinstance(shape, str):
        whole = _FIELD.fullmatch(shape)
        return fields[whole[1]] if whole else _FIELD.sub(lambda match: str(fields[match[1]]), shape)
    return shape


def _json_text(values: dict[str, Any]) -> str:
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    return json.dumps(texts, ensure_ascii=False)


def _seconds(time: str) -> str:
    """A time as ServiceNow reads it, in UTC."""
    moment = parse_time(time)
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else time


def short_id(id_: str) -> str:
    """An incident's id as PagerDuty and ServiceNow know it: of at most ID_LIMIT characters, and always the same."""
    return id_ if len(id_) <= ID_LIMIT else f"{id_[:150]}|{hashlib.sha256(id_.encode()).hexdigest()[:32]}"
