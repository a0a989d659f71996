"""Figures from the tables, each by an index. Periods are half open: from `start` on and before `end`."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_notifications.models import Attempt, Delivery, Subscription

RECENT = timedelta(minutes=5)
Rows = Sequence[Any]
_KIND = (Delivery.channel, Delivery.category)
_SECONDS = sa.extract("epoch", Delivery.delivered_at - sa.func.greatest(Delivery.occurred_at, Delivery.send_from))


def waiting(session: Session, at: datetime) -> Rows:
    """By channel and category: all that waits, what is due, and since when the oldest of it is due. What waits for a subscription that is
    stopped or rests is not due."""
    awake = Subscription.rests_until.is_(None) | (Subscription.rests_until <= at)
    called = sa.select(sa.cast(Subscription.id, sa.Text)).where(Subscription.active, awake)
    due = (Delivery.next_attempt_at <= at) & ((Delivery.channel != "webhook") | Delivery.recipient_key.in_(called))
    query = sa.select(
        *_KIND,
        sa.func.count().label("waiting"),
        sa.func.count().filter(due).label("due"),
        sa.func.min(Delivery.next_attempt_at).filter(due).label("oldest"),
    )
    return session.execute(query.where(Delivery.status == "pending").group_by(*_KIND)).all()


def delivered(session: Session, start: datetime, end: datetime) -> Rows:
    """By channel and category: how many, and the seconds within which half, 95 and 99 % arrived."""
    within = sa.func.percentile_cont(sa.literal([0.5, 0.95, 0.99], sa.ARRAY(sa.Float))).within_group(_SECONDS)
    query = sa.select(*_KIND, sa.func.count().label("delivered"), within.label("seconds"))
    query = query.where(Delivery.delivered_at >= start, Delivery.delivered_at < end)
    return session.execute(query.group_by(*_KIND)).all()


def failed(session: Session, start: datetime, end: datetime) -> Rows:
    """Of the messages made in the period, those given up, by channel, category and the code of the last attempt."""
    last = sa.select(sa.func.coalesce(Attempt.code, "").label("code")).where(Attempt.delivery_id == Delivery.id)
    code = last.order_by(Attempt.at.desc()).limit(1).lateral("last")
    query = sa.select(*_KIND, sa.func.coalesce(code.c.code, "").label("code"), sa.func.count().label("failed"))
    query = query.select_from(Delivery).outerjoin(code, sa.true())
    query = query.where(Delivery.status == "failed", Delivery.created_at >= start, Delivery.created_at < end)
    return session.execute(query.group_by(*_KIND, sa.text("3"))).all()


def bounced(session: Session, start: datetime, end: datetime) -> Rows:
    """By channel and category: what came back in the period."""
    query = sa.select(*_KIND, sa.func.count().label("bounced"))
    query = query.where(Delivery.status == "bounced", Delivery.bounced_at >= start, Delivery.bounced_at < end)
    return session.execute(query.group_by(*_KIND)).all()


def attempts(session: Session, start: datetime, end: datetime) -> Rows:
    """By channel, category and outcome: the attempts made in the period."""
    query = sa.select(*_KIND, Attempt.outcome, sa.func.count().label("attempts"))
    query = query.join(Attempt, Attempt.delivery_id == Delivery.id).where(Attempt.at >= start, Attempt.at < end)
    return session.execute(query.group_by(*_KIND, Attempt.outcome)).all()


def failures(session: Session, start: datetime, end: datetime) -> Rows:
    """By channel, category and code: attempts of the period that failed, for good or for the time being."""
    code = sa.func.coalesce(Attempt.code, "").label("code")
    query = sa.select(*_KIND, code, sa.func.count().label("failures"))
    query = query.join(Attempt, Attempt.delivery_id == Delivery.id)
    query = query.where(Attempt.at >= start, Attempt.at < end, Attempt.outcome.not_in(["accepted", "unknown"]))
    return session.execute(query.group_by(*_KIND, sa.text("3"))).all()


def failing_subscriptions(session: Session) -> int:
    query = sa.select(sa.func.count()).select_from(Subscription)
    return session.scalar(query.where(Subscription.active, Subscription.failing_since.is_not(None))) or 0
