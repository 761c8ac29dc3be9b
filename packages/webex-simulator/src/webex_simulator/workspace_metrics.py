"""GET /workspaceMetrics: one metric of one workspace a call, raw or in hourly or daily buckets; and GET
/workspaceDurationMetrics: for how many minutes of an hour or a day it was booked, or in use.

Less than 48 hours raw or hourly, less than 30 days daily, as public clients report of the real API; zeros and negative values do
not count in buckets; a bucket begins at the full hour or day and holds nothing from outside the time asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from webex_simulator.answers import Answer, ApiError, Query, json_answer
from webex_simulator.catalogue import METRICS
from webex_simulator.environment import Environment, Sample
from webex_simulator.estate import Estate
from webex_simulator.occupancy import booked_minutes, used_minutes
from webex_simulator.site_time import DAY, HOUR, iso, parse_iso

LONGEST_SPAN = {"none": 48 * HOUR, "hourly": 48 * HOUR, "daily": 30 * DAY}
_BUCKET_SECONDS = {"hourly": HOUR, "daily": DAY}


def workspace_metrics(estate: Estate, environment: Environment, query: Query, now: float) -> Answer:
    """The answer to a query; raises ApiError."""
    workspace = estate.workspace_of_id.get(query.required("workspaceId"))
    query.required("metricName")
    metric = query.choice("metricName", METRICS, "")
    aggregation = query.choice("aggregation", tuple(LONGEST_SPAN), "hourly")
    order = query.choice("sortBy", ("newestFirst", "oldestFirst"), "newestFirst")
    if query.get("unit") and metric != "temperature":
        raise ApiError(400, "The parameter unit goes with metricName=temperature only.")
    unit = query.choice("unit", ("celsius", "fahrenheit"), "celsius")
    start, end = _span(query, aggregation, now)
    if workspace is None:
        raise ApiError(404, "There is no such workspace.")
    samples = list(environment.samples(workspace, metric, start, min(end, now)))
    if metric == "temperature" and unit == "fahrenheit":
        samples = [sample._replace(value=round(sample.value * 9 / 5 + 32, 1)) for sample in samples]
    items = _raw(samples) if aggregation == "none" else _buckets(samples, _BUCKET_SECONDS[aggregation])
    document = {
        "workspaceId": workspace.id,
        "metricName": metric,
        "aggregation": aggregation,
        "from": iso(start),
        "to": iso(end),
        "sortBy": order,
        "items": items if order == "oldestFirst" else items[::-1],
    }
    return json_answer(document | ({"unit": unit} if metric == "temperature" else {}))


def workspace_durations(estate: Estate, query: Query, now: float) -> Answer:
    """For how long a workspace was booked or in use; raises ApiError."""
    workspace = estate.workspace_of_id.get(query.required("workspaceId"))
    measurement = query.choice("measurement", ("timeUsed", "timeBooked"), "timeUsed")
    aggregation = query.choice("aggregation", tuple(_BUCKET_SECONDS), "hourly")
    start, end = _span(query, aggregation, now)
    if workspace is None:
        raise ApiError(404, "There is no such workspace.")
    minutes = booked_minutes if measurement == "timeBooked" else used_minutes
    length = _BUCKET_SECONDS[aggregation]
    numbers = range(int(start // length), math.ceil(min(end, now) / length))
    bounds = [(number * length, (number + 1) * length) for number in numbers]
    items = [
        {"start": iso(a), "end": iso(b), "duration": round(minutes(workspace, max(a, start), min(b, end, now)))}
        for a, b in bounds
    ]
    about = {"workspaceId": workspace.id, "aggregation": aggregation, "measurement": measurement}
    return json_answer({**about, "from": iso(start), "to": iso(end), "unit": "minutes", "items": items})


def _span(query: Query, aggregation: str, now: float) -> tuple[float, float]:
    """From when to when is asked; the longest span is refused, as the real API does."""
    end = _time(query, "to", now)
    start = _time(query, "from", end - LONGEST_SPAN[aggregation] + HOUR)
    if not 0 <= end - start < LONGEST_SPAN[aggregation]:
        raise ApiError(400, f"from must lie before to. Request time span is maximum {LONGEST_SPAN[aggregation] / HOUR:g} hours")
    return start, end


def _raw(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    return [{"deviceId": sample.device.id, "timestamp": iso(sample.time), "value": sample.value} for sample in samples]


def _buckets(samples: Iterable[Sample], length: float) -> list[dict[str, Any]]:
    buckets = []
    counted = (sample for sample in samples if sample.value > 0)
    for number, group in groupby(counted, key=lambda sample: int(sample.time // length)):
        values = [sample.value for sample in group]
        bounds = {"start": iso(number * length), "end": iso((number + 1) * length)}
        buckets.append(bounds | {"mean": round(sum(values) / len(values), 2), "max": max(values), "min": min(values)})
    return buckets


def _time(query: Query, name: str, default: float) -> float:
    text = query.get(name)
    if text is None:
        return default
    try:
        return parse_iso(text)
    except ValueError:
        raise ApiError(400, f"The parameter {name} is not an ISO 8601 time: {text!r}.") from None
