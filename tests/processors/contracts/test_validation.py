"""Contracts: the schemas are sound, what we make passes them, and a bad settings file lists every fault with the way out."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from infra.settings.processor_settings import fanout_settings, ingest_settings
from infra.settings.stack import load_stack
from processors.contracts.validation import (
    ALERT,
    FANOUT_SETTINGS,
    INGEST_SETTINGS,
    OBSERVATION,
    QUARANTINED,
    faults,
    schema,
)
from tests.support.rules import RULES

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", [OBSERVATION, QUARANTINED, ALERT, INGEST_SETTINGS, FANOUT_SETTINGS])
def test_a_schema_is_a_valid_schema(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))


def test_the_settings_made_from_the_dev_stack_pass() -> None:
    rules = RULES
    stack = load_stack(REPOSITORY / "Pulumi.dev.yaml", rules)
    assert faults(INGEST_SETTINGS, ingest_settings(stack, rules, "2026-11-24")) == []
    assert faults(FANOUT_SETTINGS, fanout_settings(stack, rules, inbox="inbox.sqlite")) == []
