"""Every version of every event that was ever published stays readable.

A golden sample is never edited: a changed contract gets a new sample beside the old one, `<type>.<n>.json`. Run with
`TEJIDO_WRITE_GOLDEN=1` to write the sample of a new event, or of one that gained fields.
"""

import json
import os
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import BaseModel

from tejido_shared.contracts import (
    EVENTS,
    AskedItem,
    CountedDay,
    Envelope,
    Event,
    Standing,
    as_markdown,
    envelope_of,
    event_in,
)

GOLDEN = Path(__file__).parent / "golden"
ROOT = Path(__file__).parent.parent.parent
SAMPLES = sorted(GOLDEN.glob("*.json"))
_INSTANT = datetime(2026, 3, 27, 23, 30, tzinfo=UTC)


def _sample(model: type[BaseModel]) -> dict[str, object]:
    """A value for every field of a model, so that no field of a contract is left out of its sample."""
    values: dict[str, object] = {}
    for number, (name, field) in enumerate(model.model_fields.items(), start=1):
        kind = str(field.annotation)
        if "UUID" in kind:
            values[name] = UUID(int=number << 64 | 7 << 76 | 2 << 62)
        elif "CountedDay" in kind:
            values[name] = [
                CountedDay(day=date(2026, 3, 28), why_not="fin de semana"),
                CountedDay(day=date(2026, 3, 30), ordinal=1),
            ]
        elif "Standing" in kind or "AskedItem" in kind:
            values[name] = [_sample(Standing if "Standing" in kind else AskedItem)]
        elif "list[str]" in kind:
            values[name] = [f"{name} ñ"]
        elif "AwareDatetime" in kind:
            values[name] = _INSTANT
        elif "date" in kind:
            values[name] = date(2026, 4, 21)
        elif "bool" in kind:
            values[name] = True
        elif "int" in kind:
            values[name] = number
        else:
            values[name] = f"{name} ñ"
    return values


@pytest.mark.parametrize("event", EVENTS.values(), ids=list(EVENTS))
def test_every_event_has_a_sample_with_all_its_fields(event: type[Event]) -> None:
    paths = sorted(GOLDEN.glob(f"{event.type}.*.json"))
    shown = [set(json.loads(path.read_text())["data"]) for path in paths]
    if os.environ.get("TEJIDO_WRITE_GOLDEN") and not any(set(event.model_fields) <= fields for fields in shown):
        envelope = envelope_of(
            event.model_validate(_sample(event)),
            event_id=UUID(int=1),
            subject_version=3,
            occurred_at=_INSTANT,
            correlation_id="c-1",
            traceparent=None,
        )
        path = GOLDEN / f"{event.type}.{len(paths) + 1}.json"
        path.write_text(envelope.model_dump_json(indent=2) + "\n")
        shown.append(set(envelope.data))
    assert any(set(event.model_fields) <= fields for fields in shown), f"no sample shows all of {event.type}"


@pytest.mark.parametrize("path", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_every_sample_is_readable_and_loses_nothing(path: Path) -> None:
    raw = json.loads(path.read_text())
    envelope = Envelope.model_validate(raw)
    read_again = event_in(envelope).model_dump(mode="json")
    assert {name: read_again[name] for name in raw["data"]} == raw["data"]
    assert envelope.publisher == path.name.partition(".")[0]
    assert envelope.subject == getattr(event_in(envelope), EVENTS[envelope.type].subject)


@pytest.mark.parametrize("path", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_an_older_listener_reads_a_newer_event(path: Path) -> None:
    raw = json.loads(path.read_text())
    raw["data"]["added_next_year"] = {"anything": 1}
    raw["added_next_year"] = 1
    event_in(Envelope.model_validate(raw))


def test_the_page_of_events_is_true() -> None:
    assert (ROOT / "docs" / "events.md").read_text() == as_markdown()
