"""What may be read. A delivery shows no personal data, so whoever may read one may read all."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_notifications.delivery.schemas import DeliveryQuery
from tejido_notifications.models import Attempt, Delivery
from tejido_shared.clock import now

CATEGORIES = ("legal", "service", "campaign")
"""In the order they are sent: a legal notice never waits behind a campaign."""
TOLD = (
    *("cause_id", "cause_type", "channel", "category", "audience", "recipient_key", "about"),
    *("occurred_at", "template", "language", "correlation_id", "traceparent"),
)
"""What a sender has to know of a message."""
SORTABLE = {"created_at": Delivery.created_at}


def matching(asked: DeliveryQuery) -> sa.Select[Delivery]:
    query = sa.select(Delivery)
    for column in ("status", "template", "cause_type", "cause_id", "about", "channel", "category"):
        wanted = getattr(asked, column)
        if wanted is not None:
            query = query.where(getattr(Delivery, column) == wanted)
    return query


def one(session: Session, delivery_id: UUID, *, lock: bool = False) -> Delivery | None:
    return session.get(Delivery, delivery_id, with_for_update=lock or None)


def attempts_of(session: Session, delivery_id: UUID) -> list[Attempt]:
    query = sa.select(Attempt).where(Attempt.delivery_id == delivery_id).order_by(Attempt.at, Attempt.id)
    return list(session.scalars(query))


def channels_with_work(session: Session, names: Iterable[str]) -> list[str]:
    """Of these channels, those with a message that is due, or one whose sender may have ended."""
    instant = now()
    waits = (Delivery.status == "pending") & (Delivery.next_attempt_at <= instant)
    due = {name: sa.exists().where(Delivery.channel == name, waits | (Delivery.status == "sending")) for name in names}
    if not due:
        return []
    found = session.execute(sa.select(*(query.label(name) for name, query in due.items()))).one()
    return [name for name in due if getattr(found, name)]


# What every message costs. These statements are of tables and not of mapped classes, and are made once: that is five times as quick.

_delivery: Any = sa.inspect(Delivery).local_table


def _waiting(*more: sa.ColumnElement[bool]) -> sa.ScalarSelect[UUID]:
    """Id of the message that is due longest, locked. Written out and no parameter: what PostgreSQL has to know to use the index always."""
    due = sa.select(_delivery.c.id).where(
        _delivery.c.channel == sa.bindparam("channel"),
        _delivery.c.status == sa.literal_column("'pending'"),
        _delivery.c.next_attempt_at <= sa.bindparam("instant"),
        *more,
    )
    due = due.order_by(_delivery.c.next_attempt_at).limit(sa.literal_column("1"))
    return due.with_for_update(skip_locked=True).scalar_subquery()


def _due(which: sa.ColumnElement[UUID]) -> sa.Select[Any]:
    """With recipient and context as they are stored: what cannot be decrypted is to harm no other."""
    plain = [_delivery.c[name] for name in ("id", "version", *TOLD)]
    stored = [sa.type_coerce(_delivery.c[name], sa.LargeBinary).label(name) for name in ("recipient", "context")]
    return sa.select(*plain, *stored).where(_delivery.c.id == which).with_for_update()


_DUE_BY_CATEGORY = _due(
    sa.func.coalesce(*(_waiting(_delivery.c.category == sa.literal_column(f"'{name}'")) for name in CATEGORIES))
)
_DUE_OF_RECIPIENT = _due(_waiting(_delivery.c.recipient_key == sa.bindparam("recipient_key")))
_TAKE = sa.text(
    "with taken as (update delivery set status = 'sending', sender = :sender, sending_since = :instant, next_attempt_at = :until,"
    " attempts = attempts + 1, version = version + 1 where id = :delivery_id returning id)"
    " insert into attempt (id, delivery_id, at, outcome) select :attempt_id, id, :instant, 'unknown' from taken"
)
_DELIVER = sa.text(
    "with delivered as (update delivery set status = 'delivered', delivered_at = :instant, evidence = :reply, next_attempt_at = null,"
    " sender = null, template_version = coalesce(:template_version, template_version), version = version + 1"
    " where id = :delivery_id and status not in ('delivered', 'bounced') and erased_at is null returning id)"
    " update attempt set outcome = 'accepted', code = :why, reply = :reply from delivered"
    " where attempt.id = :attempt_id and attempt.delivery_id = delivered.id"
)


def due(session: Session, channel: str, instant: datetime, recipient_key: str | None = None) -> sa.Row[Any] | None:
    """The message of the channel that is due longest, in the order of `CATEGORIES`, or that of one recipient; locked. Recipient and context
    are encrypted."""
    given = {"channel": channel, "instant": instant}
    if recipient_key is None:
        return session.execute(_DUE_BY_CATEGORY, given).one_or_none()
    return session.execute(_DUE_OF_RECIPIENT, {**given, "recipient_key": recipient_key}).one_or_none()


def take(
    session: Session, delivery_id: UUID, attempt_id: UUID, sender: int, instant: datetime, until: datetime
) -> None:
    """The sender holds the message from now on, and begins an attempt."""
    given = {"delivery_id": delivery_id, "attempt_id": attempt_id, "sender": sender}
    session.execute(_TAKE, {**given, "instant": instant, "until": until})


def deliver(
    session: Session,
    delivery_id: UUID,
    attempt_id: UUID,
    instant: datetime,
    reply: str,
    why: str | None,
    template_version: str | None,
) -> bool:
    """Writes down that an attempt was accepted. Nothing, and false, if the message was already, has come back, or was erased."""
    given = {"delivery_id": delivery_id, "attempt_id": attempt_id, "instant": instant, "reply": reply, "why": why}
    done = session.execute(_DELIVER, {**given, "template_version": template_version})
    return bool(done.rowcount)  # type: ignore[attr-defined]
