"""The use cases. Each takes a session and never commits; none knows of HTTP or Celery."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_notifications.mailer import Outcome
from tejido_notifications.models import Attempt, Delivery
from tejido_notifications.settings import jurisdiction, settings
from tejido_shared import i18n
from tejido_shared.clock import now
from tejido_shared.contracts import Envelope, Event, MessageDelivered, MessageFailed, Sealed
from tejido_shared.ids import new_id
from tejido_shared.jurisdiction import Office
from tejido_shared.logs import correlation_id
from tejido_shared.outbox import emit
from tejido_shared.personal import unseal
from tejido_shared.refusals import Refused

PACKAGE = "tejido_notifications"
MAX_ATTEMPTS = 18
"""With the waits of `backoff`, two days."""
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=6)


@dataclass(frozen=True)
class Claimed:
    """A delivery that this process alone may send now. `letter`: recipient and context; none if they cannot be decrypted."""

    id: UUID
    version: int
    attempt_id: UUID
    cause_id: UUID
    cause_type: str
    template: str
    language: str
    correlation_id: str
    traceparent: str | None
    letter: tuple[str, str] | None


def queue(
    session: Session,
    event: Event,
    envelope: Envelope,
    *,
    audience: str,
    recipient: str,
    language: str,
    send_from: datetime | None = None,
) -> None:
    """Decides that `recipient` is to be told of the event. Once for each event, audience and channel, however often it is asked.

    Events are told in whatever order they come: each is an act of its own, which a later one does not undo. Nothing is sent before
    `send_from`. `session.info["queued"]` tells the worker that there is something to send once the transaction has committed.
    Raises `ValueError` if a sealed field cannot be opened.
    """
    sealed = [name for name, field in type(event).model_fields.items() if _is_sealed(field.annotation)]
    opened = {name: unseal(value) for name in sealed if (value := getattr(event, name)) is not None}
    row = insert(Delivery).values(
        id=new_id(),
        cause_id=envelope.id,
        cause_type=envelope.type,
        about=envelope.subject,
        audience=audience,
        channel="email",
        template=envelope.type.replace(".", "_"),
        language=language,
        recipient=recipient,
        context=event.model_copy(update=opened).model_dump_json(),
        correlation_id=envelope.correlation_id,
        traceparent=envelope.traceparent,
        next_attempt_at=send_from or now(),
    )
    session.execute(row.on_conflict_do_nothing(index_elements=["cause_id", "audience", "channel"]))
    session.info["queued"] = True


def take_over(session: Session, sender: int) -> None:
    """Puts back what an earlier sender of this number, or one whose lease has ended, left in the middle of sending.

    The caller is the only sender of that number, so whatever it held is nobody's. The server may have taken such a message:
    it is sent again under the same Message-ID.
    """
    left = (Delivery.sender == sender) | (Delivery.next_attempt_at <= now())
    query = sa.select(Delivery).where(Delivery.status == "sending", Delivery.next_attempt_at.is_not(None), left)
    for delivery in session.scalars(query.with_for_update(skip_locked=True)):
        with caused_by(delivery):
            # At once the first time; a message that ends its sender again and again waits longer each time.
            _defer(session, delivery, text("sender_ended"), backoff(delivery.attempts - 1))


def claim(session: Session, sender: int) -> Claimed | None:
    """Takes the message that has been due longest; none if none is. The caller commits before it speaks to the server."""
    instant = now()
    due = (
        sa.select(Delivery)
        .where(Delivery.status == "pending", Delivery.next_attempt_at <= instant)
        .order_by(Delivery.next_attempt_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    delivery = session.scalar(due)
    if delivery is None:
        return None
    delivery.status, delivery.sender, delivery.attempts = "sending", sender, delivery.attempts + 1
    delivery.next_attempt_at = instant + timedelta(seconds=settings().lease)
    attempt = Attempt(id=new_id(), delivery_id=delivery.id, at=instant)
    session.add(attempt)
    session.flush()
    personal = sa.select(Delivery.recipient, Delivery.context).where(Delivery.id == delivery.id)
    letter: tuple[str, str] | None
    try:
        recipient, context = session.execute(personal).one()
        letter = recipient, context
    except ValueError:  # not with the keys we have
        letter = None
    return Claimed(
        id=delivery.id,
        version=delivery.version,
        attempt_id=attempt.id,
        cause_id=delivery.cause_id,
        cause_type=delivery.cause_type,
        template=delivery.template,
        language=delivery.language,
        correlation_id=delivery.correlation_id,
        traceparent=delivery.traceparent,
        letter=letter,
    )


def record(session: Session, claimed: Claimed, outcome: Outcome) -> None:
    """Keeps what came of an attempt and announces a final result. What another sender has done meanwhile stands,
    but an acceptance always counts."""
    reply = outcome.reply or text(outcome.code or "")
    delivery = session.get_one(Delivery, claimed.id, with_for_update=True)
    attempt = session.get_one(Attempt, claimed.attempt_id)
    attempt.outcome, attempt.reply = outcome.result, None if delivery.erased_at else reply
    if delivery.status == "delivered" or delivery.erased_at:
        pass
    elif outcome.result == "accepted":
        _deliver(session, delivery, reply)
    elif delivery.version != claimed.version:
        pass
    elif outcome.result in ("refused", "unsendable"):
        _fail(session, delivery, reply)
    else:
        _defer(session, delivery, reply, backoff(delivery.attempts))
    session.flush()


def retry(session: Session, delivery: Delivery) -> None:
    """Sends a failed message again, with all its attempts before it. Raises `Refused` unless it has failed and is still there."""
    if delivery.erased_at is not None:
        raise Refused("erased")
    if delivery.status != "failed":
        raise Refused("not_failed")
    delivery.status, delivery.attempts, delivery.next_attempt_at = "pending", 0, now()
    session.flush()


def erase(session: Session, about: UUID, at: datetime) -> None:
    """Forgets to whom and what was written about an entity, and what servers said of it. What was not sent yet is not sent any more."""
    mine = (Delivery.about == about) & Delivery.erased_at.is_(None)
    attempts = sa.select(Delivery.id).where(Delivery.about == about)
    unsent = Delivery.status.in_(("pending", "sending"))
    session.execute(
        sa.update(Delivery)
        .where(mine)
        .values(
            recipient="",
            context="",
            evidence=None,
            last_error=sa.case((unsent, text("erased"))),
            status=sa.case((unsent, "failed"), else_=Delivery.status),
            next_attempt_at=None,
            sender=None,
            erased_at=at,
            version=Delivery.version + 1,
        )
    )
    session.execute(sa.update(Attempt).where(Attempt.delivery_id.in_(attempts)).values(reply=None))


def backoff(attempts: int) -> timedelta:
    """How long to wait after so many attempts: doubled each time, up to six hours, give or take a fifth; nothing after none."""
    if attempts < 1:
        return timedelta()
    spread = random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards nothing
    return spread * min(FIRST_WAIT * (1 << attempts - 1), LONGEST_WAIT)


def text(code: str, **params: Any) -> str:
    """What went wrong, for the people who run the service."""
    return i18n.text(PACKAGE, f"reply.{code}", **params)


@contextmanager
def caused_by(cause: Claimed | Delivery) -> Iterator[None]:
    """Within the block, log lines and events carry the correlation id of the event that the message tells of."""
    token = correlation_id.set(cause.correlation_id)
    try:
        yield
    finally:
        correlation_id.reset(token)


def office(code: str) -> Office:
    """The office in the pack. Raises `LookupError` if there is none."""
    try:
        return jurisdiction().office(code)
    except LookupError:
        raise LookupError(f"office {code} is not in the jurisdiction pack: add it to offices.toml and replay") from None


def _deliver(session: Session, delivery: Delivery, evidence: str) -> None:
    instant = now()
    delivery.status, delivery.delivered_at, delivery.evidence = "delivered", instant, evidence
    _end(session, delivery)
    event = MessageDelivered(**_about(delivery), delivered_at=instant, evidence=evidence)
    emit(session, event, version=delivery.version)


def _fail(session: Session, delivery: Delivery, reason: str) -> None:
    delivery.status, delivery.last_error = "failed", reason
    _end(session, delivery)
    emit(session, MessageFailed(**_about(delivery), failed_at=now(), reason=reason), version=delivery.version)


def _defer(session: Session, delivery: Delivery, reason: str, wait: timedelta) -> None:
    if delivery.attempts >= MAX_ATTEMPTS:
        _fail(session, delivery, text("gave_up", attempts=delivery.attempts, reply=reason))
        return
    delivery.status, delivery.last_error, delivery.sender = "pending", reason, None
    delivery.next_attempt_at = now() + wait


def _end(session: Session, delivery: Delivery) -> None:
    delivery.next_attempt_at = delivery.sender = None
    session.flush()


def _about(delivery: Delivery) -> dict[str, UUID | str]:
    return {
        "message_id": delivery.id,
        "cause_id": delivery.cause_id,
        "cause_type": delivery.cause_type,
        "about": delivery.about,
        "channel": delivery.channel,
    }


def _is_sealed(annotation: object) -> bool:
    return Sealed in (annotation, *getattr(annotation, "__args__", ()))
