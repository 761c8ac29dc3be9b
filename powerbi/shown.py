"""Values as a report shows them: by the format of their column or measure."""

from __future__ import annotations

import re
from typing import Any

from powerbi.layout import Field
from powerbi.semantic_model import Model

BLANK = "--"
"""What a card has where nothing is known."""
_MOMENT = {"yyyy-mm-dd": "%Y-%m-%d", "yyyy-mm-dd hh:nn": "%Y-%m-%d %H:%M"}


def is_number(model: Model, field: Field) -> bool:
    """Whether a field's values stand right, below each other."""
    table = model.tables[field.table]
    return field.is_measure or table.columns[field.name].type in ("real", "long")


def shown(model: Model, field: Field, value: Any) -> str:
    """A value in the format that the model gives its field."""
    table = model.tables[field.table]
    form = table.measures[field.name].format if field.is_measure else table.columns[field.name].format
    if value is None:
        return BLANK
    if form in _MOMENT:
        return f"{value:{_MOMENT[form]}}"
    return _number(float(value), form) if form and form != "General" else str(value)


def _number(value: float, form: str) -> str:
    decimals = len(re.findall(r"0", form.partition(".")[2]))
    share = "%" in form
    grouped = "," if "," in form else ""
    return f"{value * 100 if share else value:{grouped}.{decimals}f}" + (" %" if share else "")
