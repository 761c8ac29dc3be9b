"""The order in which the deployed query's outputs are computed."""

from __future__ import annotations

from asa_engine.plan import plan_query
from asa_engine.schedule import schedule_of
from tests.support.roompulse_query import JOB


def test_an_output_begins_when_the_steps_it_shares_are_done() -> None:
    """In the deployed query, live rows wait for the first two steps only; the rules are the alerts' own."""
    (schema,) = JOB.schemas.values()
    schedule = schedule_of(plan_query(JOB.query, {"observations": schema}))
    begins = {output.name: place for place, (_, outputs) in enumerate(schedule.shared) for output in outputs}
    assert begins["processed"] < begins["lake"] == begins["cityminute"] == begins["alerts"]
    assert {step.name.split("_", 1)[1] for step in schedule.own["alerts"]} >= {"reading", "timely", "edge", "turn", "alert"}
    assert not any(step.name.endswith("measure") for steps in schedule.own.values() for step in steps)
