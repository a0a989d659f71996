"""What may be read. A delivery shows no personal data, so whoever may read one may read all."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_notifications.models import Attempt, Delivery
from tejido_notifications.schemas import DeliveryQuery

SORTABLE = {"created_at": Delivery.created_at}


def matching(asked: DeliveryQuery) -> sa.Select[Delivery]:
    query = sa.select(Delivery)
    for column in ("status", "template", "cause_type", "about"):
        wanted = getattr(asked, column)
        if wanted is not None:
            query = query.where(getattr(Delivery, column) == wanted)
    return query


def one(session: Session, delivery_id: UUID, *, lock: bool = False) -> Delivery | None:
    return session.get(Delivery, delivery_id, with_for_update=lock or None)


def attempts_of(session: Session, delivery_id: UUID) -> list[Attempt]:
    query = sa.select(Attempt).where(Attempt.delivery_id == delivery_id).order_by(Attempt.at, Attempt.id)
    return list(session.scalars(query))
