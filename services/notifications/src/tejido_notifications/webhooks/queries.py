"""What may be read of subscriptions and of the calls made for them."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Bundle, Session

from tejido_notifications.models import Attempt, Delivery, Subscription

SORTABLE = {"name": Subscription.name, "created_at": Subscription.created_at}
CALL: Bundle[Any] = Bundle(
    "call",
    Attempt.at,
    Delivery.cause_id.label("event_id"),
    Delivery.cause_type.label("event_type"),
    Attempt.outcome,
    Attempt.code,
    Attempt.reply,
)


class Target(NamedTuple):
    """Where to call, and the secrets that sign."""

    url: str
    secret: str
    old_secret: str | None
    old_secret_until: datetime | None


def one(session: Session, subscription_id: UUID, *, lock: bool = False) -> Subscription | None:
    return session.get(Subscription, subscription_id, with_for_update=lock or None)


def all_of_them() -> sa.Select[Subscription]:
    return sa.select(Subscription)


def target(session: Session, subscription_id: UUID) -> Target | None:
    """Raises `ValueError` if it cannot be decrypted."""
    columns = (Subscription.url, Subscription.secret, Subscription.old_secret, Subscription.old_secret_until)
    row = session.execute(sa.select(*columns).where(Subscription.id == subscription_id)).one_or_none()
    return Target(*row) if row is not None else None


def of(subscription_id: UUID) -> sa.ColumnElement[bool]:
    """The deliveries of a subscription."""
    return sa.and_(Delivery.channel == "webhook", Delivery.recipient_key == str(subscription_id))


def calls(subscription_id: UUID, outcome: str | None = None) -> sa.Select[Any]:
    query = sa.select(CALL).join(Delivery, Delivery.id == Attempt.delivery_id).where(of(subscription_id))
    return query if outcome is None else query.where(Attempt.outcome == outcome)


def last_failure(session: Session, subscription_id: UUID) -> Any | None:
    failed = calls(subscription_id).where(Attempt.outcome != "accepted", Attempt.reply.is_not(None))
    return session.scalar(failed.order_by(Attempt.at.desc(), Attempt.id.desc()).limit(1))


def waiting(session: Session, subscription_id: UUID) -> int:
    count = sa.select(sa.func.count()).select_from(Delivery)
    return session.scalar(count.where(of(subscription_id), Delivery.status.in_(("pending", "sending")))) or 0


def last_success_at(session: Session, subscription_id: UUID) -> datetime | None:
    return session.scalar(sa.select(sa.func.max(Delivery.delivered_at)).where(of(subscription_id)))
