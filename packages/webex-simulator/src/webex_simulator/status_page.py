"""Webex's public status page: the incidents that Webex itself reports. In truth another host: no fault of the API is its."""

from __future__ import annotations

from webex_simulator.answers import Answer, ApiError, json_answer
from webex_simulator.effects import Effect, Effects
from webex_simulator.site_time import iso

PATH = "/unresolved-incidents.json"


def unresolved_incidents(effects: Effects, now: float) -> Answer:
    """The incidents in force, as the page lists them; raises ApiError while the page itself fails."""
    failure = effects.of_kind("fail-status-page", now)
    if failure is not None:
        raise ApiError(failure.values["status"])
    return json_answer({"incidents": [_incident(effect) for effect in effects.all(now) if effect.kind == "webex-incident"]})


def _incident(effect: Effect) -> dict[str, object]:
    since = iso(effect.since)
    update = {"status": "investigating", "body": "We are looking into it.", "created_at": since, "updated_at": since}
    return {
        "id": effect.id,
        "name": effect.values["code"],
        "impact": effect.values["impact"],
        "status": "investigating",
        "incidentType": "INCIDENT",
        "commercial": True,
        "fedRAMP": False,
        "created_at": since,
        "start_at": since,
        "updated_at": since,
        "resolved_at": None,
        "components": [],
        "incident_updates": [update],
    }
