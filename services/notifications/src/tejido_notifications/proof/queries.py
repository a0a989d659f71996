"""Proofs as they are stored."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_notifications.models import Attempt, Delivery, Proof

RESULTS = ("delivered", "failed", "bounced")
_BATCH = 1000


def newest(session: Session, delivery_id: UUID, result: str | None = None) -> Proof | None:
    """The last proof of a message, or the last of that result. Raises `ValueError` if it cannot be decrypted."""
    query = sa.select(Proof).where(Proof.delivery_id == delivery_id)
    if result is not None:
        query = query.where(Proof.result == result)
    return session.scalar(query.order_by(Proof.at.desc(), Proof.id.desc()).limit(1))


def attempts(session: Session, delivery_id: UUID) -> list[Attempt]:
    query = sa.select(Attempt).where(Attempt.delivery_id == delivery_id).order_by(Attempt.at, Attempt.id)
    return list(session.scalars(query))


def every(session: Session) -> Iterator[Any]:
    """All proofs in the order they were made, their records as they lie in the table, and whether their messages were erased."""
    sealed = sa.type_coerce(Proof.record, sa.LargeBinary).label("sealed")
    own = (Proof.id, Proof.delivery_id, Proof.result, Proof.at, Proof.sha256, Proof.signature, Proof.key_id)
    query = sa.select(*own, sealed, Delivery.erased_at).join(Delivery, Delivery.id == Proof.delivery_id)
    query = query.order_by(Proof.id).limit(_BATCH)
    rows = session.execute(query).all()
    while rows:
        yield from rows
        rows = session.execute(query.where(Proof.id > rows[-1].id)).all()


def without(session: Session) -> list[UUID]:
    """Legal notices that have no proof and came to an end after the first proof was made."""
    proved = sa.exists().where(Proof.delivery_id == Delivery.id)
    query = sa.select(Delivery.id).where(
        Delivery.category == "legal",
        Delivery.status.in_(RESULTS),
        sa.func.coalesce(Delivery.delivered_at, Delivery.created_at)
        >= sa.select(sa.func.min(Proof.at)).scalar_subquery(),
        ~proved,
    )
    return list(session.scalars(query.order_by(Delivery.created_at)))
