"""Receiving: the inbox row and the effect of an event are one transaction, so an event that arrives often takes effect once."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
import sqlalchemy as sa
import structlog
from opentelemetry.trace import SpanKind
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_shared import logs, telemetry
from tejido_shared.clock import now
from tejido_shared.contracts import Envelope, Event, event_in
from tejido_shared.db import Database
from tejido_shared.seam import dead_letter, inbox

Handler = Callable[[Session, Any, Envelope], None]
Handlers = Mapping[type[Event], Handler]
TOGETHER = 2
"""How often an event is sent in company; after that it comes alone."""
MAX_ATTEMPTS = 8
"""Over about a minute and a half, as the relay sends."""

log = structlog.get_logger()


def receive(database: Database, handlers: Handlers, letters: list[dict[str, Any]]) -> list[UUID]:
    """Takes in a batch of `{"envelope": …, "sent": n}` and returns the ids its publisher need not send again.

    The whole batch is one transaction when all goes well. When something in it fails, each event is tried by itself, so that one
    bad event holds up none of the others: it is left unconfirmed, comes again, and after `MAX_ATTEMPTS` is a dead letter.
    """
    if all(letter["sent"] <= TOGETHER for letter in letters):
        try:
            envelopes = [Envelope.model_validate(letter["envelope"]) for letter in letters]
            with database.tx() as session:
                _take_effect(session, handlers, envelopes)
                session.execute(sa.delete(dead_letter).where(dead_letter.c.event_id.in_([e.id for e in envelopes])))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is met again one by one
            log.info("batch_failed", size=len(letters), error=logs.described(error))
        else:
            return [envelope.id for envelope in envelopes]
    return [id_ for letter in letters if (id_ := _receive_one(database, handlers, letter)) is not None]


def replay(database: Database, handlers: Handlers, event_id: UUID) -> bool:
    """Tries a dead letter once more. Returns whether it took effect; else its error stays. Raises `KeyError` if there is none."""
    with database.tx() as session:
        row = session.execute(sa.select(dead_letter).where(dead_letter.c.event_id == event_id)).one_or_none()
    if row is None:
        raise KeyError(event_id)
    try:
        envelope = Envelope.model_validate(row.envelope)
    except ValueError:
        return False
    return _attempt(database, handlers, envelope)


def _take_effect(session: Session, handlers: Handlers, envelopes: list[Envelope]) -> None:
    arrived = insert(inbox).on_conflict_do_nothing().returning(inbox.c.event_id)
    # In one order everywhere, so that two workers with overlapping batches wait for each other instead of deadlocking.
    fresh = set(session.scalars(arrived, [{"event_id": e.id} for e in sorted(envelopes, key=lambda e: e.id)]))
    # And so the entities they touch; the sort is stable, so what happened to one entity stays in order.
    for envelope in sorted(envelopes, key=lambda e: e.subject):
        if envelope.id not in fresh:
            continue
        fresh.discard(envelope.id)
        token = logs.correlation_id.set(envelope.correlation_id)
        try:
            with telemetry.span(
                f"receive {envelope.type}", SpanKind.CONSUMER, envelope.traceparent, event=str(envelope.id)
            ):
                event = event_in(envelope)
                handlers[type(event)](session, event, envelope)
        finally:
            logs.correlation_id.reset(token)


def _receive_one(database: Database, handlers: Handlers, letter: dict[str, Any]) -> UUID | None:
    raw = letter["envelope"]
    try:
        envelope = Envelope.model_validate(raw)
    except ValueError as error:
        _record_failure(database, raw, logs.described(error), final=True)
        log.exception("event_unreadable", event_id=str(raw.get("id")))
        return UUID(str(raw["id"]))
    if letter["sent"] > 1 and _confirm_if_dead(database, envelope.id) is not None:
        return envelope.id
    # It was sent before and nothing was heard: a handler may have taken its worker down with it. The attempt is counted
    # before it begins, so that such an event, too, ends as a dead letter.
    unheard = letter["sent"] > TOGETHER
    if unheard and _begin_attempt(database, raw):
        return envelope.id
    if _attempt(database, handlers, envelope, counted=unheard):
        return envelope.id
    return _confirm_if_dead(database, envelope.id)


def _attempt(database: Database, handlers: Handlers, envelope: Envelope, *, counted: bool = False) -> bool:
    try:
        with database.tx() as session:
            _take_effect(session, handlers, [envelope])
            session.execute(sa.delete(dead_letter).where(dead_letter.c.event_id == envelope.id))
    except Exception as error:
        log.warning("event_failed", event_id=str(envelope.id), type=envelope.type, exc_info=True)
        raw = envelope.model_dump(mode="json")
        if not _is_passing(error):
            _record_failure(database, raw, logs.described(error), counted=counted)
        elif counted:
            _uncount(database, envelope.id)
        return False
    return True


def _is_passing(error: Exception) -> bool:
    """Whether the database only asked for patience: a lock held by another, a deadlock, a restart. A statement that takes too long is not
    passing: it will again."""
    return isinstance(error, sa.exc.OperationalError) and not isinstance(error.orig, psycopg.errors.QueryCanceled)


def _uncount(database: Database, event_id: UUID) -> None:
    mine = dead_letter.c.event_id == event_id
    with database.tx() as session:
        session.execute(sa.update(dead_letter).where(mine).values(attempts=dead_letter.c.attempts - 1))
        session.execute(sa.delete(dead_letter).where(mine, dead_letter.c.attempts <= 0))


def _record_failure(
    database: Database, raw: dict[str, Any], error: str, *, final: bool = False, counted: bool = False
) -> bool:
    """Keeps the error of a failed attempt and counts it, unless it was `counted` before it began. Returns whether the letter is dead."""
    attempts = dead_letter.c.attempts + (0 if counted else 1)
    changes = {
        "attempts": attempts,
        "error": error[:4000],
        "last_failed_at": now(),
        "dead_at": sa.func.coalesce(dead_letter.c.dead_at, sa.case((attempts >= MAX_ATTEMPTS, now()))),
    }
    dead = _note(database, raw, error, MAX_ATTEMPTS if final else 1, now() if final else None, changes)
    if dead:
        log.error("dead_letter", event_id=str(raw["id"]), type=raw.get("type"))
    return dead


def _begin_attempt(database: Database, raw: dict[str, Any]) -> bool:
    """Counts an attempt before it begins. Returns whether all attempts are used up, so that none is to begin."""
    used_up = dead_letter.c.attempts >= MAX_ATTEMPTS
    changes = {
        "attempts": sa.func.least(dead_letter.c.attempts + 1, MAX_ATTEMPTS),
        "last_failed_at": now(),
        "dead_at": sa.func.coalesce(dead_letter.c.dead_at, sa.case((used_up, now()))),
    }
    return _note(database, raw, "the worker ended before the handler did", 1, None, changes)


def _note(
    database: Database,
    raw: dict[str, Any],
    error: str,
    attempts: int,
    dead_at: datetime | None,
    changes: dict[str, Any],
) -> bool:
    kind = str(raw.get("type", ""))
    row = insert(dead_letter).values(
        event_id=raw["id"],
        publisher=kind.partition(".")[0],
        type=kind,
        envelope=raw,
        attempts=attempts,
        error=error[:4000],
        first_failed_at=now(),
        last_failed_at=now(),
        dead_at=dead_at,
    )
    upsert = row.on_conflict_do_update(index_elements=["event_id"], set_=changes).returning(dead_letter.c.dead_at)
    with database.tx() as session:
        return session.execute(upsert).scalar_one() is not None


def _confirm_if_dead(database: Database, event_id: UUID) -> UUID | None:
    with database.tx() as session:
        dead = session.scalar(sa.select(dead_letter.c.dead_at).where(dead_letter.c.event_id == event_id))
    return event_id if dead is not None else None
