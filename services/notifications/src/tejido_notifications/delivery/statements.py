"""What every message costs: to find it, to take it, to write down that it was accepted. These statements are of tables and not of mapped
classes, and are made once: that is five times as quick."""

import re
import select
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID

import psycopg
import sqlalchemy as sa
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult
from sqlalchemy.orm import Session

from tejido_notifications.models import Delivery

CATEGORIES = ("legal", "service", "campaign")
"""In the order they are sent: a legal notice never waits behind a campaign."""
TOLD = (
    *("cause_id", "cause_type", "channel", "category", "audience", "recipient_key", "about"),
    *("occurred_at", "template", "language", "correlation_id", "traceparent"),
)
"""What a sender has to know of a message."""

_delivery: Any = sa.inspect(Delivery).local_table


def _waiting(limit: "sa.BindParameter[int]", rank: int, *more: sa.ColumnElement[bool]) -> sa.Subquery:
    """Messages of the channel that are due longest, with recipient and context as they are stored: what cannot be decrypted is to harm
    no other. The status is written out and no parameter: what PostgreSQL has to know to use the index always."""
    plain = [_delivery.c[name] for name in ("id", "version", "next_attempt_at", *TOLD)]
    stored = [sa.type_coerce(_delivery.c[name], sa.LargeBinary).label(name) for name in ("recipient", "context")]
    due = sa.select(sa.literal_column(str(rank)).label("rank"), *plain, *stored).where(
        _delivery.c.channel == sa.bindparam("channel"),
        _delivery.c.status == sa.literal_column("'pending'"),
        _delivery.c.next_attempt_at <= sa.bindparam("instant"),
        *more,
    )
    return due.order_by(_delivery.c.next_attempt_at).limit(limit).subquery()


def _in_order(parts: Iterable[sa.Subquery], limit: "sa.BindParameter[int]") -> sa.Select[Any]:
    found = sa.union_all(*(sa.select(part) for part in parts)).subquery()
    return sa.select(found).order_by(found.c.rank, found.c.next_attempt_at).limit(limit)


_limit = sa.bindparam("limit", type_=sa.Integer)
_DUE_BY_CATEGORY = _in_order(
    (
        _waiting(_limit, rank, _delivery.c.category == sa.literal_column(f"'{name}'"))
        for rank, name in enumerate(CATEGORIES)
    ),
    _limit,
)
_DUE_OF_RECIPIENT = _in_order([_waiting(_limit, 0, _delivery.c.recipient_key == sa.bindparam("recipient_key"))], _limit)
_TAKEN = (
    "taken as (update delivery set status = 'sending', sender = %(sender)s, sending_since = %(begins)s, next_attempt_at = %(until)s,"
    " attempts = attempts + 1, version = version + 1"
    " where id = %(next_id)s and version = %(version)s and status = 'pending' returning id),"
    " begun as (insert into attempt (id, delivery_id, at, outcome)"
    " select cast(%(next_attempt_id)s as uuid), id, cast(%(begins)s as timestamptz), 'unknown' from taken returning id)"
)
_DELIVERED = (
    "delivered as (update delivery set status = 'delivered', delivered_at = %(instant)s, evidence = %(reply)s, next_attempt_at = null,"
    " sender = null, template_version = coalesce(%(template_version)s, template_version), version = version + 1"
    " where id = %(delivery_id)s and status not in ('delivered', 'bounced') and erased_at is null returning id),"
    " accepted as (update attempt set outcome = 'accepted', code = %(why)s, reply = %(reply)s from delivered"
    " where attempt.id = %(attempt_id)s and attempt.delivery_id = delivered.id returning attempt.id)"
)
_NAMED = re.compile(r"%\((\w+)\)s")
_STATEMENT = b"hand_over"
_PATIENCE = 20
"""Seconds: a statement may take 15, but nothing limits a commit."""
_TAKE = f"with {_TAKEN} select id from begun"  # noqa: S608 - our own words
_DELIVER = f"with {_DELIVERED} select id from accepted"  # noqa: S608
_HAND_OVER = f"with {_DELIVERED}, {_TAKEN} select (select id from accepted), (select id from begun)"  # noqa: S608


def due(
    session: Session, channel: str, instant: datetime, limit: int, recipient_key: str | None = None
) -> Sequence[sa.Row[Any]]:
    """Messages of the channel, or of one recipient, that are due, in the order of `CATEGORIES` and then the longest first. Recipient and
    context are encrypted. Nothing is locked: `take` says whether one still waits."""
    given = {"channel": channel, "instant": instant, "limit": limit}
    if recipient_key is None:
        return session.execute(_DUE_BY_CATEGORY, given).all()
    return session.execute(_DUE_OF_RECIPIENT, {**given, "recipient_key": recipient_key}).all()


class Taking(TypedDict):
    """Which message is taken, as it was seen, by which sender, from when until when at the latest."""

    next_id: UUID
    version: int
    next_attempt_id: UUID
    sender: int
    begins: datetime
    until: datetime


class Delivered(TypedDict):
    """Which message was accepted, when, and the server's words."""

    delivery_id: UUID
    attempt_id: UUID
    instant: datetime
    reply: str
    why: str | None
    template_version: str | None


def take(session: Session, taking: Taking) -> bool:
    """The sender holds the message from now on, and begins an attempt. Nothing, and false, if it does not wait any more as it did."""
    return session.connection().exec_driver_sql(_TAKE, {**taking}).scalar() is not None


def deliver(session: Session, delivered: Delivered) -> bool:
    """Writes down that an attempt was accepted. Nothing, and false, if the message was already, has come back, or was erased."""
    return session.connection().exec_driver_sql(_DELIVER, {**delivered}).scalar() is not None


class HandOver:
    """`deliver` and `take` as one statement, which costs a third of a transaction with both, on a connection of its own. It is begun by
    one call and waited for by another, so that other things are done while PostgreSQL writes: hence libpq's own functions.

    Raises `psycopg.OperationalError`.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._pg = connection.pgconn
        self._names = list(dict.fromkeys(_NAMED.findall(_HAND_OVER)))
        numbered = _NAMED.sub(lambda found: f"${self._names.index(found[1]) + 1}", _HAND_OVER)
        self._check(self._pg.prepare(_STATEMENT, numbered.encode()))

    def begin(self, delivered: Delivered, taking: Taking) -> None:
        given: dict[str, Any] = {**delivered, **taking}
        self._pg.send_query_prepared(_STATEMENT, [_written(given[name]) for name in self._names])
        self._pg.flush()

    def end(self) -> tuple[bool, bool]:
        """Whether the delivery was written down, and whether the other message was taken."""
        results: list[PGresult] = []
        while (result := self._next()) is not None:
            results.append(result)
        for result in results:  # the row comes before the commit, which may fail as well
            self._check(result)
        row = self._check(results[0] if results else None)
        return row.get_value(0, 0) is not None, row.get_value(0, 1) is not None

    def _next(self) -> PGresult | None:
        line = select.poll()
        line.register(self._pg.socket, select.POLLIN)
        while self._pg.is_busy():
            if not line.poll(_PATIENCE * 1000):
                self._pg.finish()
                raise psycopg.OperationalError("PostgreSQL does not answer")
            self._pg.consume_input()
        return self._pg.get_result()

    def _check(self, result: PGresult | None) -> PGresult:
        if result is None or result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
            raise psycopg.OperationalError(self._pg.get_error_message())
        return result


def _written(value: UUID | datetime | int | str | None) -> bytes | None:
    return None if value is None else str(value).encode()
