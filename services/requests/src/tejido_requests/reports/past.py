"""What requests were at the end of a past period, where their rows have gone on since.

Instants of receipt and closing and the outcome never change. Pauses, due dates, the type and the office may: for the requests that were
open then and had such an act later, they are worked out from the history up to then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_requests.audit.queries import HISTORY, entries
from tejido_requests.clocks import service as clocks
from tejido_requests.models import HistoryEntry, ServiceRequest

_MOVES = (
    *("asked_to_complete", "completed", "completion_withdrawn", "extended", "retyped", "calendar_changed", "moved"),
    *("withdrawn", "transferred", "split", "merged"),
)
"""What changes a row besides its answer. A notification leaves the due date where it was."""
_READ = ("id", "request_type", "office", "received_at", "calendar_version", "policy", "first_due_date")
_TERM = ("term_unit", "term_n", "term_extension_max", "term_copies_within")


@dataclass(frozen=True)
class Was:
    """A request as it stood at an instant. No `overdue_at` while its clock rested."""

    id: UUID
    request_type: str
    office: str
    paused: bool
    overdue_at: datetime | None
    extended: bool
    copies_within: int | None


def changed_since(session: Session, instant: datetime) -> list[Was]:
    """The requests that were open at an instant and are not what they were, as they then stood."""
    later = sa.exists().where(
        HistoryEntry.request_id == ServiceRequest.id, HistoryEntry.at >= instant, HistoryEntry.kind.in_(_MOVES)
    )
    query = (
        sa.select(*(getattr(ServiceRequest, name) for name in (*_READ, *_TERM)), HISTORY.label("history"))
        .where(
            ServiceRequest.received_at < instant,
            ServiceRequest.closed_at.is_(None) | (ServiceRequest.closed_at >= instant),
            later,
        )
        .execution_options(yield_per=2000)
    )
    return [_was(session, row, instant) for row in session.execute(query).mappings()]


def _was(session: Session, row: sa.RowMapping, instant: datetime) -> Was:
    history = entries(row["history"])
    before = [told for told in history if told["at"] < instant]
    since = [told for told in history if told["at"] >= instant]
    then: Any = SimpleNamespace(**{name: row[name] for name in (*_READ, *_TERM)})
    if (retyped := _first(since, "retyped")) is not None:
        term = retyped["term_before"]
        then.request_type = retyped["from"]
        then.term_unit, then.term_n = term["unit"], term["n"]
        then.term_extension_max, then.term_copies_within = term["extension_max_added"], term["copies_within"]
    if (moved := _first(since, "moved")) is not None:
        then.office = moved["from"]
    answer = clocks.answer_deadline(session, then, clocks.history_from(before))
    return Was(
        then.id,
        then.request_type,
        then.office,
        answer.paused,
        answer.overdue_at,
        answer.added > 0,
        then.term_copies_within,
    )


def _first(history: Sequence[Mapping[str, Any]], kind: str) -> dict[str, Any] | None:
    return next((told["details"] for told in history if told["kind"] == kind), None)
