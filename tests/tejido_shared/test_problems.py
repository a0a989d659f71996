"""Reasons that people read are in their language."""

from datetime import date, datetime, time
from typing import Any, Literal

import pytest
from pydantic import AwareDatetime, TypeAdapter, ValidationError

from tejido_shared import i18n
from tejido_shared.problems import reason

TIME = "Debe ser una hora de 00:00 a 23:59, por ejemplo 17:00."
DATE = "Debe ser una fecha ISO 8601 (AAAA-MM-DD)."
INSTANT = "Debe ser una fecha y hora ISO 8601 con huso horario."


def _reason(kind: Any, value: object) -> str:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(kind).validate_python(value)
    return reason(dict(refused.value.errors()[0]))


@pytest.mark.parametrize(
    ("kind", "value", "spanish"),
    [
        *((time, value, TIME) for value in ("25:00", "x", "", 1e6, -5, True, [])),
        *((date, value, DATE) for value in ("2026-13-01", "x", "", "2026-12-01T10:00", 5, True, [])),
        *((kind, value, INSTANT) for kind in (datetime, AwareDatetime) for value in ("2026-13-01", "x", "", True, [])),
        (Literal["es", "en"], "fr", "Debe ser uno de: es, en."),
        (Literal["a", "b", "c"], "d", "Debe ser uno de: a, b, c."),
        (Literal["One-Click"], "no", "Debe ser uno de: One-Click."),
    ],
)
def test_no_english_in_spanish(kind: Any, value: object, spanish: str) -> None:
    assert _reason(kind, value) == spanish
    language = i18n.language.set("en")
    try:
        assert _reason(kind, value).startswith("Must be ")
    finally:
        i18n.language.reset(language)
