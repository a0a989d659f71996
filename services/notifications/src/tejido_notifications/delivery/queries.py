"""What may be read. A delivery shows no personal data, so whoever may read one may read all."""

from collections.abc import Iterable
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_notifications.delivery.schemas import DeliveryQuery
from tejido_notifications.models import Attempt, Delivery
from tejido_shared.clock import now

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


def waiting(session: Session, ids: Iterable[UUID]) -> list[Delivery]:
    """Of these messages, those that still wait and that nobody else has in hand, locked."""
    query = sa.select(Delivery).where(Delivery.id.in_(ids), Delivery.status == "pending").order_by(Delivery.id)
    return list(session.scalars(query.with_for_update(skip_locked=True)))
