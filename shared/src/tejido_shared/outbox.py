"""Publishing: an event becomes a row of the transaction that caused it."""

from collections.abc import Iterable
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_shared import telemetry
from tejido_shared.clock import now
from tejido_shared.contracts import LISTENERS, Event, envelope_of
from tejido_shared.ids import new_id
from tejido_shared.logs import correlation_id
from tejido_shared.seam import outbox

# One statement however many rows, for events come by the thousand when alarms or a calendar move.
_WRITE = sa.text(
    "insert into outbox (event_id, subscriber, envelope) select new.event_id, new.subscriber, new.envelope"
    " from jsonb_to_recordset(cast(:rows as jsonb)) as new(event_id uuid, subscriber text, envelope jsonb)"
)


def emit(session: Session, event: Event, *, version: int) -> UUID:
    """Publishes `event` when, and only when, the session's transaction commits. Returns the event's id.

    `version` is the entity's version after the change: listeners ignore an event that is older than what they know.
    """
    return emit_all(session, [(event, version)])[0]


def emit_all(session: Session, events: Iterable[tuple[Event, int]]) -> list[UUID]:
    """`emit` for many events with one statement."""
    ids: list[UUID] = []
    rows: list[str] = []
    for event, version in events:
        envelope = envelope_of(
            event,
            event_id=new_id(),
            subject_version=version,
            occurred_at=now(),
            correlation_id=correlation_id.get(),
            traceparent=telemetry.traceparent(),
        )
        ids.append(envelope.id)
        body = envelope.model_dump_json()
        rows += [
            f'{{"event_id": "{envelope.id}", "subscriber": "{name}", "envelope": {body}}}'
            for name in LISTENERS[type(event)]
        ]
    if rows:
        session.execute(_WRITE, {"rows": f"[{','.join(rows)}]"})
        session.info["emitted"] = True
    return ids


def confirm(session: Session, subscriber: str, event_ids: list[UUID]) -> int:
    """Forgets what a subscriber has committed. Returns how many rows that were; repeating it does nothing."""
    result = session.execute(
        sa.delete(outbox).where(outbox.c.event_id.in_(event_ids), outbox.c.subscriber == subscriber)
    )
    return int(result.rowcount)  # type: ignore[attr-defined]
