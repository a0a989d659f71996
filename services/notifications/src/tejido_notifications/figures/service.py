"""Figures put together."""

from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy.orm import Session

from tejido_notifications.figures import queries, schemas
from tejido_notifications.settings import jurisdiction
from tejido_shared.clock import now
from tejido_shared.refusals import Refused

DEFAULT_DAYS = 7


def figures(session: Session, asked: schemas.PeriodQuery) -> schemas.FiguresOut:
    """What waits now and what the period brought."""
    at = now()
    first, last = _days(asked, at)
    start, end = _midnight(first), _midnight(last + timedelta(days=1))
    return schemas.FiguresOut(
        at=at,
        start=first,
        end=last,
        now=waiting(session, at),
        period=_flows(session, start, end),
        failing_subscriptions=queries.failing_subscriptions(session),
    )


def waiting(session: Session, at: datetime) -> list[schemas.Waiting]:
    """What each channel has to send, and how fast it sends."""
    found: dict[tuple[str, str], dict[str, Any]] = defaultdict(
        lambda: {"waiting": 0, "due": 0, "oldest_due_seconds": 0.0, "per_minute": 0.0}
    )
    for row in queries.waiting(session, at):
        late = (at - row.oldest).total_seconds() if row.oldest is not None else 0.0
        found[row.channel, row.category] |= {"waiting": row.waiting, "due": row.due, "oldest_due_seconds": late}
    for row in queries.delivered(session, at - queries.RECENT, at):
        found[row.channel, row.category]["per_minute"] = row.delivered / (queries.RECENT / timedelta(minutes=1))
    return [
        schemas.Waiting(channel=channel, category=category, **values)
        for (channel, category), values in sorted(found.items())
    ]


def _flows(session: Session, start: datetime, end: datetime) -> list[schemas.Flow]:
    found: dict[tuple[str, str], dict[str, Any]] = defaultdict(
        lambda: {"delivered": 0, "seconds": None, "failed": {}, "bounced": 0, "attempts": {}}
    )
    for row in queries.delivered(session, start, end):
        p50, p95, p99 = row.seconds
        found[row.channel, row.category] |= {
            "delivered": row.delivered,
            "seconds": schemas.Seconds(p50=p50, p95=p95, p99=p99),
        }
    for row in queries.failed(session, start, end):
        found[row.channel, row.category]["failed"][row.code] = row.failed
    for row in queries.bounced(session, start, end):
        found[row.channel, row.category]["bounced"] = row.bounced
    for row in queries.attempts(session, start, end):
        found[row.channel, row.category]["attempts"][row.outcome] = row.attempts
    return [
        schemas.Flow(channel=channel, category=category, **values)
        for (channel, category), values in sorted(found.items())
    ]


def _days(asked: schemas.PeriodQuery, at: datetime) -> tuple[date, date]:
    """First and last day: today, and six days before, where they are not given. Raises `Refused` for more than a quarter."""
    last = asked.end or at.astimezone(jurisdiction().zone).date()
    first = asked.start or last - timedelta(days=DEFAULT_DAYS - 1)
    if first > last:
        raise Refused("period_backwards", "query.from")
    if (last - first).days >= schemas.LONGEST_DAYS:
        raise Refused("period_too_long", "query.from", days=schemas.LONGEST_DAYS)
    return first, last


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), jurisdiction().zone).astimezone(UTC)
